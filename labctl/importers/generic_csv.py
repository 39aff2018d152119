"""Delimited text of any program, read by a column map that a person writes once (`--columns FILE`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from labctl.bdf import ENVIRONMENT_COLUMNS
from labctl.importers.rows import IMPEDANCE_COLUMNS, FileRows, Floats, Integers
from labctl.importers.table import Decimal, Kind, parse_number, read_columns
from labctl.importers.text import TextFile, line_error
from labctl.records.loader import Name, Record
from labctl.schema import (
    CURRENT,
    CYCLE_COUNT,
    FREQUENCY,
    IMAGINARY_IMPEDANCE,
    REAL_IMPEDANCE,
    STATUS,
    STEP_COUNT,
    STEP_TIME,
    STEP_TYPE,
    TEST_TIME,
    VOLTAGE,
)

# What to multiply and to divide by on the way to labctl's unit, by the quantity a column holds.
# Dividing by a whole number rounds once; a factor of 0.001 is rounded itself.
Scale = tuple[float, float]
_UNITS: dict[str, dict[str, Scale]] = {
    "time": {"s": (1, 1), "ms": (1, 1000), "min": (60, 1), "h": (3600, 1), "d": (86400, 1)},
    "volt": {"V": (1, 1), "mV": (1, 1e3), "uV": (1, 1e6)},
    "ampere": {"A": (1, 1), "mA": (1, 1e3), "uA": (1, 1e6), "nA": (1, 1e9)},
    "celsius": {"degC": (1, 1), "K": (1, 1)},
    "pa": {"Pa": (1, 1), "kPa": (1e3, 1), "MPa": (1e6, 1), "bar": (1e5, 1)},
    "hertz": {"Hz": (1, 1), "kHz": (1e3, 1), "MHz": (1e6, 1), "mHz": (1, 1e3)},
    "ohm": {"ohm": (1, 1), "mohm": (1, 1e3), "kohm": (1e3, 1)},
    "count": {"1": (1, 1)},
    "text": {},
}
_QUANTITY = {
    TEST_TIME: "time",
    STEP_TIME: "time",
    VOLTAGE: "volt",
    CURRENT: "ampere",
    **{name: "celsius" if name.endswith("celsius") else "pa" for name in ENVIRONMENT_COLUMNS},
    FREQUENCY: "hertz",
    REAL_IMPEDANCE: "ohm",
    IMAGINARY_IMPEDANCE: "ohm",
    STEP_COUNT: "count",
    CYCLE_COUNT: "count",
    STATUS: "count",
    STEP_TYPE: "text",
}
KELVIN_OFFSET = 273.15
CLOCK_UNITS = ("h:min:s", "datetime")


class MappedColumn(Record):
    """One column: its heading in the file, its unit there, and whether the file has it with the other sign.

    `unit: h:min:s` reads elapsed times such as 26:03:07.5. `unit: datetime` reads dates by `pattern`, such as
    "%d.%m.%Y %H:%M:%S", as wall time of `timezone` (default UTC).
    """

    column: Annotated[str, Field(min_length=1, max_length=200)]
    unit: str = ""
    negated: bool = False
    pattern: str | None = None
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _dates_have_a_pattern(self) -> Self:
        if (self.unit == "datetime") != (self.pattern is not None):
            raise ValueError("pattern: belongs to unit 'datetime', and that needs it")
        return self

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            now = datetime(2024, 2, 3, 4, 5, 6)
            try:
                datetime.strptime(now.strftime(pattern), pattern)
            except ValueError as error:
                raise ValueError(f"is no pattern of a date: {error}") from None
        return pattern

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; such as Europe/Berlin or UTC") from None
        return name


class ColumnMap(Record):
    """How to read a delimited text file.

    Attributes:
        separator: between fields.
        decimal: decimal sign of all numbers.
        encoding: such as utf-8 or cp1252.
        heading_line: number of the line with the headings, from 1.
        skip_after_heading: lines between headings and data, such as a line of units.
        current_positive: what current > 0 means in the file.
        technique: what was measured, in short; names the plan "imported-...".
        columns: labctl's column name -> where and how the file has it.
    """

    separator: Literal[",", ";", "\t", "|", " "] = ","
    decimal: Literal[".", ","] = "."
    encoding: Literal["utf-8", "cp1252", "latin-1", "ascii"] = "utf-8"
    heading_line: Annotated[int, Field(ge=1, le=10_000)] = 1
    skip_after_heading: Annotated[int, Field(ge=0, le=1000)] = 0
    current_positive: Literal["charge", "discharge"]
    technique: Name = "csv"
    columns: dict[str, MappedColumn]

    @model_validator(mode="after")
    def _columns_make_sense(self) -> Self:
        for name, mapped in self.columns.items():
            if name not in _QUANTITY:
                raise ValueError(f"columns.{name}: is not known; allowed are {', '.join(_QUANTITY)}")
            allowed = [*_UNITS[_QUANTITY[name]], *(CLOCK_UNITS if name == TEST_TIME else ())]
            if mapped.unit not in allowed and not (mapped.unit == "" and "1" in allowed):
                raise ValueError(f"columns.{name}.unit: {mapped.unit!r} must be one of {', '.join(allowed)}")
        if {REAL_IMPEDANCE, IMAGINARY_IMPEDANCE, FREQUENCY} & self.columns.keys():
            for name in (FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE):
                self._require(name, "for impedance")
        else:
            self._require(TEST_TIME, "unless there is impedance")
            self._require(VOLTAGE, "unless there is impedance")
            self._require(CURRENT, "unless there is impedance")
        if self.separator == self.decimal:
            raise ValueError(f"decimal: {self.decimal!r} is the separator too")
        return self

    def _require(self, name: str, why: str) -> None:
        if name not in self.columns:
            raise ValueError(f"columns.{name}: is missing; it is needed {why}")

    def converted(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers of the file in labctl's unit and sign of the column `name`."""
        mapped = self.columns[name]
        times, over = _UNITS[_QUANTITY[name]].get(mapped.unit, (1, 1))
        flips = mapped.negated != (name == CURRENT and self.current_positive == "discharge")
        found = values * (-times if flips else times) / over
        return found - KELVIN_OFFSET if mapped.unit == "K" else found

    def quantity(self, name: str) -> str:
        """What kind of quantity a column is, such as "volt", "count" or "text"."""
        return _QUANTITY[name]


