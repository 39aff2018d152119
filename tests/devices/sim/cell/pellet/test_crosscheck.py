"""The pellet against an independent implementation, in the limit where both models are the same."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet

os.environ["PYBAMM_DISABLE_TELEMETRY"] = "true"  # PyBaMM reads it when it is imported

pytestmark = [
    pytest.mark.crosscheck,
    pytest.mark.filterwarnings("ignore:::(?!labctl|devices|plans).*"),
]

DIFFUSIVITY_M2_PER_S = 6e-15
EXCHANGE_A_PER_M2 = 1.5
FADE_STOICHIOMETRY, FADE_WIDTH = 0.93, 0.015
SIDE_METRE = 8e-3


def single_particle_pellet() -> PelletParameters:
    """One slice of perfectly wetted spheres: no rails, no film, no separator or anode resistance."""
    return PelletParameters.bare(
        diameter_metre=SIDE_METRE * (4 / np.pi) ** 0.5,
        contact_fraction=1.0,
        exchange_current_density_a_per_m2=EXCHANGE_A_PER_M2,
        exchange_fade_stoichiometry=FADE_STOICHIOMETRY,
        exchange_fade_width=FADE_WIDTH,
        film_resistance_ohm_m2=0.0,
        double_layer_capacitance_f_per_m2=1e-6,
        diffusivity=DIFFUSIVITY_M2_PER_S,
        tortuosity_factor=1.0,
        electrolyte_conductivity_s_per_m=1e9,
        electronic_conductivity_s_per_m=1e9,
        contact_resistance_ohm_m2=0.0,
        anode_resistance_ohm_m2=0.0,
        anode_potential_volt=0.0,
        slices=1,
    )


def half_cell_spm(pellet: PelletParameters, stoichiometry: float) -> tuple[Any, Any]:
    """PyBaMM's single-particle half cell (positive working electrode) with the numbers of the pellet."""
    pybamm = pytest.importorskip("pybamm")

    def open_circuit_potential(sto: Any) -> Any:
        over = (sto - 0.90) / 0.012
        capped = pybamm.minimum(over, 5.0)
        return (
            -0.8090 * sto
            + 4.4875
            - 0.0428 * pybamm.tanh(18.5138 * (sto - 0.5542))
            - 17.7326 * pybamm.tanh(15.7890 * (sto - 0.3117))
            + 17.5842 * pybamm.tanh(15.9308 * (sto - 0.3120))
            - 0.020 * pybamm.exp(capped) * (1.0 + over - capped)
        )

    def exchange_current_density(c_e: Any, c_surface: Any, c_maximum: Any, temperature: Any) -> Any:
        sto = c_surface / c_maximum
        fade = 1.0 + pybamm.exp((sto - FADE_STOICHIOMETRY) / FADE_WIDTH)
        sites = sto * (1.0 - sto)
        rounded = (sites + pybamm.sqrt(sites**2 + 0.04**2)) / (0.25 + (0.25**2 + 0.04**2) ** 0.5)
        return EXCHANGE_A_PER_M2 * pybamm.sqrt(rounded) / fade

    model = pybamm.lithium_ion.SPM({"working electrode": "positive"})
    values = pybamm.ParameterValues("Xu2019")
    values.update(
        {
            "Electrode height [m]": SIDE_METRE,
            "Electrode width [m]": SIDE_METRE,
            "Positive electrode thickness [m]": pellet.electrode_thickness_metre,
            "Positive electrode active material volume fraction": pellet.active_volume_fraction,
            "Positive particle radius [m]": pellet.particle_radius_metre,
            "Positive particle diffusivity [m2.s-1]": DIFFUSIVITY_M2_PER_S,
            "Positive electrode OCP [V]": open_circuit_potential,
            "Positive electrode exchange-current density [A.m-2]": exchange_current_density,
            "Maximum concentration in positive electrode [mol.m-3]": pellet.maximum_concentration_mol_per_m3,
            "Initial concentration in positive electrode [mol.m-3]": stoichiometry
            * pellet.maximum_concentration_mol_per_m3,
            "Exchange-current density for lithium metal electrode [A.m-2]": 1e9,
            "Lower voltage cut-off [V]": 2.0,
            "Upper voltage cut-off [V]": 5.0,
        }
    )
    return model, values


def pybamm_voltage(
    parameters: PelletParameters, stoichiometry: float, current_ampere: float, pulse_second: float
) -> tuple[np.ndarray, np.ndarray]:
    """Times (s) and voltages (V) of a pulse (current > 0 charges) and an hour of rest."""
    pybamm = pytest.importorskip("pybamm")
    model, values = half_cell_spm(parameters, stoichiometry)
    steps = [
        pybamm.step.current(-current_ampere, duration=pulse_second, period=10),  # PyBaMM counts discharge
        pybamm.step.current(0.0, duration=3600, period=10),
    ]
    simulation = pybamm.Simulation(
        model,
        parameter_values=values,
        experiment=pybamm.Experiment([tuple(steps)]),
        var_pts={"x_n": 20, "x_s": 20, "x_p": 20, "r_n": 20, "r_p": 400},
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-8),
    )
    solution = simulation.solve()
    times = solution["Time [s]"].entries
    inside = np.abs(times % pulse_second) > 1.0  # not the instants of the jumps themselves
    return times[inside], solution["Voltage [V]"].entries[inside]


def pellet_voltage(pellet: Pellet, times: np.ndarray) -> np.ndarray:
    """Voltage (V) of the simulated pellet at increasing times."""
    volts = []
    for time in times:
        while pellet.horizon() < time:
            pellet.move_to(pellet.horizon())
        pellet.move_to(time)
        volts.append(pellet.voltage_volt)
    return np.array(volts)


@pytest.mark.parametrize(
    ("stoichiometry", "rate", "pulse_second"),
    [(0.27, -1.0, 3100.0), (0.27, -0.2, 15500.0), (0.85, 0.5, 4000.0), (0.70, 0.05, 7200.0)],
)
def test_pulse_and_rest_agree_with_the_half_cell_spm_far_better_than_5_millivolt(
    stoichiometry: float, rate: float, pulse_second: float
) -> None:
    parameters = single_particle_pellet()
    current = rate * 200.0 * parameters.active_mass_kg
    times, expected = pybamm_voltage(parameters, stoichiometry, current, pulse_second)
    pellet = Pellet(parameters, stoichiometry=stoichiometry)
    pellet.set_current(current)
    on = pellet_voltage(pellet, times[times < pulse_second])
    pellet_voltage(pellet, np.array([pulse_second]))
    pellet.open_circuit()
    found = np.concatenate([on, pellet_voltage(pellet, times[times > pulse_second])])
    assert np.ptp(found) > 0.05
    assert np.abs(found - expected).max() < 2e-4
