"""Capacity, coulombic efficiency, retention and polarisation per cycle, from `steps` and `timeseries`.

A cycle is what the protocol marks as one (`cycle_count`, 0 before the first mark), never inferred. Its
capacities are those the instrument counted, summed over its finished steps, so that a step that was
interrupted and continued counts once; what is still running is added from the samples. CE = Q_discharge /
Q_charge of the same cycle (cathode as the working electrode). Retention is Q_discharge over that of the first
complete cycle at the same discharge rate, whose number stands beside it: a slow check-up cycle between
fast ones is compared with the first slow one. Polarisation is the mean voltage of charge less that of
discharge, each the energy over the charge moved (integral of V dQ / Q).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import isfinite, nan
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType

from labctl.analysis.result_text import number, results, without_nan
from labctl.charge import COULOMB_PER_AH, moved_coulomb
from labctl.documents import RunTables
from labctl.records.cell import Cell
from labctl.schema import (
    CURRENT,
    CYCLE_COUNT,
    END_TEST_TIME,
    START_TEST_TIME,
    STEP_COUNT,
    STEP_TYPE,
    STEPS,
    TEST_TIME,
    TIMESERIES,
    VOLTAGE,
)

MASS_BASIS = "active material"


@dataclass(frozen=True)
class CycleResult:
    """One cycle. NaN: not measured, or not known yet.

    Attributes:
        cycle_count: Its number by the protocol's marks.
        complete: Whether a later cycle has begun or the run has ended in order.
        start_test_time_second: Beginning of its first step with current.
        end_test_time_second: End of its last step with current, so far.
        charge_capacity_ah: Charge taken up, > 0.
        discharge_capacity_ah: Charge given back, > 0.
        charge_current_ampere: Mean current of charging, > 0.
        discharge_current_ampere: Mean magnitude of the current of discharging, > 0.
        charge_mean_volt: Mean cell voltage of charging, by charge.
        discharge_mean_volt: Mean cell voltage of discharging, by charge.
        coulombic_efficiency: Discharge over charge capacity; NaN until the cycle is complete.
        retention: Discharge capacity over that of the reference cycle; NaN until complete.
        reference_cycle_count: The first complete cycle at this cycle's discharge rate.
        active_mass_kg: Mass of active material that specific capacities refer to.
    """

    cycle_count: int
    complete: bool
    start_test_time_second: float
    end_test_time_second: float
    charge_capacity_ah: float
    discharge_capacity_ah: float
    charge_current_ampere: float
    discharge_current_ampere: float
    charge_mean_volt: float
    discharge_mean_volt: float
    coulombic_efficiency: float
    retention: float
    reference_cycle_count: int | None
    active_mass_kg: float

    @property
    def polarization_volt(self) -> float:
        """Mean charge voltage less mean discharge voltage."""
        return self.charge_mean_volt - self.discharge_mean_volt

    @property
    def charge_capacity_mah_per_g(self) -> float:
        """Charge capacity per mass of active material (1 Ah/kg = 1 mAh/g)."""
        return self.charge_capacity_ah / self.active_mass_kg

    @property
    def discharge_capacity_mah_per_g(self) -> float:
        """Discharge capacity per mass of active material."""
        return self.discharge_capacity_ah / self.active_mass_kg


@dataclass(frozen=True)
class CyclingAnalysis:
    """All cycles of a run, and what its specific capacities refer to."""

    run_uid: str
    cell_id: str | None
    cycles: tuple[CycleResult, ...]
    active_mass_kg: float
    mass_basis: str = MASS_BASIS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None."""
        cycles = [
            asdict(cycle)
            | {
                "polarization_volt": cycle.polarization_volt,
                "charge_capacity_mah_per_g": cycle.charge_capacity_mah_per_g,
                "discharge_capacity_mah_per_g": cycle.discharge_capacity_mah_per_g,
            }
            for cycle in self.cycles
        ]
        plain = {"run_uid": self.run_uid, "cell_id": self.cell_id, "mass_basis": self.mass_basis}
        plain |= {"active_mass_kg": self.active_mass_kg}
        cleaned: dict[str, Any] = without_nan(plain | {"cycles": cycles})
        return cleaned