_FLOATS = (VOLTAGE, CURRENT, *IMPEDANCE_COLUMNS, *ENVIRONMENT_COLUMNS)
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
    time, start = _time(path, found.get(TEST_TIME), numbers, column_map, notices)
    values = {name: column_map.converted(name, found[name]) for name in _FLOATS if name in found}
    for name in (VOLTAGE, CURRENT):
        values.setdefault(name, np.full(len(numbers), np.nan))
    within = found.get(STEP_TIME)
    spectral = values[FREQUENCY] > 0 if FREQUENCY in values else None
    return FileRows(
        path=path,
        sha256=file.sha256,
        format="csv",
        technique=column_map.technique,
        line_number=numbers,
        test_time_second=time,
        columns=values,
        is_impedance=spectral,
        spectrum_key=None if spectral is None else sweeps(values[FREQUENCY], spectral),
        step_key=found.get(STEP_COUNT),
        step_type=found.get(STEP_TYPE),
        step_time_second=None if within is None else column_map.converted(STEP_TIME, within),
        cycle_count=found.get(CYCLE_COUNT),
        status=found.get(STATUS),
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
    return "required_number" if name == TEST_TIME else "number"


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
    mapped = column_map.columns[TEST_TIME]
    if mapped.unit == "h:min:s":
        return _clock_times(path, found, lines, mapped, column_map.decimal), None
    if mapped.unit == "datetime":
        wall = _dates(path, found, lines, mapped)
        return (wall - wall[0], float(wall[0])) if wall.size else (wall, None)
    return column_map.converted(TEST_TIME, found), None


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
