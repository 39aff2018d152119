"""Delimited text of any program, read by a column map that a person writes once (`--columns FILE`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from labctl.export.bdf_terms import ENVIRONMENT
from labctl.importers.column_map import ColumnMap, MappedColumn
from labctl.importers.rows import IMPEDANCE_COLUMNS, FileRows, Floats, Integers
from labctl.importers.table import Decimal, Kind, parse_number, read_columns
from labctl.importers.text import TextFile, line_error

_FLOATS = ("voltage_volt", "current_ampere", *IMPEDANCE_COLUMNS, *ENVIRONMENT)
_CLOCK = re.compile(r"(?:(\d+)[ d.]+)?(\d+):([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)", re.ASCII)


def read_csv(path: Path, column_map: ColumnMap) -> FileRows:
    """The rows of a delimited text file.

    Raises:
        ConfigurationError: names file, line, field and what is allowed.
    """
    file = TextFile(path, column_map.encoding)
    lines = file.lines()
    headings = _headings(file, lines, column_map)
    places = {name: _place(file, headings, mapped.column) for name, mapped in column_map.columns.items()}
    wanted: dict[int, Kind] = {place: _kind(name, column_map) for name, place in places.items()}
    for _ in range(column_map.skip_after_heading):
        _skip(file, next(lines, ""), wanted, len(headings), column_map)
    columns, numbers = read_columns(
        file,
        lines,
        headings,
        wanted,
        separator=column_map.separator,
        decimal=column_map.decimal,
        quoted=True,
    )
    found = {name: columns[place] for name, place in places.items()}
    notices: list[str] = []
    time, start = _time(path, found.get("test_time_second"), numbers, column_map, notices)
    values = {name: column_map.converted(name, found[name]) for name in _FLOATS if name in found}
    for name in ("voltage_volt", "current_ampere"):
        values.setdefault(name, np.full(len(numbers), np.nan))
    within = found.get("step_time_second")
    spectral = values["frequency_hertz"] > 0 if "frequency_hertz" in values else None
    return FileRows(
        path=path,
        sha256=file.sha256,
        format="csv",
        technique=column_map.technique,
        line_number=numbers,
        test_time_second=time,
        columns=values,
        is_impedance=spectral,
        spectrum_key=None if spectral is None else sweeps(values["frequency_hertz"], spectral),
        step_key=found.get("step_count"),
        step_type=found.get("step_type"),
        step_time_second=None if within is None else column_map.converted("step_time_second", within),
        cycle_count=found.get("cycle_count"),
        status=found.get("status"),
        start_unix_second=start,
        about={"column_map": column_map.model_dump(mode="json", exclude_defaults=True)},
        notices=notices,
    )


def sweeps(frequency_hertz: Floats, spectral: NDArray[np.bool_]) -> Integers:
    """A number per row that grows where a frequency sweep begins again."""
    rows = np.flatnonzero(spectral)
    key = np.zeros(len(spectral), dtype=np.int64)
    if len(rows) > 1:
        change = np.sign(np.diff(np.log(frequency_hertz[rows])))
        direction = 1.0 if change.sum() > 0 else -1.0
        key[rows[1:]] = np.cumsum(change == -direction)
    return key


def _headings(file: TextFile, lines: Iterator[str], column_map: ColumnMap) -> list[str]:
    line = ""
    for _ in range(column_map.heading_line):
        line = next(lines, None)
        if line is None:
            raise file.error("heading_line", column_map.heading_line, "lies behind the end of the file")
    return [heading.strip().strip('"').strip() for heading in line.split(column_map.separator)]


def _place(file: TextFile, headings: list[str], heading: str) -> int:
    places = [place for place, found in enumerate(headings) if found == heading]
    if len(places) != 1:
        why = (
            "is there more than once" if places else f"is not there; the file has {', '.join(headings[:20])}"
        )
        raise file.error("heading", heading, why)
    return places[0]


def _skip(file: TextFile, line: str, wanted: dict[int, Kind], width: int, column_map: ColumnMap) -> None:
    """A line that is not data; raises ConfigurationError if it is, or if a row has run into it."""
    fields = line.split(column_map.separator)
    if sum(1 for field in fields if field.strip()) > width:
        why = f"this line has {len(fields)} fields where the headings name {width}"
        raise file.error("skip_after_heading", column_map.skip_after_heading, why)
    places = [place for place, kind in wanted.items() if kind != "text" and place < len(fields)]
    numbers = [parse_number(fields[place].strip().strip('"'), column_map.decimal) for place in places]
    if numbers and all(number is not None and isfinite(number) for number in numbers):
        raise file.error("skip_after_heading", column_map.skip_after_heading, "this line holds data")


def _kind(name: str, column_map: ColumnMap) -> Kind:
    quantity = column_map.quantity(name)
    if quantity == "count":
        return "integer"
    if quantity == "text" or column_map.columns[name].unit in ("h:min:s", "datetime"):
        return "text"
    return "required_number" if name == "test_time_second" else "number"


def _time(
    path: Path,
    found: NDArray[Any] | None,
    lines: Integers,
    column_map: ColumnMap,
    notices: list[str],
) -> tuple[Floats, float | None]:
    """Test time, and the wall time of its zero if the file tells it."""
    if found is None:
        notices.append("the file has no times: all points of a spectrum get test time 0")
        return np.zeros(len(lines)), None
    mapped = column_map.columns["test_time_second"]
    if mapped.unit == "h:min:s":
        return _clock_times(path, found, lines, mapped, column_map.decimal), None
    if mapped.unit == "datetime":
        wall = _dates(path, found, lines, mapped)
        return (wall - wall[0], float(wall[0])) if wall.size else (wall, None)
    return column_map.converted("test_time_second", found), None


def _clock_times(
    path: Path, texts: NDArray[Any], lines: Integers, mapped: MappedColumn, decimal: Decimal
) -> Floats:
    times = np.empty(len(texts))
    for row, text in enumerate(texts):
        match = _CLOCK.fullmatch(text)
        seconds = parse_number(match[4], decimal) if match else None
        if match is None or seconds is None:
            allowed = "must be an elapsed time such as 26:03:07.5 (hours:minutes:seconds)"
            raise line_error(path, int(lines[row]), mapped.column, text[:60], allowed)
        days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
        times[row] = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return times


def _dates(path: Path, texts: NDArray[Any], lines: Integers, mapped: MappedColumn) -> Floats:
    zone, pattern = ZoneInfo(mapped.timezone), mapped.pattern or ""
    times = np.empty(len(texts))
    for row, text in enumerate(texts):
        try:
            times[row] = datetime.strptime(text, pattern).replace(tzinfo=zone).timestamp()
        except ValueError:
            allowed = f"must be a date like {pattern}"
            raise line_error(path, int(lines[row]), mapped.column, text[:60], allowed) from None
    return times