_MOST_ROWS = 40  # of a long test the first and last ones are shown


def cycling_table(found: CyclingAnalysis) -> RenderableType:
    """One row a cycle; of a long test the first and the last ones."""
    shown, notes = _shown(found.cycles)
    mass = f"{found.active_mass_kg * 1e6:.4g} mg of {found.mass_basis}"
    notes += [
        f"capacities per gram refer to {mass}; CE = discharge / charge of the same cycle",
        "retention: discharge capacity over that of the first complete cycle at the same discharge rate, "
        "whose number stands beside it",
    ]
    if not all(cycle.complete for cycle in shown):
        notes.append("* this cycle is not complete: the run is in progress, or ended within it")
    columns: dict[str, Callable[[CycleResult], str]] = {
        "cycle": lambda c: f"{c.cycle_count}{'' if c.complete else '*'}",
        "charge\nmAh/g": lambda c: number(c.charge_capacity_mah_per_g),
        "discharge\nmAh/g": lambda c: number(c.discharge_capacity_mah_per_g),
        "discharge\nmAh": lambda c: number(c.discharge_capacity_ah, factor=1e3),
        "current\nmA": lambda c: number(c.discharge_current_ampere, 3, factor=1e3),
        "CE\n%": lambda c: number(c.coulombic_efficiency, 5, factor=100),
        "retention\n%": lambda c: number(c.retention, 4, factor=100),
        "of cycle": lambda c: "-" if c.reference_cycle_count is None else f"{c.reference_cycle_count}",
        "polarisation\nmV": lambda c: number(c.polarization_volt, 4, factor=1e3),
    }
    return results(f"Cycles of {found.cell_id or 'an unknown cell'}", shown, columns, notes)


def _shown(cycles: Sequence[CycleResult]) -> tuple[list[CycleResult], list[str]]:
    if len(cycles) <= _MOST_ROWS:
        return list(cycles), []
    half = _MOST_ROWS // 2
    left_out = len(cycles) - 2 * half
    return [*cycles[:half], *cycles[-half:]], [f"{left_out} cycles in between are left out; --json has all"]


Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_Reference = tuple[float, float, int]  # discharge current (A) and capacity (Ah) of a cycle, its number
_SAME_RATE = 0.05  # mean discharge currents that differ by less belong to the same rate
# +1 takes up charge, -1 gives it back; steps that are not here drive no direct current.
STEP_DIRECTION: dict[str, int] = {"cc_charge": +1, "cv_charge": +1, "cc_discharge": -1, "cv_discharge": -1}


def analyze_cycles(tables: RunTables, cell: Cell | None = None) -> CyclingAnalysis:
    """The cycles of a run.

    Args:
        tables: The run, from `labctl.documents.tables`.
        cell: Gives the mass of active material; None takes the cell record in the start document.
    """
    record = tables.start.get("cell")
    mass = cell.active_mass_kg if cell else active_mass_kg(record)
    cycles = CycleAccumulator(active_mass_kg=mass)
    steps, series = tables.stream(STEPS.name), tables.stream(TIMESERIES.name)
    if series:
        numbers, first = np.unique(series[STEP_COUNT], return_index=True)
        types = {int(n): str(series[STEP_TYPE][row]) for n, row in zip(numbers, first, strict=True)}
        cycles.take_samples(
            series[TEST_TIME],
            series[VOLTAGE],
            series[CURRENT],
            series[CYCLE_COUNT],
            series[STEP_COUNT],
            types,
        )
    for row in range(len(steps.get(STEP_COUNT, ()))):
        cycles.take_step({name: column[row] for name, column in steps.items()})
    if tables.stop is not None and tables.stop.get("exit_status") == "success":
        cycles.finish()
    cell_id = cell.id if cell else record.get("id") if isinstance(record, Mapping) else None
    return CyclingAnalysis(str(tables.start.get("uid", "")), cell_id, tuple(cycles.results()), mass)


