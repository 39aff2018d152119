"""Columns of the streams: BDF names, types and units, in one place, and the ophyd signal that carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ophyd import Signal

Kind = Literal["float", "integer", "string"]
_DTYPE = {"float": ("number", "<f8"), "integer": ("integer", "<i8"), "string": ("string", "<U64")}
_CAST: dict[Kind, Any] = {"float": float, "integer": int, "string": str}
NO_VALUE = 1 << 16
"""Bit of every `status` column: a value of this row is missing, its column is NaN.

The bits below it are the instrument's own (4 of an EmStat, 16 of a Keithley or a Eurotherm) and say why, if
the instrument does; a row without a NaN never has it.
"""


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


class Column(Signal):
    """An ophyd signal for one column: says its true type and unit, casts what it is given."""

    def __init__(self, *args: Any, spec: ColumnSpec, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spec = spec

    @property
    def units(self) -> str:
        """Unit of the column ("1" for counts)."""
        return self._spec.units

    def describe(self) -> dict[str, dict[str, Any]]:
        """The event-model data key under this signal's name."""
        return {self.name: self._spec.data_key(f"labctl:{self.name}")}

    def put(self, value: Any, **kwargs: Any) -> None:
        """Set the value, cast to the column's type."""
        super().put(self._spec.cast(value), **kwargs)
