"""The heading of BioLogic's text export: technique, instrument, start, settings, columns.

They write month, day, year; what stands between them is the separator of the computer's language, so a date
with dots is month first too. Only a first number above 12 shows that somebody turned it round. The files name
no time zone: times are those of this computer's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.importers.rows import Floats, Integers
from labctl.importers.table import Decimal, parse_number
from labctl.importers.text import TextFile, line_error

_DATE = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}) (\d{1,2})[:.](\d{2})[:.](\d{2})(?:[.,](\d{1,6})\d*)?", re.ASCII
)


def is_date(text: str) -> bool:
    """Whether a field holds a date and a time of day."""
    return _DATE.fullmatch(text.strip()) is not None


def started_at(text: str) -> tuple[float | None, list[str]]:
    """Wall time of a date (seconds since 1970), None if it is none; and what is doubtful about it."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None, [f"when it was measured is not known ({text!r})" if text else "the file has no date"]
    first, second = int(match[1]), int(match[2])
    found = _moment(match, day_first=first > 12)
    if found is None:
        return None, [f"when it was measured is not known ({text!r})"]
    doubtful = first <= 12 and second <= 12 and first != second
    return found.timestamp(), [f"the date {text!r} was read as month/day/year"] if doubtful else []


def elapsed_second(
    path: Path, texts: NDArray[np.object_], lines: Integers, heading: str
) -> tuple[Floats, float | None]:
    """Seconds since the first row of a column of dates, and the wall time of that row.

    Raises:
        ConfigurationError: names the line of a field that is no date.
    """
    matches = [_DATE.fullmatch(str(text)) for text in texts]
    day_first = any(match is not None and int(match[1]) > 12 for match in matches)
    found = np.empty(len(matches))
    for row, match in enumerate(matches):
        moment = None if match is None else _moment(match, day_first=day_first)
        if moment is None:
            allowed = f"must be a date like {'27/08' if day_first else '08/27'}/2021 10:00:00.500"
            raise line_error(path, int(lines[row]), heading, str(texts[row])[:60], allowed)
        found[row] = moment.timestamp()
    return (found - found[0], float(found[0])) if found.size else (found, None)


def without_dates(fields: Sequence[str]) -> list[str]:
    """The fields that are no dates."""
    return [field for field in fields if not is_date(field)]


def _moment(match: re.Match[str], *, day_first: bool) -> datetime | None:
    first, second = int(match[1]), int(match[2])
    month, day = (second, first) if day_first else (first, second)
    microsecond = int((match[7] or "0").ljust(6, "0"))
    clock = (int(match[3]), month, day, int(match[4]), int(match[5]), int(match[6]), microsecond)
    try:
        return datetime(*clock).astimezone()
    except ValueError:
        return None


_KINDS = ("EC-Lab ASCII FILE", "BT-Lab ASCII FILE")
_COUNT = re.compile(r"Nb header lines\s*:\s*(\d{1,5})\s*", re.ASCII)
_FEWEST_LINES, _MOST_LINES = 3, 5000
TECHNIQUES = {
    "Open Circuit Voltage": "ocv",
    "Galvanostatic Cycling with Potential Limitation": "gcpl",
    "Potentio Electrochemical Impedance Spectroscopy": "peis",
    "Galvano Electrochemical Impedance Spectroscopy": "geis",
    "Modulo Bat": "mb",
    "Chronopotentiometry": "cp",
    "Chronoamperometry / Chronocoulometry": "ca",
    "Constant Current": "cc",
    "Constant Voltage": "cv",
}
_DEVICE = re.compile(r"(?P<model>.+?)\s*(?:\(SN (?P<serial>[^)]*)\))?")
_MICRO = "\N{MICRO SIGN}"
_AMPERE = {"A": 1.0, "mA": 1e-3, f"{_MICRO}A": 1e-6, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}
_AMPERE[f"{_MICRO}A".encode().decode("cp1252")] = 1e-6  # as in a file that an editor has saved as UTF-8
_NO_TECHNIQUE = "mpt"
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Heading:
    """What stands above the data."""

    technique: str
    columns: list[str]
    columns_line: int
    lines: tuple[str, ...]
    decimal: Decimal
    start_unix_second: float | None
    device: dict[str, str]
    notices: tuple[str, ...]
    first_row: str

    def gives_dates(self, place: int) -> bool:
        """Whether a column has dates (EC-Lab's "absolute" time) instead of numbers."""
        return is_date(next(iter(self.first_row.split("\t")[place:]), ""))

    def amplitude(self, sequence: NDArray[Any] | None, rows: int) -> tuple[str, Floats]:
        """Unit and rms value of the excitation of each row; "" and NaN where the settings do not tell it.

        The settings give the amplitude of the sine itself (Va in mV, Ia in its own unit): rms is that over
        the square root of 2.
        """
        volts = self._setting("Va (mV)")
        if volts:
            return "V", _of_rows([value / 1e3 / sqrt(2) for value in volts], sequence, rows)
        currents, units = self._setting("Ia"), self._words("unit Ia")
        if (
            set(self._words("Ia/Va")) <= {"Ia"}
            and currents
            and len(units) == len(currents)
            and all(unit in _AMPERE for unit in units)
        ):
            scaled = [v * _AMPERE[unit] / sqrt(2) for v, unit in zip(currents, units, strict=True)]
            return "A", _of_rows(scaled, sequence, rows)
        return {"geis": "A", "peis": "V"}.get(self.technique, ""), np.full(rows, nan)

    def _setting(self, name: str) -> list[float]:
        """The numbers of a setting, one per sequence; none if any of them is no number."""
        values = [parse_number(word, self.decimal) for word in self._words(name)]
        return [value for value in values if value is not None] if None not in values else []

    def _words(self, name: str) -> list[str]:
        """What stands behind the name of a setting, however many blanks are within the name."""
        start = name.split()
        words = (line.split() for line in self.lines)
        return next((found[len(start) :] for found in words if found[: len(start)] == start), [])


