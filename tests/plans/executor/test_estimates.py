"""The dry run's estimate against what the simulated run then takes, for bare and coated cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labctl.plugins import load_plan
from labctl.records.cell import Cell
from labctl.session import Session
from tests.helpers import Documents

WITHIN = 0.10
STOICHIOMETRY = 0.90  # a fresh cell, as the packaged stations have it
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "formation": ("formation", {"rate": "0.1C", "hold_until_rate": "C/50"}),
    "rates, charged alike": ("rate_test", {"cycles": 1}),
    "rates, symmetric": (
        "rate_test",
        {"cycles": 2, "charge_rate": "symmetric", "rates": ["0.2C", "0.5C", "1C"]},
    ),
    "cycling": ("cycle_life", {"cycles": 10, "check_up_every": 5, "check_up_rate": "0.2C"}),
    "ici to the limits": ("ici", {"rate": "C/4", "current_second": 600}),
    "dcir over states of charge": ("dcir", {"soc_percent": [80, 50, 20], "soc_rate": "C/5"}),
    "conditioning": ("condition", {}),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("coating", ["bare", "coated"])
@pytest.mark.parametrize("case", CASES)
def test_the_estimate_is_within_a_tenth(
    open_sim: Callable[..., Session],
    documents: Documents,
    bare_cell: Cell,
    coated_cell: Cell,
    case: str,
    coating: str,
) -> None:
    cell = bare_cell if coating == "bare" else coated_cell
    session = open_sim(cell=cell, stoichiometry=STOICHIOMETRY)
    session.RE.subscribe(documents)
    name, asked = CASES[case]
    measurement = load_plan(name)(session.cycler, cell=cell, **asked)
    session.RE(measurement)
    estimate, steps = measurement.estimate, documents.stream("steps")
    moved = sum(steps["step_charging_capacity_ah"]) + sum(steps["step_discharging_capacity_ah"])
    assert estimate.duration_second == pytest.approx(steps["end_test_time_second"][-1], rel=WITHIN)
    assert estimate.moved_charge_ah == pytest.approx(moved, rel=WITHIN, abs=1e-3 * cell.nominal_capacity_ah)
    assert estimate.steps == pytest.approx(len(steps["seq_num"]), rel=WITHIN)
