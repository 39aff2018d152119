"""One integration step of the simulated pellet, beside PyBaMM's single particle model."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from benchmarks.others_environment import beside_other
from benchmarks.table import Goal, Row
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet

STEPS = 1000


def pellet_step() -> list[Row]:
    """Milliseconds per step of a C/2 charge."""
    pellet = Pellet(PelletParameters.for_cell(coated=True, ages=True), stoichiometry=0.8)
    pellet.set_current(0.84e-3)
    took = []
    for _ in range(STEPS):
        began = time.perf_counter()
        end = pellet.horizon()
        pellet.terminal(np.array([end]))
        pellet.move_to(end)
        took.append(time.perf_counter() - began)
    pybamm = beside_other("PyBaMM SPM, one particle", "pybamm_step.py", {"steps": 200, "second": 8.0})
    what = "simulated pellet, 10 slices x 100 modes, ageing"
    meaning = "What a step of the simulated cell costs, hence how fast a simulated month goes by."
    return [Row(what, median(took) * 1e3, "ms", meaning, (pybamm,), Goal(most=0.2))]
