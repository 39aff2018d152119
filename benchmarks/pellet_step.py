"""One integration step of the simulated pellet, beside PyBaMM's SPM where it is installed."""

from __future__ import annotations

import os
import time
from statistics import median

import numpy as np

from benchmarks.table import Row
from devices.sim.pellet import Pellet
from devices.sim.pellet_parameters import PelletParameters

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
    name, other = _pybamm_milliseconds()
    what = "simulated pellet, 10 slices x 100 modes, ageing"
    return [Row(what, median(took) * 1e3, "ms/step", name, other, "<= 0.2 ms")]


def _pybamm_milliseconds() -> tuple[str, float | None]:
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    try:
        import pybamm
    except ImportError:
        return "PyBaMM SPM not installed (pip install .[crosscheck])", None
    model = pybamm.lithium_ion.SPM({"working electrode": "positive"})
    parameters = pybamm.ParameterValues("Xu2019")
    simulation = pybamm.Simulation(model, parameter_values=parameters)
    took = []
    for _ in range(100):
        began = time.perf_counter()
        simulation.step(8.0)
        took.append(time.perf_counter() - began)
    return "PyBaMM SPM", median(took) * 1e3
