"""What 100 cycles at 0.5C leave of the simulated pellets, at 25 and at 60 degC; about two minutes."""

from __future__ import annotations

import numpy as np

from benchmarks.table import Beside, Goal, Row
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.cell.pellet.trajectory import StepSchedule

CYCLES, RATE_PER_HOUR, FORMATION_PER_HOUR = 100, 0.5, 0.1
CAPACITY_AH_PER_KG = 200.0  # 1C moves it in an hour
WINDOW_VOLT = (2.38, 3.68)  # 3.0 to 4.3 V vs Li+/Li
GOALS = {"bare": Goal(65, 75), "coated": Goal(88, 93)}  # %
_LONG_STEPS = StepSchedule(growth=1.25, longest_second=30.0)


def pellet_ageing() -> list[Row]:
    """Discharging capacity of the last cycle over that of the first (%), bare beside coated."""
    return [row for celsius in (25.0, 60.0) for row in _rows(celsius)]


def _rows(celsius: float) -> list[Row]:
    retained = {name: _retention_percent(name, celsius) for name in GOALS}
    meaning = "What is left of the first capacity: whether the simulated pellets age as published ones do."
    rows = []
    for name, other in (("bare", "coated"), ("coated", "bare")):
        what = f"{name} pellet at {celsius:.0f} degC, retention after {CYCLES} cycles at 0.5C"
        goal = GOALS[name] if celsius == 25.0 else Goal()
        rows.append(
            Row(what, retained[name], "%", meaning, (Beside(f"{other} pellet", retained[other]),), goal)
        )
    return rows


def _retention_percent(name: str, celsius: float) -> float:
    parameters = PelletParameters.for_cell(coated=name == "coated", ages=True)
    pellet = Pellet(parameters, stoichiometry=0.9, temperature_kelvin=celsius + 273.15, schedule=_LONG_STEPS)
    rates = [FORMATION_PER_HOUR] * 2 + [RATE_PER_HOUR] * CYCLES
    capacities = [_cycle(pellet, rate * CAPACITY_AH_PER_KG * parameters.active_mass_kg) for rate in rates]
    return 100.0 * capacities[-1] / capacities[2]


def _cycle(pellet: Pellet, ampere: float) -> float:
    """Discharged capacity (Ah) of a charge and a discharge."""
    _until(pellet, ampere, WINDOW_VOLT[1])
    charged = pellet.charge_ah
    _until(pellet, -ampere, WINDOW_VOLT[0])
    return charged - pellet.charge_ah


def _until(pellet: Pellet, ampere: float, limit_volt: float) -> None:
    """Hold a current until the voltage reaches the limit."""
    pellet.set_current(ampere)

    def reached(time_second: float) -> bool:
        volt = pellet.terminal(np.array([time_second]))[0][0]
        return bool((volt - limit_volt) * ampere >= 0.0)

    while not reached(pellet.horizon()):
        pellet.move_to(pellet.horizon())
    low, high = pellet.time_second, pellet.horizon()
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    pellet.move_to(high)
