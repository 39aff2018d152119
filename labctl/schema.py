"""The streams: names, types and units of their columns, and which names a column may have at all."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from labctl.errors import JournalError

Kind = Literal["float", "integer", "string"]
_DTYPE = {"float": ("number", "<f8"), "integer": ("integer", "<i8"), "string": ("string", "<U64")}
_CAST: dict[Kind, Any] = {"float": float, "integer": int, "string": str}


@dataclass(frozen=True)
class ColumnSpec:
    """Name, type and unit of one column ("1" for counts, "" for labels)."""

    name: str
    kind: Kind
    units: str

    def data_key(self, source: str) -> dict[str, Any]:
        """The event-model data key."""
        dtype, dtype_numpy = _DTYPE[self.kind]
        return {
            "source": source,
            "dtype": dtype,
            "dtype_numpy": dtype_numpy,
            "shape": [],
            "units": self.units,
        }

    def cast(self, value: Any) -> float | int | str:
        """The value in the column's own type."""
        return _CAST[self.kind](value)


TIMESERIES = (
    ColumnSpec("test_time_second", "float", "s"),
    ColumnSpec("step_time_second", "float", "s"),
    ColumnSpec("voltage_volt", "float", "V"),
    ColumnSpec("current_ampere", "float", "A"),
    ColumnSpec("step_count", "integer", "1"),
    ColumnSpec("cycle_count", "integer", "1"),
    ColumnSpec("step_type", "string", ""),
    ColumnSpec("status", "integer", "1"),
)

IMPEDANCE = (
    ColumnSpec("test_time_second", "float", "s"),
    ColumnSpec("frequency_hertz", "float", "Hz"),
    ColumnSpec("real_impedance_ohm", "float", "ohm"),
    ColumnSpec("imaginary_impedance_ohm", "float", "ohm"),
    ColumnSpec("voltage_volt", "float", "V"),
    ColumnSpec("current_ampere", "float", "A"),
    ColumnSpec("amplitude_rms", "float", ""),
    ColumnSpec("amplitude_unit", "string", ""),
    ColumnSpec("spectrum_count", "integer", "1"),
    ColumnSpec("step_count", "integer", "1"),
    ColumnSpec("cycle_count", "integer", "1"),
    ColumnSpec("status", "integer", "1"),
)

ENVIRONMENT = (
    ColumnSpec("test_time_second", "float", "s"),
    ColumnSpec("temperature_t1_celsius", "float", "degC"),
    ColumnSpec("temperature_setpoint_celsius", "float", "degC"),
    ColumnSpec("applied_pressure_pa", "float", "Pa"),
    ColumnSpec("pressure_setpoint_pa", "float", "Pa"),
    ColumnSpec("surface_pressure_pa", "float", "Pa"),
)

STEPS = (
    ColumnSpec("step_count", "integer", "1"),
    ColumnSpec("protocol_step", "string", ""),
    ColumnSpec("step_type", "string", ""),
    ColumnSpec("cycle_count", "integer", "1"),
    ColumnSpec("start_test_time_second", "float", "s"),
    ColumnSpec("end_test_time_second", "float", "s"),
    ColumnSpec("end_reason", "string", ""),
    ColumnSpec("step_charging_capacity_ah", "float", "A.h"),
    ColumnSpec("step_discharging_capacity_ah", "float", "A.h"),
    ColumnSpec("end_voltage_volt", "float", "V"),
    ColumnSpec("end_current_ampere", "float", "A"),
)


RESERVED = {"seq_num", "time"}
_COLUMN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_]|[.:-](?=[A-Za-z0-9_]))*")
_LONGEST_NAME = 60  # PostgreSQL allows 63 bytes, and "ts_" comes before


def why_no_column(key: str, taken: AbstractSet[str]) -> str:
    """Why a data key cannot name a column beside those `taken` (in lower case); "" if it can."""
    if key in RESERVED or key.lower() in taken:
        return "the name is taken"
    if len(key) > _LONGEST_NAME or _COLUMN.fullmatch(key) is None or "--" in key:
        return f"a column name is up to {_LONGEST_NAME} letters, digits and underscores"
    return ""


def check_names(descriptor: dict[str, Any]) -> None:
    """Refuse an event descriptor with a data key that the document store could not take.

    Raises:
        JournalError: names stream, key and what is allowed.
    """
    taken = set(RESERVED)
    for key in descriptor.get("data_keys", {}):
        if reason := why_no_column(key, taken):
            stream = descriptor.get("name", "primary")
            raise JournalError(
                f"descriptor of stream {stream}: data key {key!r}: {reason}; rename the signal"
            )
        taken |= {key.lower(), f"ts_{key}".lower()}
