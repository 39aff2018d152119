"""State of the simulated pellet, what its terminals are held to, and what follows at once from both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from devices.sim.cell.materials import Array, ocp_and_slope
from devices.sim.cell.pellet.ageing import Age
from devices.sim.cell.pellet.network import PelletNetwork


@dataclass(frozen=True, eq=False)
class PelletState:
    """State of the pellet at one instant; M slices, N modes, K RC pairs. Arrays are never changed in place.

    Attributes:
        mean: Mean stoichiometry of the slices, shape (M,).
        modes: Amplitudes b_n, shape (M, N): c_s / c_max at the surface is mean + sum_n b_n + tail.
        interface_volt: u = phi_solid - phi_electrolyte, shape (M,).
        current_density: Faradaic i at the interfaces (A/m2, > 0 on charge), shape (M,).
        current_density_slope: di/dt in the last step (A/(m2 s)), shape (M,): it only starts Newton's method.
        foster_volt: Voltages of the RC pairs, shape (K,).
        current_ampere: Cell current.
        charge_coulomb: Charge through the terminals since the pellet was made.
        age: What the pellet has gone through.
    """

    mean: Array
    modes: Array
    interface_volt: Array
    current_density: Array
    current_density_slope: Array
    foster_volt: Array
    current_ampere: float
    charge_coulomb: float
    age: Age


class Control(NamedTuple):
    """What the terminals are held to: "open" (no current), "current" (A) or "voltage" (V)."""

    mode: str
    setpoint: float

    @property
    def holds_voltage(self) -> bool:
        """True for voltage control."""
        return self.mode == "voltage"


def equilibrium(network: PelletNetwork, stoichiometry: float) -> PelletState:
    """The rested pellet at one stoichiometry."""
    slices = len(network.rails.drive)
    mean = np.full(slices, float(stoichiometry))
    zero = np.zeros(slices)
    return PelletState(
        mean=mean,
        modes=np.zeros((slices, len(network.roots_squared))),
        interface_volt=ocp_and_slope(mean)[0],
        current_density=zero,
        current_density_slope=zero,
        foster_volt=np.zeros_like(network.rails.foster_ohm),
        current_ampere=0.0,
        charge_coulomb=0.0,
        age=Age(path=(float(mean.sum()) / slices,)),
    )


def terminal_voltage(network: PelletNetwork, state: PelletState, current_ampere: float) -> float:
    """Cell voltage (V) of a state that carries a current."""
    rails = network.rails
    series = float(state.foster_volt.sum()) + rails.instant_ohm * current_ampere
    return float(rails.drive @ state.interface_volt) + series - network.parameters.anode_potential_volt


def instant_current(network: PelletNetwork, state: PelletState, control: Control) -> float:
    """Current (A) at the very start of a control, before double layers and RC pairs have moved."""
    if not control.holds_voltage:
        return control.setpoint
    return (control.setpoint - terminal_voltage(network, state, 0.0)) / network.rails.instant_ohm


def surface_stoichiometry(network: PelletNetwork, state: PelletState) -> Array:
    """Stoichiometry at the particle surface of each slice, shape (M,)."""
    tail = network.contact.tail_metre2_rate / network.diffusivity(state.mean)
    return state.mean + state.modes.sum(axis=1) - tail * state.current_density
