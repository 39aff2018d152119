"""The pellet in time against what is known without it: published laws, spheres, GITT, and fine steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from devices.sim.cell.materials import FARADAY_CONSTANT, ocp_and_slope, oregan_diffusivity, sphere_roots
from devices.sim.cell.pellet.network import build_network
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.cell.pellet.trajectory import StepSchedule

ONE_C_AMPERE = 200.0 * 8.4e-6  # 200 mAh/g times the active mass of the default pellet, kg -> A
PELLETS = {"bare": PelletParameters.bare(), "coated": PelletParameters.coated()}
FINE = StepSchedule(
    first_second=2e-6,
    fast_growth=1.05,
    fast_until_second=1e-4,
    growth=1.03,
    longest_second=2.0,
    longest_open_second=30.0,
)


def run_until(pellet: Pellet, time_second: float) -> None:
    """Let time pass to an instant that may be inside a step."""
    while pellet.horizon() < time_second:
        pellet.move_to(pellet.horizon())
    pellet.move_to(time_second)


def voltages(pellet: Pellet, times: np.ndarray) -> np.ndarray:
    """Voltage (V) at increasing times; the last becomes the present."""
    volts = []
    for time in times:
        run_until(pellet, time)
        volts.append(pellet.voltage_volt)
    return np.array(volts)


def analytic_sphere(dimensionless_time: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Surface concentration over (flux R / D) of a sphere with constant flux (Crank 1975, eq. 6.45)."""
    decays = np.exp(-np.outer(dimensionless_time, roots**2))
    return 3.0 * dimensionless_time + 0.2 - (2.0 / roots**2 * decays).sum(axis=1)


def test_sphere_roots_solve_their_equation() -> None:
    found = [brentq(lambda z: np.tan(z) - z, n * np.pi, (n + 0.5) * np.pi - 1e-9) for n in range(1, 6)]
    assert sphere_roots(5) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize(
    ("stoichiometry", "volt"), [(0.30, 4.205), (0.50, 3.972), (0.70, 3.730), (0.85, 3.609)]
)
def test_open_circuit_potential_has_the_published_values(stoichiometry: float, volt: float) -> None:
    assert ocp_and_slope(np.array([stoichiometry]))[0][0] == pytest.approx(volt, abs=1.5e-3)


def test_open_circuit_potential_falls_everywhere_with_the_slope_it_states() -> None:
    x = np.linspace(-0.5, 1.5, 20001)
    potential, slope = ocp_and_slope(x)
    assert np.all(slope < 0.0)
    assert np.abs(np.gradient(potential, x) - slope)[1:-1].max() < 2e-2 * np.abs(slope).max()
    assert potential[x > 0.96].max() < 1.0 < potential[x < 0.94].min()


@pytest.mark.parametrize("temperature_kelvin", [250.0, 298.15, 360.0])
@pytest.mark.parametrize("current_density", [-1e4, -1.0, 1e4])
def test_more_lithium_at_the_surface_always_lowers_the_potential_that_drives_a_current(
    temperature_kelvin: float, current_density: float
) -> None:
    network = build_network(PelletParameters.bare(), temperature_kelvin, 50e6)
    surface = np.linspace(-1.0, 2.0, 30001)
    u, _, slope = network.interface(np.full_like(surface, current_density), surface)
    assert np.all(slope < 0.0)
    assert np.all(np.diff(u) < 0.0)


@pytest.mark.parametrize(("stoichiometry", "expected"), [(0.25, 2.0e-14), (0.5, 7.3e-15), (0.8, 3.0e-15)])
def test_diffusivity_has_the_published_values(stoichiometry: float, expected: float) -> None:
    assert oregan_diffusivity(np.array([stoichiometry]))[0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("contact_fraction", [0.35, 1.0])
def test_surface_stoichiometry_follows_the_analytic_sphere_of_radius_over_contact(
    contact_fraction: float,
) -> None:
    diffusivity = 4e-15
    parameters = PelletParameters.bare(
        contact_fraction=contact_fraction,
        diffusivity=diffusivity,
        slices=1,
        double_layer_capacitance_f_per_m2=1e-6,
    )
    pellet = Pellet(parameters, stoichiometry=0.8)
    pellet.set_current(0.5 * ONE_C_AMPERE)
    times = np.geomspace(1.0, 2000.0, 40)
    surface = []
    for time in times:
        run_until(pellet, time)
        surface.append(pellet.surface_stoichiometry)
    radius = parameters.particle_radius_metre / contact_fraction
    area = 3.0 * parameters.active_volume_m3 / radius
    flux = 0.5 * ONE_C_AMPERE / (FARADAY_CONSTANT * area * parameters.maximum_concentration_mol_per_m3)
    expected = (
        flux * radius / diffusivity * analytic_sphere(diffusivity * times / radius**2, sphere_roots(4000))
    )
    assert 0.8 - np.array(surface) == pytest.approx(expected, rel=5e-3)
    late = times > 10.0  # when the modes left out have long been quasi-steady
    assert 0.8 - np.array(surface)[late] == pytest.approx(expected[late], rel=1e-5)


@pytest.mark.parametrize("pellet_name", PELLETS)
def test_voltage_between_and_at_step_ends_is_good_to_5_microvolt(pellet_name: str) -> None:
    times = np.geomspace(1e-3, 600.0, 150)
    found = []
    for schedule in (StepSchedule(), FINE):
        pellet = Pellet(PELLETS[pellet_name], stoichiometry=0.7, schedule=schedule)
        pellet.set_current(0.05 * ONE_C_AMPERE)
        pulse = voltages(pellet, times)
        pellet.open_circuit()
        found.append(np.concatenate([pulse, voltages(pellet, 600.0 + 6.0 * times)]))
    assert np.ptp(found[0]) > 0.005
    assert np.abs(found[0] - found[1]).max() < 5e-6


def test_gitt_on_the_pellet_gives_its_diffusivity_with_the_equivalent_radius() -> None:
    pellet = Pellet(PelletParameters.coated(), stoichiometry=0.72)
    radius = pellet.truth()["equivalent_radius_metre"]
    time = np.linspace(5.0, 600.0, 120)
    ratios, rested = [], pellet.voltage_volt
    for _ in range(5):
        start, x = pellet.time_second, pellet.stoichiometry
        pellet.set_current(0.05 * ONE_C_AMPERE)
        volts = voltages(pellet, start + time)
        pellet.open_circuit()
        run_until(pellet, start + 600.0 + 7200.0)
        step, rested = pellet.voltage_volt - rested, pellet.voltage_volt
        true = oregan_diffusivity(np.array([0.5 * (x + pellet.stoichiometry)]))[0]
        ratios.append(fitted_diffusivity(time, volts, step / 600.0 * radius**2, radius) / true)
    assert abs(np.median(ratios) - 1.0) < 0.05


def fitted_diffusivity(time: np.ndarray, volts: np.ndarray, slope: float, radius: float) -> float:
    """D (m2/s) of the finite-sphere model in a pulse: E0 + slope / (3 D) f(D t / R^2)."""

    def cost(log_diffusivity: float) -> float:
        d = np.exp(log_diffusivity)
        residual = volts - slope / (3.0 * d) * analytic_sphere(d * time / radius**2, sphere_roots(200))
        return float(((residual - residual.mean()) ** 2).sum())

    fit = minimize_scalar(cost, bounds=(np.log(1e-17), np.log(1e-12)), method="bounded")
    return float(np.exp(fit.x))
