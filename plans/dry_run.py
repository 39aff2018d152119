"""What a protocol will take, and whether it is allowed, before anything moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import exp
from typing import Any

from devices.techniques import (
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    Program,
)
from labctl.cell import Cell
from labctl.errors import ProtocolError
from labctl.safety.limits import Limits
from plans.durations import EXPECTED_HOLD_SECOND, expected_points, expected_second
from plans.protocol import EnvironmentStep, Protocol, SetTemperature
from plans.walk import Course, Visit, next_visit

_BYTE_PER_POINT, _BYTE_PER_STEP, _BYTE_PER_ENVIRONMENT_ROW = 190, 900, 700  # of the journal, measured
_PROGRAM_GAP_SECOND = 1.0
ENVIRONMENT_PERIOD_SECOND = 10.0  # of test time, between rows of `environment`
_TYPICAL_KELVIN_PER_MINUTE, _TYPICAL_PA_PER_SECOND = 5.0, 1e6
_TYPICAL_SETTLING_SECOND = {"temperature": 900.0, "pressure": 60.0}
_ROOM_CELSIUS = 25.0
_RATE_LOSS_HOUR = {"bare": 0.33, "coated": 0.10}
_RATE_LOSS_KELVIN = 32.0
_USABLE_AT_REST, _LOST_AT_END_OF_DISCHARGE = 0.97, 0.7


@dataclass(frozen=True)
class DryRun:
    """What a protocol will take, loops in full.

    Attributes:
        duration_second: Cell time. Where only a voltage ends a step, the charge that the cell is expected to
            take from there decides; where a time and something else do, the time.
        points: Rows of `timeseries` and `impedance`.
        steps: Rows of `steps`.
        net_charge_ah: Charge in minus charge out.
        moved_charge_ah: Charge in plus charge out.
        energy_wh: Energy moved, at the middle of the cell's voltage window.
        disk_byte: Need of the journal.
        largest_current_ampere: Largest |I| of all steps.
        temperature_path: (test time s, degC) of every temperature step's end.
        pressure_path: (test time s, Pa) of every pressure step's end.
    """

    duration_second: float
    points: int
    steps: int
    net_charge_ah: float
    moved_charge_ah: float
    energy_wh: float = 0.0
    disk_byte: int = 0
    largest_current_ampere: float = 0.0
    temperature_path: tuple[tuple[float, float], ...] = ()
    pressure_path: tuple[tuple[float, float], ...] = ()

    def as_estimate(self) -> dict[str, float | int]:
        """For the start document; progress is shown against it."""
        return {
            "duration_second": self.duration_second,
            "points": self.points,
            "steps": self.steps,
            "disk_byte": self.disk_byte,
        }

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def dry_run(
    protocol: Protocol,
    cell: Cell,
    check: Callable[[Program], None] | None = None,
    check_environment: Callable[[EnvironmentStep], None] | None = None,
) -> DryRun:
    """Go through `protocol` without moving anything.

    Args:
        protocol: what would be run.
        cell: whose limits hold and whose capacity bounds steps that end by voltage.
        check: a cycler's own check of each program.
        check_environment: the station's own check of each temperature and stack pressure.

    Raises:
        ProtocolError: a step is outside the limits; names its path, field, value and what is allowed.
    """
    course = Course(protocol.resolved(cell))
    limits = cell.limits if protocol.limits is None else cell.limits.narrowed_by(protocol.limits)
    tally, checked = _Tally(cell, records_environment=check_environment is not None), set[Any]()
    progress = course.walk()
    visit = next(progress, None)
    while visit is not None:
        what = visit.environment or visit.techniques
        if what not in checked:
            checked.add(what)
            _check(visit, cell.id, limits, protocol.limits, check, check_environment)
        tally.take(visit)
        visit = next_visit(progress, ())
    return tally.result()


# ---- what is allowed
def _check(
    visit: Visit,
    cell_id: str,
    limits: Limits,
    protocol_limits: Limits | None,
    check: Callable[[Program], None] | None,
    check_environment: Callable[[EnvironmentStep], None] | None,
) -> None:
    try:
        if visit.environment is not None:
            _check_environment_limits(visit.environment, cell_id, limits)
            if check_environment is not None:
                check_environment(visit.environment)
            return
        for index, technique in enumerate(visit.techniques):
            _check_limits(visit.technique_path(index), technique, cell_id, limits)
        if check is not None:
            check(Program(techniques=visit.techniques, limits=protocol_limits))
    except ProtocolError as error:
        if str(error).startswith("step "):
            raise
        raise ProtocolError(f"step {visit.path}: {error}") from error


def _check_limits(path: str, technique: AnyTechnique, cell_id: str, limits: Limits) -> None:
    low, high, most = limits.voltage_min_volt, limits.voltage_max_volt, limits.current_max_ampere
    for name in ("voltage_volt", "dc_voltage_volt", "until_voltage_above_volt", "until_voltage_below_volt"):
        volt = getattr(technique, name, None)
        if volt is not None and ((low is not None and volt < low) or (high is not None and volt > high)):
            raise ProtocolError(
                f"step {path}: {name} = {volt:g} V: cell {cell_id} allows {low} V to {high} V"
            )
    for name in ("current_ampere", "dc_current_ampere"):
        ampere = getattr(technique, name, None)
        if ampere is not None and most is not None and abs(ampere) > most:
            raise ProtocolError(
                f"step {path}: {name} = {ampere * 1e3:g} mA: cell {cell_id} allows up to {most * 1e3:g} mA"
            )


def _check_environment_limits(step: EnvironmentStep, cell_id: str, limits: Limits) -> None:
    if isinstance(step, SetTemperature):
        most = limits.temperature_max_celsius
        if most is not None and step.temperature_celsius > most:
            raise ProtocolError(
                f"temperature_celsius = {step.temperature_celsius:g}: "
                f"cell {cell_id} allows up to {most:g} degC"
            )
    elif limits.pressure_max_pa is not None and step.pressure_pa > limits.pressure_max_pa:
        raise ProtocolError(
            f"pressure_pa = {step.pressure_pa:g}: the die of cell {cell_id} allows up to "
            f"{limits.pressure_max_pa:g} Pa"
        )


# ---- how long it takes
@dataclass
class _Tally:
    """Adds up; follows the cell's charge, as a step to a voltage limit may begin half way."""

    cell: Cell
    records_environment: bool = False
    second: float = 0.0
    points: int = 0
    steps: int = 0
    net_ah: float = 0.0
    moved_ah: float = 0.0
    largest_ampere: float = 0.0
    temperatures: list[tuple[float, float]] = field(default_factory=list)
    pressures: list[tuple[float, float]] = field(default_factory=list)
    _celsius: float = _ROOM_CELSIUS
    _pa: float = 0.0
    _held_ah: float | None = (
        None  # charge in the cell between empty (0) and nominal; None until a limit is met
    )

    def __post_init__(self) -> None:
        self._pa = self.cell.stack_pressure_mpa * 1e6

    def take(self, visit: Visit) -> None:
        self.second += _PROGRAM_GAP_SECOND
        if visit.environment is not None:
            self._take_environment(visit.environment)
        for technique in visit.techniques:
            seconds, charge_ah = self._expected(technique)
            self.second, self.steps = self.second + seconds, self.steps + 1
            self.net_ah, self.moved_ah = self.net_ah + charge_ah, self.moved_ah + abs(charge_ah)
            self.points += expected_points(technique, seconds)
            self.largest_ampere = max(self.largest_ampere, abs(_current(technique)))

    def _take_environment(self, step: EnvironmentStep) -> None:
        self.steps += 1
        if isinstance(step, SetTemperature):
            rate = (step.ramp_kelvin_per_minute or _TYPICAL_KELVIN_PER_MINUTE) / 60.0
            way, settling = abs(step.temperature_celsius - self._celsius), "temperature"
            self._celsius = step.temperature_celsius
        else:
            rate, settling = step.ramp_pa_per_second or _TYPICAL_PA_PER_SECOND, "pressure"
            way, self._pa = abs(step.pressure_pa - self._pa), step.pressure_pa
        settle = _TYPICAL_SETTLING_SECOND[settling] if way else 0.0
        self.second += way / rate + max(step.dwell_second or 0.0, settle)
        if isinstance(step, SetTemperature):
            self.temperatures.append((self.second, self._celsius))
        else:
            self.pressures.append((self.second, self._pa))

    def _expected(self, technique: AnyTechnique) -> tuple[float, float]:
        """Time (s) and signed charge (Ah)."""
        if isinstance(technique, ConstantCurrent):
            return self._expected_current(technique)
        if isinstance(technique, ConstantVoltage):
            return self._expected_hold(technique), 0.0
        return expected_second(technique, self.cell), 0.0

    def _expected_current(self, technique: ConstantCurrent) -> tuple[float, float]:
        current, capacity = technique.current_ampere, self.cell.nominal_capacity_ah
        seconds = expected_second(technique, self.cell)
        toward = technique.until_voltage_above_volt if current > 0 else technique.until_voltage_below_volt
        if toward is not None:
            end = self._end_of_charge_ah(current)
            begin = (0.0 if current > 0 else capacity) if self._held_ah is None else self._held_ah
            to_limit = max((end - begin) / current, 0.0) * 3600.0
            if to_limit <= seconds:
                self._held_ah = end
                return to_limit, current * to_limit / 3600.0
        charge = current * seconds / 3600.0
        if self._held_ah is not None:
            self._held_ah = min(max(self._held_ah + charge, 0.0), capacity)
        return seconds, charge

    def _end_of_charge_ah(self, current: float) -> float:
        """Charge (Ah) in the cell when a current has met its voltage limit.

        The share of the nominal capacity that a rate leaves usable is u = 0.97 / (1 + k rate), k = 0.33 h for
        a bare and 0.10 h for a coated composite at 25 degC, falling by e for every 32 K: the rate
        capabilities of NCM-Li6PS5Cl pellets of this kind. Most of it is lost at the end of discharge.
        """
        capacity = self.cell.nominal_capacity_ah
        slope_hour = _RATE_LOSS_HOUR["bare" if self.cell.coating is None else "coated"]
        slope_hour *= exp(-(self._celsius - _ROOM_CELSIUS) / _RATE_LOSS_KELVIN)
        lost = 1.0 - _USABLE_AT_REST / (1.0 + slope_hour * abs(current) / capacity)
        return capacity * (
            1.0 - (1.0 - _LOST_AT_END_OF_DISCHARGE) * lost
            if current > 0
            else _LOST_AT_END_OF_DISCHARGE * lost
        )

    def _expected_hold(self, technique: ConstantVoltage) -> float:
        longest = technique.longest_second
        if technique.until_current_below_ampere is None and longest is not None:
            return longest
        return min(EXPECTED_HOLD_SECOND, longest or EXPECTED_HOLD_SECOND)

    def result(self) -> DryRun:
        middle = 0.5 * (self.cell.voltage_min_volt + self.cell.voltage_max_volt)
        environment_rows = self.second / ENVIRONMENT_PERIOD_SECOND if self.records_environment else 0.0
        disk = (
            self.points * _BYTE_PER_POINT
            + self.steps * _BYTE_PER_STEP
            + environment_rows * _BYTE_PER_ENVIRONMENT_ROW
        )
        return DryRun(
            duration_second=self.second,
            points=self.points,
            steps=self.steps,
            net_charge_ah=self.net_ah,
            moved_charge_ah=self.moved_ah,
            energy_wh=self.moved_ah * abs(middle),
            disk_byte=round(disk),
            largest_current_ampere=self.largest_ampere,
            temperature_path=tuple(self.temperatures),
            pressure_path=tuple(self.pressures),
        )


def _current(technique: AnyTechnique) -> float:
    return technique.current_ampere if isinstance(technique, ConstantCurrent) else 0.0


def visits(protocol: Protocol, cell: Cell) -> Iterator[Visit]:
    """All visits of a protocol with its loops in full."""
    progress = Course(protocol.resolved(cell)).walk()
    visit = next(progress, None)
    while visit is not None:
        yield visit
        visit = next_visit(progress, ())
