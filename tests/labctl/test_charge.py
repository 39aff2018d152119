"""The one trapezoid: whoever integrates a current gets the same charge where all of them count all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from devices.core.program import StepIntegral
from devices.core.techniques import ConstantVoltage
from devices.keithley.replay import ChargeWatch
from labctl.analysis.cycling.cycles import CycleAccumulator
from labctl.charge import COULOMB_PER_AH, moved_coulomb
from labctl.importers.rows import FileRows
from labctl.importers.steps import step_rows
from labctl.live.model.charge import ChargeCounter

currents = arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(0.5, 2))


def test_charge_is_the_mean_of_two_currents_times_the_time_between_them() -> None:
    moved = moved_coulomb(np.array([10.0, 0.0, 2.0]), np.array([1.0, 3.0, 5.0, -1.0]))
    assert moved.tolist() == [20.0, 0.0, 4.0]
    assert moved_coulomb(np.empty(0), np.array([1.0])).shape == (0,)


@given(current=currents)
@settings(deadline=None, max_examples=40)
def test_all_integrals_agree_on_a_step_without_gaps_that_begins_with_its_first_sample(current: Any) -> None:
    time, ones = np.arange(len(current), dtype=float), np.ones(len(current), dtype=np.int64)
    wanted = moved_coulomb(np.diff(time), current).sum()
    found = {}
    found["window"] = ChargeCounter().take(time, current, ones, {1: "cc_charge"})[-1] * COULOMB_PER_AH
    cycles = CycleAccumulator()
    cycles.take_samples(time, np.full(len(time), 3.0), current, ones, ones, {1: "cc_charge"})
    found["cycles"] = cycles.results()[0].charge_capacity_ah * COULOMB_PER_AH
    step = StepIntegral()
    for second, ampere in zip(time, current, strict=True):
        step.add(second, 3.0, ampere)
    found["driver"] = step.charging_coulomb
    watch = ChargeWatch(ConstantVoltage.model_construct(until_charge_ah=wanted * 0.999 / COULOMB_PER_AH))
    assert watch.first(time, time, current) == len(time) - 1
    columns = {"current_ampere": current, "voltage_volt": np.full(len(time), 3.0)}
    rows = FileRows(Path("made.csv"), "", "csv", "cc", np.arange(len(time)), time, columns)
    imported = step_rows(rows, ones, np.array(["cc_charge"] * len(time), dtype=object), ones)
    found["import"] = imported["step_charging_capacity_ah"][0] * COULOMB_PER_AH
    assert found == {name: pytest.approx(wanted) for name in found}
