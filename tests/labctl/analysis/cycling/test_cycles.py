"""Cycles whose capacities and voltages are known, in one piece and as they come."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np
import pytest

from labctl.analysis.cycling.cycles import CycleAccumulator, active_mass_kg, analyze_cycles
from labctl.documents import RunTables

CELL = {
    "id": "lic-ncm-1",
    "composite": {"mass_mg": 12.0},
    "active_material": {"mass_fraction": 0.7},
}
MASS_KG = 12e-6 * 0.7
FADE = 0.98


class Cycling:
    """Charge and rest and discharge per cycle at given discharge currents; voltages are straight."""

    def __init__(self, currents: list[float], *, counted: bool = True, offset: float = 0.0) -> None:
        self.series: dict[str, list[Any]] = {
            name: []
            for name in (
                "test_time_second",
                "voltage_volt",
                "current_ampere",
                "cycle_count",
                "step_count",
                "step_type",
            )
        }
        self.steps: list[dict[str, Any]] = []
        self._counted, self._now, self._step = counted, 0.0, 0
        for cycle, ampere in enumerate(currents, start=1):
            capacity = 1.6e-3 * FADE ** (cycle - 1)
            self.add(cycle, "cc_charge", 0.2e-3, capacity, 3.0, 3.7)
            self.add(cycle, "rest", offset, 600 * offset / 3600, 3.6, 3.6)
            self.add(cycle, "cc_discharge", -ampere, 0.995 * capacity, 3.6, 2.4)

    def add(self, cycle: int, kind: str, ampere: float, ah: float, begin: float, end: float) -> None:
        self._step += 1
        lasted = ah * 3600 / abs(ampere) if ampere else 600.0
        time = np.linspace(0, lasted, 200)
        volt = begin + (end - begin) * time / lasted
        count = len(time)
        for name, column in (
            ("test_time_second", self._now + time),
            ("voltage_volt", volt),
            ("current_ampere", np.full(count, ampere)),
            ("cycle_count", np.full(count, cycle)),
            ("step_count", np.full(count, self._step)),
            ("step_type", np.full(count, kind)),
        ):
            self.series[name] += column.tolist()
        moved = ah if self._counted else nan
        self.steps.append(
            {
                "step_count": self._step,
                "protocol_step": f"{self._step}",
                "step_type": kind,
                "cycle_count": cycle,
                "start_test_time_second": self._now,
                "end_test_time_second": self._now + lasted,
                "step_charging_capacity_ah": moved if ampere > 0 else 0.0 * moved,
                "step_discharging_capacity_ah": moved if ampere < 0 else 0.0 * moved,
            }
        )
        self._now += lasted

    def tables(self, *, rows: int | None = None, steps: int | None = None, ended: bool = True) -> RunTables:
        series = {name: np.array(column[:rows]) for name, column in self.series.items()}
        done = self.steps[:steps]
        table = {name: np.array([row[name] for row in done]) for name in self.steps[0]} if done else {}
        stop = {"exit_status": "success"} if ended else None
        return RunTables({"uid": "u", "cell": CELL}, stop, {"timeseries": series, "steps": table})


def test_capacity_efficiency_retention_and_polarisation_of_every_cycle() -> None:
    result = analyze_cycles(Cycling([0.32e-3] * 4).tables())
    assert [cycle.cycle_count for cycle in result.cycles] == [1, 2, 3, 4]
    for number, cycle in enumerate(result.cycles):
        assert cycle.charge_capacity_ah == pytest.approx(1.6e-3 * FADE**number)
        assert cycle.coulombic_efficiency == pytest.approx(0.995)
        assert cycle.retention == pytest.approx(FADE**number)
        assert cycle.reference_cycle_count == 1
        assert cycle.charge_mean_volt == pytest.approx(3.35, abs=1e-3)
        assert cycle.polarization_volt == pytest.approx(0.35, abs=1e-3)
        assert cycle.discharge_current_ampere == pytest.approx(0.32e-3)


def test_specific_capacities_refer_to_the_active_material() -> None:
    result = analyze_cycles(Cycling([0.32e-3]).tables())
    assert (result.mass_basis, result.cell_id) == ("active material", "lic-ncm-1")
    assert result.active_mass_kg == pytest.approx(MASS_KG)
    assert result.cycles[0].charge_capacity_mah_per_g == pytest.approx(1.6 / 8.4e-3)
    assert active_mass_kg(None) != active_mass_kg(None)  # NaN: not known


def test_retention_compares_cycles_of_the_same_rate() -> None:
    fast, slow = 0.8e-3, 0.16e-3
    cycles = analyze_cycles(Cycling([slow, fast, fast, slow, fast]).tables()).cycles
    assert [cycle.reference_cycle_count for cycle in cycles] == [1, 2, 2, 1, 2]
    assert cycles[3].retention == pytest.approx(FADE**3)
    assert cycles[4].retention == pytest.approx(FADE**3)


def test_without_the_instruments_count_the_samples_are_integrated() -> None:
    counted, integrated = (analyze_cycles(Cycling([0.3e-3] * 2, counted=c).tables()) for c in (True, False))
    for one, other in zip(counted.cycles, integrated.cycles, strict=True):
        assert other.discharge_capacity_ah == pytest.approx(one.discharge_capacity_ah, rel=1e-9)


def test_the_offset_of_an_open_circuit_is_no_charge() -> None:
    plain, biased = (analyze_cycles(Cycling([0.3e-3], counted=False, offset=o).tables()) for o in (0.0, 1e-6))
    assert biased.cycles[0].charge_capacity_ah == plain.cycles[0].charge_capacity_ah


def test_a_cycle_in_progress_has_its_capacity_so_far_and_no_efficiency() -> None:
    tables = Cycling([0.3e-3] * 2).tables(rows=1100, steps=5, ended=False)  # half of the second discharge
    first, second = analyze_cycles(tables).cycles
    assert first.complete
    assert first.coulombic_efficiency == pytest.approx(0.995)
    assert not second.complete
    assert second.discharge_capacity_ah == pytest.approx(0.995 * 1.6e-3 * FADE / 2, rel=0.02)
    assert isnan(second.coulombic_efficiency)
    assert isnan(second.retention)


def test_an_aborted_last_cycle_is_not_complete() -> None:
    tables = Cycling([0.3e-3] * 2).tables()
    aborted = replace(tables, stop={"exit_status": "abort"})
    assert [cycle.complete for cycle in analyze_cycles(aborted).cycles] == [True, False]


def test_an_interrupted_and_continued_step_counts_once() -> None:
    run = Cycling([])
    for part in (0.3, 0.7):
        run.add(1, "cc_charge", 0.2e-3, part * 1.6e-3, 3.0, 3.7)
    run.add(1, "cc_discharge", -0.2e-3, 1.5e-3, 3.6, 2.4)
    cycle = analyze_cycles(run.tables()).cycles[0]
    assert cycle.charge_capacity_ah == pytest.approx(1.6e-3)
    assert cycle.charge_current_ampere == pytest.approx(0.2e-3)


@pytest.mark.parametrize("part", [1, 7, 130, 5000])
def test_fed_in_parts_it_says_what_it_says_of_the_whole(part: int) -> None:
    run = Cycling([0.3e-3, 0.6e-3, 0.3e-3])
    whole = analyze_cycles(run.tables())
    accumulator = CycleAccumulator(active_mass_kg=MASS_KG)
    columns = {name: np.array(column) for name, column in run.series.items()}
    types = dict(zip(run.series["step_count"], run.series["step_type"], strict=True))
    waiting = list(run.steps)
    for first in range(0, len(columns["step_count"]), part):
        rows = {name: column[first : first + part] for name, column in columns.items() if name != "step_type"}
        accumulator.take_samples(**rows, step_types=types)
        while waiting and waiting[0]["step_count"] < rows["step_count"][-1]:
            accumulator.take_step(waiting.pop(0))
    for row in waiting:
        accumulator.take_step(row)
    accumulator.finish()
    for one, other in zip(accumulator.results(), whole.cycles, strict=True):
        assert one.polarization_volt == pytest.approx(other.polarization_volt, rel=1e-9)
        assert replace(one, charge_mean_volt=0, discharge_mean_volt=0) == replace(
            other, charge_mean_volt=0, discharge_mean_volt=0
        )


def test_missing_readings_and_a_run_without_cycles_are_no_error() -> None:
    run = Cycling([0.3e-3])
    run.series["voltage_volt"][50:60] = [nan] * 10
    cycle = analyze_cycles(run.tables()).cycles[0]
    assert cycle.charge_mean_volt == pytest.approx(3.35, abs=5e-3)
    assert analyze_cycles(RunTables({}, None, {})).cycles == ()


def test_plain_json_has_no_nan() -> None:
    tables = Cycling([0.3e-3] * 2).tables(rows=1100, steps=5, ended=False)
    plain = analyze_cycles(tables).to_dict()
    assert plain["cycles"][1]["coulombic_efficiency"] is None
    assert plain["cycles"][0]["discharge_capacity_mah_per_g"] == pytest.approx(0.995 * 1.6 / 8.4e-3)
    assert plain["mass_basis"] == "active material"