def active_mass_kg(cell_record: Any) -> float:
    """Mass of active material (kg) from the cell record of a start document; NaN where it does not tell."""
    try:
        composite_mg = float(cell_record["composite"]["mass_mg"])
        fraction = float(cell_record["active_material"]["mass_fraction"])
    except (KeyError, TypeError, ValueError):
        return nan
    return composite_mg * 1e-6 * fraction if composite_mg > 0 and fraction > 0 else nan


@dataclass
class _Half:
    """One direction of one cycle: what finished steps say, and what was integrated from the samples."""

    finished_ah: float = 0.0
    finished_second: float = 0.0
    running: dict[int, tuple[float, float]] = field(default_factory=dict)  # Ah and s of steps not finished
    sampled_ah: float = 0.0
    energy_wh: float = 0.0

    @property
    def capacity_ah(self) -> float:
        capacity = self.finished_ah + sum(ah for ah, _ in self.running.values())
        return capacity if capacity > 0 else nan

    @property
    def current_ampere(self) -> float:
        second = self.finished_second + sum(second for _, second in self.running.values())
        return self.capacity_ah * 3600 / second if second > 0 else nan

    @property
    def mean_volt(self) -> float:
        return self.energy_wh / self.sampled_ah if self.sampled_ah > 0 else nan


@dataclass
class _Cycle:
    charge: _Half = field(default_factory=_Half)
    discharge: _Half = field(default_factory=_Half)
    start_second: float = nan
    end_second: float = nan

    def spans(self, first_second: float, last_second: float) -> None:
        """Take in a stretch of time."""
        self.start_second = float(np.fmin(self.start_second, first_second))
        self.end_second = float(np.fmax(self.end_second, last_second))


