"""The streams: names, types, units and meaning of their columns, and which names a column may have at all.

Whoever writes or reads a column takes its name from here (`row[VOLTAGE]`), and the name of a stream from the
stream (`run.stream(STEPS.name)`): a wrong name is then an error of every checker, not an empty plot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from labctl.errors import JournalError

Kind = Literal["float", "integer", "string"]
_DTYPE = {"float": ("number", "<f8"), "integer": ("integer", "<i8"), "string": ("string", "<U64")}
_CAST: dict[Kind, Any] = {"float": float, "integer": int, "string": str}


@dataclass(frozen=True)
class ColumnSpec:
    """Name, type and unit of one column ("1" for counts, "" for labels), and what it holds, in words."""

    name: str
    kind: Kind
    units: str
    description: str = ""

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


@dataclass(frozen=True)
class Stream:
    """A stream: the name in its descriptor, and its columns in their order; goes through its columns."""

    name: str
    description: str
    columns: tuple[ColumnSpec, ...]

    def __iter__(self) -> Iterator[ColumnSpec]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)


# Names of columns; the names are the Battery Data Format's wherever it has one
TEST_TIME = "test_time_second"
STEP_TIME = "step_time_second"
VOLTAGE = "voltage_volt"
CURRENT = "current_ampere"
STEP_COUNT = "step_count"
CYCLE_COUNT = "cycle_count"
STEP_TYPE = "step_type"
STATUS = "status"

FREQUENCY = "frequency_hertz"
REAL_IMPEDANCE = "real_impedance_ohm"
IMAGINARY_IMPEDANCE = "imaginary_impedance_ohm"
AMPLITUDE_RMS = "amplitude_rms"
AMPLITUDE_UNIT = "amplitude_unit"
SPECTRUM_COUNT = "spectrum_count"

TEMPERATURE = "temperature_t1_celsius"
TEMPERATURE_SETPOINT = "temperature_setpoint_celsius"
APPLIED_PRESSURE = "applied_pressure_pa"
PRESSURE_SETPOINT = "pressure_setpoint_pa"
SURFACE_PRESSURE = "surface_pressure_pa"

PROTOCOL_STEP = "protocol_step"
START_TEST_TIME = "start_test_time_second"
END_TEST_TIME = "end_test_time_second"
END_REASON = "end_reason"
STEP_CHARGING_CAPACITY = "step_charging_capacity_ah"
STEP_DISCHARGING_CAPACITY = "step_discharging_capacity_ah"
END_VOLTAGE = "end_voltage_volt"
END_CURRENT = "end_current_ampere"

ALARM_KIND = "kind"
ALARM_SOURCE = "source"
ALARM_VALUE = "value"
ALARM_LIMIT = "limit"
ALARM_ACTION = "action"

COLUMNS = {
    column.name: column
    for column in (
        ColumnSpec(TEST_TIME, "float", "s", "elapsed time since the start of the run"),
        ColumnSpec(STEP_TIME, "float", "s", "elapsed time since the start of the step"),
        ColumnSpec(VOLTAGE, "float", "V", "voltage between the terminals of the cell"),
        ColumnSpec(CURRENT, "float", "A", "current; positive charges the cell"),
        ColumnSpec(STEP_COUNT, "integer", "1", "number of the step, counted through the run"),
        ColumnSpec(CYCLE_COUNT, "integer", "1", "cycle, as marked in the protocol"),
        ColumnSpec(STEP_TYPE, "string", "", "rest, cc_charge, cc_discharge, cv_charge or cv_discharge"),
        ColumnSpec(STATUS, "integer", "1", "the instrument's own; 65536: a value is missing; 0 is good"),
        ColumnSpec(FREQUENCY, "float", "Hz", "frequency of the point"),
        ColumnSpec(REAL_IMPEDANCE, "float", "ohm", "real part of the impedance"),
        ColumnSpec(
            IMAGINARY_IMPEDANCE, "float", "ohm", "imaginary part of the impedance, with its true sign"
        ),
        ColumnSpec(AMPLITUDE_RMS, "float", "", "amplitude of the excitation (RMS), in the amplitude's unit"),
        ColumnSpec(AMPLITUDE_UNIT, "string", "", "V where the voltage was excited, A where the current was"),
        ColumnSpec(SPECTRUM_COUNT, "integer", "1", "number of the spectrum, counted through the run"),
        ColumnSpec(TEMPERATURE, "float", "degC", "temperature at sensor T1"),
        ColumnSpec(TEMPERATURE_SETPOINT, "float", "degC", "temperature asked of the controller"),
        ColumnSpec(APPLIED_PRESSURE, "float", "Pa", "stack pressure by the actuator"),
        ColumnSpec(PRESSURE_SETPOINT, "float", "Pa", "stack pressure asked for or held"),
        ColumnSpec(SURFACE_PRESSURE, "float", "Pa", "stack pressure by the load cell"),
        ColumnSpec(PROTOCOL_STEP, "string", "", "path of the step in the protocol"),
        ColumnSpec(START_TEST_TIME, "float", "s", "test time at which the step began"),
        ColumnSpec(END_TEST_TIME, "float", "s", "test time at which the step ended"),
        ColumnSpec(END_REASON, "string", "", "what ended the step"),
        ColumnSpec(STEP_CHARGING_CAPACITY, "float", "A.h", "charge put into the cell in the step"),
        ColumnSpec(STEP_DISCHARGING_CAPACITY, "float", "A.h", "charge taken from the cell in the step"),
        ColumnSpec(END_VOLTAGE, "float", "V", "last valid voltage of the step"),
        ColumnSpec(END_CURRENT, "float", "A", "last valid current of the step"),
        ColumnSpec(ALARM_KIND, "string", "", "what kind of alarm, such as trip, no_reading or disk_low"),
        ColumnSpec(ALARM_SOURCE, "string", "", "who raised it: an instrument, a limit, a file"),
        ColumnSpec(ALARM_VALUE, "float", "", "what was found, in the unit of the source"),
        ColumnSpec(ALARM_LIMIT, "float", "", "what it passed, in the unit of the source"),
        ColumnSpec(ALARM_ACTION, "string", "", "what was done about it, and what happened, in words"),
    )
}


def _stream(name: str, description: str, *columns: str) -> Stream:
    return Stream(name, description, tuple(COLUMNS[column] for column in columns))


TIMESERIES = _stream(
    "timeseries",
    "Samples of voltage and current.",
    *(TEST_TIME, STEP_TIME, VOLTAGE, CURRENT, STEP_COUNT, CYCLE_COUNT, STEP_TYPE, STATUS),
)
IMPEDANCE = _stream(
    "impedance",
    "Spectra, a row for each frequency, with the DC voltage and current it was measured at.",
    *(TEST_TIME, FREQUENCY, REAL_IMPEDANCE, IMAGINARY_IMPEDANCE, VOLTAGE, CURRENT),
    *(AMPLITUDE_RMS, AMPLITUDE_UNIT, SPECTRUM_COUNT, STEP_COUNT, CYCLE_COUNT, STATUS),
)
ENVIRONMENT = _stream(
    "environment",
    "Temperature and stack pressure.",
    *(TEST_TIME, TEMPERATURE, TEMPERATURE_SETPOINT, APPLIED_PRESSURE, PRESSURE_SETPOINT, SURFACE_PRESSURE),
)
STEPS = _stream(
    "steps",
    "A row for each finished step.",
    *(STEP_COUNT, PROTOCOL_STEP, STEP_TYPE, CYCLE_COUNT, START_TEST_TIME, END_TEST_TIME, END_REASON),
    *(STEP_CHARGING_CAPACITY, STEP_DISCHARGING_CAPACITY, END_VOLTAGE, END_CURRENT),
)
ALARMS = _stream(
    "alarms",
    "What went wrong, and what was done about it.",
    *(TEST_TIME, ALARM_KIND, ALARM_SOURCE, ALARM_VALUE, ALARM_LIMIT, ALARM_ACTION),
)
STREAMS = {stream.name: stream for stream in (TIMESERIES, IMPEDANCE, ENVIRONMENT, STEPS, ALARMS)}

# Made a hundred thousand times a second: a call by name costs next to nothing, a NamedTuple much.
Row = tuple[float | int | str, ...]


def sample_row(
    *,
    test_time_second: float,
    step_time_second: float,
    voltage_volt: float,
    current_ampere: float,
    step_count: int,
    cycle_count: int,
    step_type: str,
    status: int,
) -> Row:
    """A row of `timeseries`: a value for each column, in their order."""
    return (
        test_time_second,
        step_time_second,
        voltage_volt,
        current_ampere,
        step_count,
        cycle_count,
        step_type,
        status,
    )


def impedance_row(
    *,
    test_time_second: float,
    frequency_hertz: float,
    real_impedance_ohm: float,
    imaginary_impedance_ohm: float,
    voltage_volt: float,
    current_ampere: float,
    amplitude_rms: float,
    amplitude_unit: str,
    spectrum_count: int,
    step_count: int,
    cycle_count: int,
    status: int,
) -> Row:
    """A row of `impedance`: a value for each column, in their order."""
    return (
        test_time_second,
        frequency_hertz,
        real_impedance_ohm,
        imaginary_impedance_ohm,
        voltage_volt,
        current_ampere,
        amplitude_rms,
        amplitude_unit,
        spectrum_count,
        step_count,
        cycle_count,
        status,
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
