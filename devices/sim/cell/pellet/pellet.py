"""The simulated all-solid-state pellet: one cell in virtual time, shared by all emulated instruments.

Current > 0 charges the cell. What it is made of is in `pellet_parameters`, its coefficients at a temperature
and pressure in `pellet_network`, its integration in `pellet_step`, its course in `pellet_trajectory`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from devices.sim.cell.materials import Array, ComplexArray
from devices.sim.cell.pellet.network import PelletNetwork, build_network
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.rails import (
    anode_arc,
    contact_resistance,
    electrolyte_conductivity,
    separator_resistance,
)
from devices.sim.cell.pellet.state import Control, PelletState, equilibrium, surface_stoichiometry
from devices.sim.cell.pellet.trajectory import StepSchedule, Trajectory
from devices.sim.cell.simulated_cell import checked_environment, require


def impedance(network: PelletNetwork, state: PelletState, frequency_hertz: Array) -> ComplexArray:
    """Impedance dV/dI (ohm, capacitive < 0) at the frequencies (Hz), linearised about the state.

    Per slice the faradaic admittance is 1 / (du/di - du/dx H), where H is the response of the surface
    stoichiometry to the flux: the same modes and tail as in time, not the analytic tanh, so that both domains
    agree by construction. The same holds for the Foster chains.
    """
    jw = 2j * np.pi * np.atleast_1d(np.asarray(frequency_hertz, dtype=float))
    surface = surface_stoichiometry(network, state)
    _, slope, surface_slope = network.interface(state.current_density, surface)
    faradaic = slope - surface_slope * _diffusion(network, state, jw)
    rails, contact = network.rails, network.contact
    admittance = contact.area_m2 / faradaic + contact.capacitance_farad * jw[:, None]
    if network.ageing is not None:
        admittance += contact.area_m2 * network.ageing.side_slope(state.interface_volt)
    slices = len(rails.drive)
    matrix = np.broadcast_to(rails.laplacian_siemens, (len(jw), slices, slices)).astype(complex)
    diagonal = np.arange(slices)
    matrix[:, diagonal, diagonal] += admittance
    drive = np.broadcast_to(rails.drive[:, None].astype(complex), (len(jw), slices, 1))
    ladder = np.linalg.solve(matrix, drive)[:, :, 0] @ rails.drive
    chains = (rails.foster_ohm / (1.0 + jw[:, None] * rails.foster_second)).sum(axis=1)
    return ladder + rails.instant_ohm + chains


def _diffusion(network: PelletNetwork, state: PelletState, jw: ComplexArray) -> ComplexArray:
    """-dx_s/di (m2/A) of each slice at each frequency, shape (F, M)."""
    diffusivity = network.diffusivity(state.mean)
    rates = np.multiply.outer(diffusivity / network.contact.radius_metre**2, network.roots_squared)
    modes = np.stack([(network.contact.mode_rate / (w + rates)).sum(axis=1) for w in jw])
    return modes + network.contact.mean_rate / jw[:, None] + network.contact.tail_metre2_rate / diffusivity


class Pellet:
    """A pellet that is charged, discharged and rested in virtual time.

    Time goes in internal steps that follow only from the instants of changes, never from the questions asked.
    `horizon()` is the end of the step around the present; until there `terminal()` tells voltage and current
    and `move_to()` lets time pass. A change inside a step integrates anew from the step's begin to the
    present, so that charge is conserved to rounding.
    """

    def __init__(
        self,
        parameters: PelletParameters,
        *,
        stoichiometry: float,
        temperature_kelvin: float = 298.15,
        pressure_pa: float = 50e6,
        time_second: float = 0.0,
        schedule: StepSchedule | None = None,
    ) -> None:
        """Make a rested pellet at open circuit.

        Args:
            parameters: What it is made of.
            stoichiometry: Lithium per formula unit x of the whole cathode, 0 to 1; lower is more charged.
            temperature_kelvin: Temperature, 200 to 500 K.
            pressure_pa: Stack pressure, 0 to 1 GPa.
            time_second: The present virtual time.
            schedule: Lengths of the internal steps; the default is accurate to a few microvolts.
        """
        require("stoichiometry", stoichiometry, (0.0, 1.0))
        self._parameters = parameters
        network = build_network(parameters, *checked_environment(temperature_kelvin, pressure_pa))
        self._course = Trajectory(
            network,
            Control("open", 0.0),
            equilibrium(network, stoichiometry),
            time_second=time_second,
            schedule=schedule or StepSchedule(),
        )

    @property
    def time_second(self) -> float:
        """The present virtual time."""
        return self._course.time_second

    def horizon(self) -> float:
        """End (s) of the internal step around the present, always later; computed when first asked for."""
        return self._course.horizon()

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Voltage (V) and current (A) at increasing times (s) in (present, horizon], without noise.

        Raises:
            ValueError: A time is outside the present step.
        """
        return self._course.terminal(times_second)

    def move_to(self, time_second: float) -> None:
        """Let time pass until `time_second`, in [present, horizon].

        Raises:
            ValueError: The time is before the present or beyond the horizon.
        """
        self._course.move_to(time_second)

    @property
    def voltage_volt(self) -> float:
        """Terminal voltage now."""
        return self._course.terminal_now()[0]

    @property
    def current_ampere(self) -> float:
        """Terminal current now, > 0 when charging."""
        return self._course.terminal_now()[1]

    def set_current(self, ampere: float) -> None:
        """Hold a current (A, > 0 charges) from now on."""
        require("ampere", ampere, (-math.inf, math.inf))
        self._course.change(self._course.network, Control("current", float(ampere)))

    def set_voltage(self, volt: float) -> None:
        """Hold a terminal voltage (V) from now on; its double layers and arcs decide the current at once."""
        require("volt", volt, (-math.inf, math.inf))
        self._course.change(self._course.network, Control("voltage", float(volt)))

    def open_circuit(self) -> None:
        """Let no current flow from now on."""
        self._course.change(self._course.network, Control("open", 0.0))

    def set_temperature(self, kelvin: float) -> None:
        """Bring the whole pellet to a temperature (K) now."""
        self._change_environment(kelvin, self._course.network.pressure_pa)

    def set_pressure(self, pa: float) -> None:
        """Bring the stack pressure (Pa) to a value now; potentials and concentrations stay as they are."""
        self._change_environment(self._course.network.temperature_kelvin, pa)

    @property
    def charge_ah(self) -> float:
        """Net charge (Ah) through the terminals since the pellet was made, > 0 when it was charged."""
        return self._course.charge_coulomb() / 3600.0

    @property
    def stoichiometry(self) -> float:
        """Mean x of the whole cathode."""
        return float(self._course.present_state().mean.mean())

    @property
    def surface_stoichiometry(self) -> float:
        """Mean x at the particle surfaces."""
        return float(surface_stoichiometry(self._course.network, self._course.present_state()).mean())

    @property
    def intraparticle_deviation(self) -> float:
        """Standard deviation of x inside the particles: sqrt(3/2 sum b_n^2), rms over the slices."""
        modes = self._course.present_state().modes
        return float(np.sqrt(1.5 * (modes * modes).sum(axis=1).mean()))

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance (ohm, capacitive < 0) at frequencies (Hz) about the present state, which it leaves."""
        return impedance(self._course.network, self._course.present_state(), frequency_hertz)

    def truth(self) -> dict[str, Any]:
        """What a measurement ought to find at the present temperature, pressure and state, as plain JSON."""
        state, parameters = self._course.present_state(), self._parameters
        network, age = self._course.network.at_age(state.age), state.age
        contact, rails = network.contact, network.rails
        surface = surface_stoichiometry(network, state)
        area = contact.area_m2 * parameters.slices
        kelvin, pa = network.temperature_kelvin, network.pressure_pa
        grid = np.arange(20, 99) / 100.0
        return {
            "kind": "full",
            "particle_radius_metre": parameters.particle_radius_metre,
            "equivalent_radius_metre": contact.radius_metre,
            "contact_fraction": contact.fraction,
            "contact_area_m2": area,
            "tortuosity_factor": parameters.tortuosity_factor,
            "charge_transfer_resistance_ohm": network.charge_transfer_ohm(surface),
            "film_resistance_ohm": contact.film_ohm_m2 / area,
            "ionic_resistance_ohm": rails.ionic_ohm * parameters.slices,
            "electronic_resistance_ohm": rails.electronic_ohm * parameters.slices,
            "separator_resistance_ohm": separator_resistance(parameters, kelvin),
            "interface_resistance_ohm": contact_resistance(parameters, pa)
            + float(anode_arc(parameters, kelvin, pa)[0].sum()),
            "electrolyte_conductivity_s_per_m": electrolyte_conductivity(parameters, kelvin),
            "capacity_full_ah": network.full_coulomb * age.connected_share / 3600.0,
            "stoichiometry": self.stoichiometry,
            "equivalent_cycles": age.cycles,
            "isolated_fraction": 1.0 - age.connected_share,
            "isolated_lithium_ah": age.isolated_coulomb / 3600.0,
            "side_charge_ah": age.side_coulomb / 3600.0,
            "temperature_kelvin": kelvin,
            "pressure_pa": pa,
            "stoichiometry_grid": grid.tolist(),
            "diffusivity_m2_per_s_grid": network.diffusivity(grid).tolist(),
        }

    def state(self) -> dict[str, Any]:
        """All but parameters and schedule, as plain JSON; a pellet made from it goes on in equal floats."""
        network = self._course.network
        environment = {
            "temperature_kelvin": network.temperature_kelvin,
            "pressure_pa": network.pressure_pa,
        }
        return {**environment, **self._course.to_dict()}

    @classmethod
    def from_state(
        cls,
        parameters: PelletParameters,
        state: Mapping[str, Any],
        schedule: StepSchedule | None = None,
    ) -> Self:
        """The pellet whose `state()` this was; parameters and schedule must be those it had.

        Raises:
            ValueError: The state is of a pellet with other counts of slices, modes or arc elements.
        """
        pellet = cls(parameters, stoichiometry=0.5, schedule=schedule)
        pellet.restore(state)
        return pellet

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()` of a pellet with the same parameters and schedule.

        Raises:
            ValueError: The state is of a pellet with other counts of slices or modes.
        """
        parameters = self._parameters
        modes = np.shape(state["begin_state"]["modes"])
        if modes != (parameters.slices, parameters.modes):
            raise ValueError(
                f"pellet state: begin_state.modes has shape {modes}: must be {parameters.slices} slices x "
                f"{parameters.modes} modes, as the parameters say"
            )
        self._course.restore(
            state, build_network(parameters, state["temperature_kelvin"], state["pressure_pa"])
        )

    def _change_environment(self, temperature_kelvin: float, pressure_pa: float) -> None:
        now = self._course.network
        kelvin, pa = checked_environment(temperature_kelvin, pressure_pa)
        if (kelvin, pa) != (now.temperature_kelvin, now.pressure_pa):
            self._course.change(build_network(self._parameters, kelvin, pa), self._course.control)