def _of_rows(values: Sequence[float], sequence: NDArray[Any] | None, rows: int) -> Floats:
    """The value of each row's sequence."""
    if len(set(values)) == 1:
        return np.full(rows, values[0])
    if sequence is None or ((sequence < 0) | (sequence >= len(values))).any():
        return np.full(rows, nan)
    return np.array(values)[sequence]


def read_heading(file: TextFile, lines: Iterator[str]) -> tuple[Heading, Iterator[str]]:
    """Everything above the data, with the decimal sign of the data, and the lines of data.

    A file may have no heading at all: then technique, instrument, start and settings are not known. Columns
    behind one without a name have no data.

    Raises:
        ConfigurationError: this is no such file.
    """
    kind = next(lines, "")
    if kind.strip() not in _KINDS:
        raise file.error("kind", kind[:60], f"must be {' or '.join(_KINDS)}")
    count = _line_count(file, next(lines, ""))
    above = [line for _, line in zip(range(count - _FEWEST_LINES), lines, strict=False)]
    columns = (next(lines, "")).split("\t")
    if file.line_number != count or len(columns) < 2:
        raise file.error("Nb header lines", count, "that line must name the columns, separated by tabs")
    columns = [column.strip() for column in columns]
    if "" in columns:
        columns = columns[: columns.index("")]
    text = [line.rstrip() for line in above]
    first = next(lines, "")
    technique, unknown = _technique(text)
    started, notices = started_at(_value(text, "Acquisition started on"))
    return Heading(
        technique=technique,
        columns=columns,
        columns_line=count,
        lines=tuple(text),
        decimal=_decimal(file, first),
        start_unix_second=started,
        device=_device(text),
        notices=(*unknown, *notices),
        first_row=first,
    ), chain([first], lines) if first else lines


def _decimal(file: TextFile, first_row: str) -> Decimal:
    """The decimal sign of the first row of data."""
    numbers = "\t".join(without_dates(first_row.split("\t")))
    signs = {sign for sign in (".", ",") if sign in numbers}
    if len(signs) == 2:
        raise file.error("row", first_row[:80], "has both '.' and ',': which one is the decimal sign?")
    return "," if signs == {","} else "."


def _line_count(file: TextFile, line: str) -> int:
    match = _COUNT.fullmatch(line)
    count = int(match[1]) if match else 0
    if not _FEWEST_LINES <= count <= _MOST_LINES:
        allowed = f"must be 'Nb header lines : ' and a number from {_FEWEST_LINES} to {_MOST_LINES}"
        raise file.error("Nb header lines", line[:60], allowed)
    return count


def _technique(lines: Sequence[str]) -> tuple[str, list[str]]:
    """The technique in short, and what should be known about it."""
    name = next((line.strip() for line in lines if line.strip()), "")
    for known, short in TECHNIQUES.items():
        if name == known or (short == "gcpl" and name.startswith(known)):
            return short, []
    if not name:
        return _NO_TECHNIQUE, ["the file has no heading: technique, instrument and settings are not known"]
    slug = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:_LONGEST_NAME].strip("-") or _NO_TECHNIQUE
    return slug, [f"technique {name[:80]!r} is not supported: read by its columns"]


def _value(lines: Sequence[str], name: str) -> str:
    """What stands behind "name :"; "" if no line has it."""
    start = f"{name} :"
    return next((line[len(start) :].strip() for line in lines if line.startswith(start)), "")


def _device(lines: Sequence[str]) -> dict[str, str]:
    match = _DEVICE.fullmatch(_value(lines, "Device"))
    software = next((line.strip() for line in lines if "(software)" in line), "")
    found = {
        "maker": "BioLogic",
        "model": match["model"] if match else "",
        "serial": (match["serial"] or "") if match else "",
        "channel": _value(lines, "Run on channel"),
        "software": software.removesuffix("(software)").strip(),
    }
    return {key: value for key, value in found.items() if value}
