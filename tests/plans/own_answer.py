"""The simulated cell's own answer: the same pellet taken through the same currents, without a wire."""

from __future__ import annotations

import numpy as np

from devices.sim.bench.client import pellet_parameters
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from labctl.records.cell import Cell

_LOOKS_PER_STEP = 40


def fresh_pellet(cell: Cell, stoichiometry: float) -> Pellet:
    """The rested pellet that a bench makes of a cell record: it ages, and is as its record says."""
    parameters = PelletParameters.for_cell(ages=True, **pellet_parameters(cell))
    return Pellet(parameters, stoichiometry=stoichiometry)


def to_voltage(pellet: Pellet, ampere: float, volt: float) -> float:
    """Hold a current until the voltage is met; the charge moved (Ah, > 0)."""
    before = pellet.charge_ah
    pellet.set_current(ampere)
    while True:
        times = np.linspace(pellet.time_second, pellet.horizon(), _LOOKS_PER_STEP)[1:]
        volts, _ = pellet.terminal(times)
        over = np.flatnonzero((volts - volt) * np.sign(ampere) >= 0)
        pellet.move_to(float(times[over[0]] if len(over) else times[-1]))
        if len(over):
            pellet.open_circuit()
            return abs(pellet.charge_ah - before)


def wait(pellet: Pellet, second: float) -> None:
    """Let time pass under the present control."""
    until = pellet.time_second + second
    while pellet.time_second < until:
        pellet.move_to(min(pellet.horizon(), until))