class CycleAccumulator:
    """Cycles as they come: feed it samples and finished steps in order, ask for results at any time.

    Each call costs what it brings, not what there was before.
    """

    def __init__(self, *, active_mass_kg: float = nan) -> None:
        self._mass = active_mass_kg
        self._cycles: dict[int, _Cycle] = {}
        self._finished: set[int] = set()
        self._ended = False
        self._known: list[CycleResult] = []  # of the first cycles, which are complete and do not change
        self._references: list[_Reference] = []
        self._previous: tuple[Floats, Floats, Floats, Integers, Integers] | None = None
        self.version = 0

    def take_samples(
        self,
        test_time_second: Floats,
        voltage_volt: Floats,
        current_ampere: Floats,
        cycle_count: Integers,
        step_count: Integers,
        step_types: Mapping[int, str],
    ) -> None:
        """Take rows of `timeseries`, arrays of one length, and the types of the steps among them.

        Rows without a valid reading are passed over. Only steps with current count: what is read at open
        circuit is the offset of the instrument.
        """
        columns = (test_time_second, voltage_volt, current_ampere, cycle_count, step_count)
        valid = np.isfinite(test_time_second) & np.isfinite(voltage_volt) & np.isfinite(current_ampere)
        rows = tuple(column[valid] for column in columns)
        if not len(rows[0]):
            return
        if self._previous is not None:
            rows = tuple(np.concatenate(pair) for pair in zip(self._previous, rows, strict=True))
        self._previous = tuple(column[-1:] for column in rows)  # type: ignore[assignment]
        self._integrate(*rows, step_types)  # type: ignore[arg-type]
        self.version += 1

    def _integrate(
        self,
        time: Floats,
        volt: Floats,
        ampere: Floats,
        cycle: Integers,
        step: Integers,
        step_types: Mapping[int, str],
    ) -> None:
        """Trapezoids between rows of the same step, summed by step."""
        second = np.where(np.diff(step) == 0, np.maximum(np.diff(time), 0.0), 0.0)
        charge = moved_coulomb(second, ampere) / COULOMB_PER_AH
        energy = charge * (volt[1:] + volt[:-1]) / 2
        bounds = [0, *(np.flatnonzero(np.diff(step[1:])) + 1), len(charge)] if len(charge) else []
        for first, last in pairwise(bounds):
            number, part = int(step[first + 1]), slice(first, last)
            half = self._half(int(cycle[first + 1]), step_types.get(number, ""))
            if half is None or not (lasted := float(second[part].sum())):
                continue
            found, way, sign = half
            moved = sign * float(charge[part].sum())
            way.sampled_ah += moved
            way.energy_wh += sign * float(energy[part].sum())
            if number not in self._finished:
                ah, before = way.running.get(number, (0.0, 0.0))
                way.running[number] = (ah + moved, before + lasted)
                found.spans(float(time[last] - lasted), float(time[last]))

    def _half(self, cycle_count: int, step_type: str) -> tuple[_Cycle, _Half, int] | None:
        """The cycle, and the direction in it, that a step belongs to; None for a step without current."""
        if step_type not in STEP_DIRECTION:
            return None
        cycle = self._cycles.setdefault(cycle_count, _Cycle())
        if self._known and cycle_count <= self._known[-1].cycle_count:
            self._known, self._references = [], []  # something comes late: look at all of them again
        sign = STEP_DIRECTION[step_type]
        return cycle, cycle.charge if sign > 0 else cycle.discharge, sign

    def take_step(self, row: Mapping[str, Any]) -> None:
        """Take a row of `steps`; its capacities replace what was integrated from the step's samples."""
        half = self._half(int(row[CYCLE_COUNT]), str(row[STEP_TYPE]))
        if half is None:
            return
        self.version += 1
        cycle, way, sign = half
        capacity = float(row.get(f"step_{'charging' if sign > 0 else 'discharging'}_capacity_ah", nan))
        if not isfinite(capacity):
            return  # the instrument did not count: the samples stand
        step = int(row[STEP_COUNT])
        began, ended = float(row[START_TEST_TIME]), float(row[END_TEST_TIME])
        self._finished.add(step)
        way.running.pop(step, None)
        way.finished_ah += capacity
        way.finished_second += max(ended - began, 0.0)
        cycle.spans(began, ended)

    def finish(self) -> None:
        """The run ended in order: its last cycle is complete."""
        self._ended = True
        self.version += 1

    @property
    def started(self) -> bool:
        """Whether any current was driven."""
        return bool(self._cycles)

    def results(self) -> list[CycleResult]:
        """The cycles with current so far, by number."""
        counts = sorted(self._cycles)
        for count in counts[len(self._known) : -1]:
            self._known.append(self._result(count, True, self._references))
        last = [self._result(count, self._ended, list(self._references)) for count in counts[-1:]]
        return [*self._known, *last]

    def _result(self, count: int, complete: bool, references: list[_Reference]) -> CycleResult:
        cycle = self._cycles[count]
        charge, discharge = cycle.charge.capacity_ah, cycle.discharge.capacity_ah
        rate = cycle.discharge.current_ampere
        reference = _reference(references, rate)
        if complete and reference is None and count > 0 and isfinite(rate):
            reference = (rate, discharge, count)
            references.append(reference)
        known = complete and reference is not None
        return CycleResult(
            cycle_count=count,
            complete=complete,
            start_test_time_second=float(cycle.start_second),
            end_test_time_second=float(cycle.end_second),
            charge_capacity_ah=charge,
            discharge_capacity_ah=discharge,
            charge_current_ampere=cycle.charge.current_ampere,
            discharge_current_ampere=rate,
            charge_mean_volt=cycle.charge.mean_volt,
            discharge_mean_volt=cycle.discharge.mean_volt,
            coulombic_efficiency=discharge / charge if complete and charge > 0 else nan,
            retention=discharge / reference[1] if known and reference else nan,
            reference_cycle_count=reference[2] if known and reference else None,
            active_mass_kg=self._mass,
        )


def _reference(
    references: Sequence[tuple[float, float, int]], rate: float
) -> tuple[float, float, int] | None:
    return next((r for r in references if abs(r[0] - rate) <= _SAME_RATE * r[0]), None)
