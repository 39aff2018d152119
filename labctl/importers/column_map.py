"""The column map of a generic CSV file: a YAML file that says what each column is, in which unit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from labctl.export.bdf_terms import ENVIRONMENT
from labctl.records import Name, Record

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
    "test_time_second": "time",
    "step_time_second": "time",
    "voltage_volt": "volt",
    "current_ampere": "ampere",
    **{name: "celsius" if name.endswith("celsius") else "pa" for name in ENVIRONMENT},
    "frequency_hertz": "hertz",
    "real_impedance_ohm": "ohm",
    "imaginary_impedance_ohm": "ohm",
    "step_count": "count",
    "cycle_count": "count",
    "status": "count",
    "step_type": "text",
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
            allowed = [*_UNITS[_QUANTITY[name]], *(CLOCK_UNITS if name == "test_time_second" else ())]
            if mapped.unit not in allowed and not (mapped.unit == "" and "1" in allowed):
                raise ValueError(f"columns.{name}.unit: {mapped.unit!r} must be one of {', '.join(allowed)}")
        if {"real_impedance_ohm", "imaginary_impedance_ohm", "frequency_hertz"} & self.columns.keys():
            for name in ("frequency_hertz", "real_impedance_ohm", "imaginary_impedance_ohm"):
                self._require(name, "for impedance")
        else:
            self._require("test_time_second", "unless there is impedance")
            self._require("voltage_volt", "unless there is impedance")
            self._require("current_ampere", "unless there is impedance")
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
        flips = mapped.negated != (name == "current_ampere" and self.current_positive == "discharge")
        found = values * (-times if flips else times) / over
        return found - KELVIN_OFFSET if mapped.unit == "K" else found

    def quantity(self, name: str) -> str:
        """What kind of quantity a column is, such as "volt", "count" or "text"."""
        return _QUANTITY[name]
