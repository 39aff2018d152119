"""How long the steps of a protocol take, added up, with the charge they move.

The cell's charge is followed, so that it is known about where a voltage limit ends a step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import exp, nan
from typing import Any

from devices.core.techniques import (
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    Sampling,
    StepResult,
)
from labctl.records.cell import Cell
from labctl.units import duration_text
from plans.executor.environment_steps import ENVIRONMENT_PERIOD_SECOND
from plans.protocol.protocol import EnvironmentStep, SetTemperature
from plans.protocol.walk import Visit

EXPECTED_HOLD_SECOND = 1800.0  # a CV step that ends by its current usually ends before its time


def expected_second(technique: AnyTechnique, cell: Cell) -> float:
    """How long (s) a step may take: its time or charge; else a whole capacity, or half an hour at CV.

    Raises:
        ConfigurationError: only a voltage ends the step, and the cell has no active material to charge.
    """
    if isinstance(technique, Impedance):
        return technique.expected_second
    candidates = [] if technique.longest_second is None else [technique.longest_second]
    if isinstance(technique, ConstantCurrent):
        charge_ah = technique.until_charge_ah
        if charge_ah is None and (cell.active_material is not None or not candidates):
            charge_ah = cell.nominal_capacity_ah
        if charge_ah is not None:
            candidates.append(charge_ah * 3600.0 / abs(technique.current_ampere))
    elif not candidates:
        candidates.append(EXPECTED_HOLD_SECOND)
    return min(candidates)


def expected_points(technique: AnyTechnique, seconds: float) -> int:
    """Rows that a step of this length records: by its schedule, or one per frequency."""
    if isinstance(technique, Impedance):
        return technique.points
    return scheduled_points(technique.sampling, seconds)


def scheduled_points(sampling: Sampling, seconds: float) -> int:
    """Rows of a sampling schedule over this length."""
    points, begin = 0.0, 0.0
    for stage in sampling.stages:
        end = seconds if stage.until_second is None else min(stage.until_second, seconds)
        points += max(end - begin, 0.0) / stage.interval_second
        begin = max(begin, end)
    return int(points) + 1


_BYTE_PER_POINT, _BYTE_PER_STEP, _BYTE_PER_ENVIRONMENT_ROW = 190, 900, 700  # of the journal, measured
PROGRAM_GAP_SECOND = 1.0
_TYPICAL_KELVIN_PER_MINUTE, _TYPICAL_PA_PER_SECOND = 5.0, 1e6
_TYPICAL_SETTLING_SECOND = {"temperature": 900.0, "pressure": 60.0}
_ROOM_CELSIUS = 25.0
_RATE_LOSS = {
    "bare": (0.52, 0.36, 0.45),
    "coated": (0.19, 0.08, 0.02),
}  # at end of charge, of discharge; bend
_RATE_LOSS_KELVIN = 22.6
_USABLE_AT_REST = 0.95


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
        assumed_start_percent: State of charge at the first step that charges (0) or discharges (100), taken
            for the longest way as it is not known; None if no step does either.
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
    assumed_start_percent: float | None = None

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


@dataclass
class Tally:
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
    _start_percent: float | None = None
    _held_ah: float | None = (
        None  # charge in the cell between empty (0) and nominal; None until a limit is met
    )

    def __post_init__(self) -> None:
        self._pa = self.cell.stack_pressure_mpa * 1e6

    def take(self, visit: Visit) -> list[StepResult]:
        """Add a visit; what its steps are expected to end in."""
        self.second += PROGRAM_GAP_SECOND
        if visit.environment is not None:
            self._take_environment(visit.environment)
        results = list[StepResult]()
        for index, technique in enumerate(visit.techniques):
            seconds, charge_ah, reason = self._expected(technique)
            results.append(self._result(index, technique, seconds, charge_ah, reason))
            self.second, self.steps = self.second + seconds, self.steps + 1
            self.net_ah, self.moved_ah = self.net_ah + charge_ah, self.moved_ah + abs(charge_ah)
            self.points += expected_points(technique, seconds)
            self.largest_ampere = max(self.largest_ampere, abs(_current(technique)))
        return results

    def _result(
        self, index: int, technique: AnyTechnique, seconds: float, charge_ah: float, reason: str
    ) -> StepResult:
        return StepResult(
            technique_index=index,
            step_count=self.steps + 1,
            step_type=technique.step_type(),
            start_test_time_second=self.second,
            end_test_time_second=self.second + seconds,
            end_reason=reason,
            charging_capacity_ah=max(charge_ah, 0.0),
            discharging_capacity_ah=max(-charge_ah, 0.0),
            end_voltage_volt=nan,
            end_current_ampere=nan,
        )

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

    def _expected(self, technique: AnyTechnique) -> tuple[float, float, str]:
        """Time (s), signed charge (Ah), and what ends it."""
        if isinstance(technique, ConstantCurrent):
            return self._expected_current(technique)
        if isinstance(technique, ConstantVoltage):
            return self._expected_hold(technique), 0.0, "time"
        return expected_second(technique, self.cell), 0.0, "time"

    def _expected_current(self, technique: ConstantCurrent) -> tuple[float, float, str]:
        current, seconds = technique.current_ampere, expected_second(technique, self.cell)
        if self.cell.active_material is None or self.cell.is_symmetric:
            return seconds, current * seconds / 3600.0, "time"  # nothing in it that takes up charge
        capacity, charges = self.cell.nominal_capacity_ah, current > 0
        toward = technique.until_voltage_above_volt if charges else technique.until_voltage_below_volt
        if self._held_ah is None:
            # where the cell stands is not known: the longest way
            self._held_ah = 0.0 if charges else capacity
            self._start_percent = 0.0 if charges else 100.0
        if toward is not None:
            end = self._end_of_charge_ah(current)
            to_limit = max((end - self._held_ah) / current, 0.0) * 3600.0
            if to_limit <= seconds:
                self._held_ah = end
                return to_limit, current * to_limit / 3600.0, "voltage_above" if charges else "voltage_below"
        charge = current * seconds / 3600.0
        self._held_ah = min(max(self._held_ah + charge, 0.0), capacity)
        return seconds, charge, "time"

    def _end_of_charge_ah(self, current: float) -> float:
        """Charge (Ah) in the cell, between empty (0) and nominal, when a current has met its voltage limit.

        With r the C-rate, made slower by a higher temperature (e for every 22.6 K): a charge ends at
        Q (0.95 - A r / (1 + s r)), a discharge at Q B r / (1 + s r). A, B and s were fitted to simulated
        pellets of NCM and Li6PS5Cl, bare and coated, at 0.05 to 2 C, 25 and 60 degC; real ones differ.
        """
        capacity = self.cell.nominal_capacity_ah
        charging, discharging, bend = _RATE_LOSS["bare" if self.cell.coating is None else "coated"]
        rate = abs(current) / capacity * exp(-(self._celsius - _ROOM_CELSIUS) / _RATE_LOSS_KELVIN)
        lost = rate / (1.0 + bend * rate)
        share = _USABLE_AT_REST - charging * lost if current > 0 else discharging * lost
        return capacity * max(share, 0.0)

    def _expected_hold(self, technique: ConstantVoltage) -> float:
        longest = technique.longest_second
        if technique.until_current_below_ampere is None and longest is not None:
            return longest
        return min(EXPECTED_HOLD_SECOND, longest or EXPECTED_HOLD_SECOND)

    def result(self) -> DryRun:
        """All of it added up."""
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
            assumed_start_percent=self._start_percent,
        )


def _current(technique: AnyTechnique) -> float:
    return technique.current_ampere if isinstance(technique, ConstantCurrent) else 0.0


_PREFIXES = ((1.0, 1.0, ""), (1e-3, 1e3, "m"), (0.0, 1e6, "µ"))
_MAY_DIFFER = "what ends by voltage, current or drift may end sooner or later"
_MOST_STATIONS = 6  # of a temperature or pressure path, in one line


def describe(estimate: DryRun) -> str:
    """What it will take, a line each."""
    lines = [
        ("steps", f"{estimate.steps}"),
        (
            "duration",
            f"{estimate.duration_second / 3600:.1f} h of cell time"
            f" ({duration_text(estimate.duration_second)})",
        ),
        ("points", f"{estimate.points}, {_bytes(estimate.disk_byte)} on disk"),
        (
            "charge",
            f"{quantity(estimate.moved_charge_ah, 'Ah')} moved, "
            f"net {'+' if estimate.net_charge_ah > 0 else ''}{quantity(estimate.net_charge_ah, 'Ah')}; "
            f"about {quantity(estimate.energy_wh, 'Wh')}",
        ),
        ("current", f"at most {quantity(estimate.largest_current_ampere, 'A')} in its own steps"),
    ]
    if estimate.temperature_path:
        lines.append(("temperature", _path([v for _, v in estimate.temperature_path], "degC")))
    if estimate.pressure_path:
        lines.append(("pressure", _path([v / 1e6 for _, v in estimate.pressure_path], "MPa")))
    lines += zip(("estimate", ""), _assumptions(estimate), strict=False)
    return "\n".join(f"  {name:<12}{text}" for name, text in lines)


def _assumptions(estimate: DryRun) -> list[str]:
    """What the figures rest on, a line each."""
    if estimate.assumed_start_percent is None:
        return [_MAY_DIFFER]
    state = "an empty cell (0 %" if estimate.assumed_start_percent == 0 else "a full cell (100 %"
    return [f"from {state} of nominal), without measuring it:", _MAY_DIFFER]


def quantity(value: float, unit: str) -> str:
    """With the prefix that makes the number short."""
    for least, factor, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * least:  # from there on it is rounded up to 1
            return f"{_three_digits(value * factor)} {prefix if value else ''}{unit}"
    raise AssertionError("the last prefix takes everything")


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _path(values: list[float], unit: str) -> str:
    shown = [f"{value:g}" for value in values[:_MOST_STATIONS]]
    more = f", {len(values) - _MOST_STATIONS} more" if len(values) > _MOST_STATIONS else ""
    return f"{', '.join(shown)}{more} {unit}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"
