"""The pellet's impedance against its own response in time and against analytic diffusion and rails."""

from __future__ import annotations

import numpy as np
import pytest

from devices.sim.cell.materials import FARADAY_CONSTANT, ocp_and_slope
from devices.sim.cell.pellet.ageing import AgeingParameters
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet

ONE_C_AMPERE = 200.0 * 8.4e-6  # 200 mAh/g times the active mass of the default pellet, kg -> A
PELLETS = {
    "bare": PelletParameters.bare(),
    "coated": PelletParameters.coated(),
    "ageing": PelletParameters.for_cell(coated=False, ages=True),
}


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


@pytest.mark.parametrize("pellet_name", PELLETS)
@pytest.mark.parametrize("frequency", [0.01, 1.0, 100.0])
def test_fundamental_of_a_square_wave_is_the_impedance(pellet_name: str, frequency: float) -> None:
    pellet = Pellet(PELLETS[pellet_name], stoichiometry=0.5)
    expected = pellet.impedance(np.array([frequency]))[0]
    half_second, amplitude = 0.5 / frequency, 2e-6
    nodes, weights = np.polynomial.legendre.leggauss(120)
    roots = 0.5 * (nodes + 1.0) * half_second**0.5  # t = root^2: dense at the jump of the current
    phase = np.exp(-2j * np.pi * frequency * roots**2) * roots * weights * half_second**0.5
    rested, halves = pellet.voltage_volt, []
    pellet.set_current(amplitude)
    run_until(pellet, 0.5 * half_second)  # a quarter period first: then the mean charge is none
    for k in range(1, 9):
        begin, sign = pellet.time_second, (-1) ** k
        pellet.set_current(sign * amplitude)
        volts = voltages(pellet, begin + roots**2) - rested
        halves.append(sign * (volts * phase).sum())
        run_until(pellet, begin + half_second)
    voltage_integral = 0.25 * (halves[-3] + 2.0 * halves[-2] + halves[-1])  # no mean, no drift
    current_integral = amplitude * half_second * 2.0 / (1j * np.pi)
    assert abs(voltage_integral / current_integral - expected) < 5e-3 * abs(expected)


@pytest.mark.parametrize(
    ("pellet_name", "expected"),
    [("bare", (62, 128 - 58j, 199)), ("coated", (59, 81 - 7j, 92))],
)
def test_impedance_at_half_charge_is_that_of_the_reference(pellet_name: str, expected: tuple) -> None:
    impedance = Pellet(PELLETS[pellet_name], stoichiometry=0.5).impedance(np.array([1e3, 10.0, 0.1]))
    assert abs(impedance[0].real - expected[0]) < 1.0
    assert abs(impedance[1] - expected[1]) < 1.5
    assert abs(impedance[2].real - expected[2]) < 1.5


def test_impedance_is_capacitive_and_leaves_the_pellet_as_it_is() -> None:
    pellet, twin = (Pellet(PelletParameters.bare(), stoichiometry=0.6) for _ in range(2))
    for each in (pellet, twin):
        each.set_current(0.1 * ONE_C_AMPERE)
        run_until(each, 55.5)
    impedance = pellet.impedance(np.geomspace(1e6, 1e-2, 73))
    assert np.all(impedance.imag < 0.0)
    assert np.all(np.diff(impedance.real) > 0.0)
    assert pellet.state() == twin.state()
    assert pellet.horizon() == twin.horizon()


@pytest.mark.parametrize("slices", [2, 200])
def test_rails_are_a_transmission_line_between_ions_and_electrons(slices: int) -> None:
    parameters = PelletParameters.bare(
        electronic_conductivity_s_per_m=0.02,
        exchange_current_density_a_per_m2=1e-9,  # blocking: the double layer alone
        grain_boundary_fraction=0.0,
        anode_resistance_ohm_m2=0.0,
        contact_resistance_ohm_m2=0.0,
        slices=slices,
        modes=5,
    )
    pellet = Pellet(parameters, stoichiometry=0.5)
    truth = pellet.truth()
    ions, electrons = truth["ionic_resistance_ohm"], truth["electronic_resistance_ohm"]
    both = ions + electrons
    frequency = np.geomspace(0.1, 1e2 if slices > 2 else 0.3, 20)
    capacitance = parameters.double_layer_capacitance_f_per_m2 * truth["contact_area_m2"]
    nu = np.sqrt(both * 2j * np.pi * frequency * capacitance)
    line = ions * electrons / both * (1.0 + 2.0 / (nu * np.sinh(nu)))
    line += (ions**2 + electrons**2) / both / (np.tanh(nu) * nu)
    separator = parameters.separator_thickness_metre / (0.2 * parameters.area_m2)
    assert electrons > 0.5 * ions
    found = pellet.impedance(frequency)
    if slices > 2:
        assert found == pytest.approx(separator + line, rel=1e-3)
    else:  # two slices are too few for the line, but not for its capacitance
        assert found.imag == pytest.approx(line.imag, rel=1e-2)


def test_diffusion_is_that_of_a_sphere() -> None:
    diffusivity, x = 4e-15, 0.6
    parameters = PelletParameters.bare(
        diffusivity=diffusivity,
        exchange_current_density_a_per_m2=1e6,
        film_resistance_ohm_m2=0.0,
        anode_resistance_ohm_m2=0.0,
        double_layer_capacitance_f_per_m2=1e-6,
        slices=1,
    )
    pellet = Pellet(parameters, stoichiometry=x)
    radius, area = (pellet.truth()[key] for key in ("equivalent_radius_metre", "contact_area_m2"))
    frequency = np.geomspace(1e-5, 1e-2, 13)
    root = radius * np.sqrt(2j * np.pi * frequency / diffusivity)
    slope = -ocp_and_slope(np.array([x]))[1][0]
    scale = (
        slope * radius / (FARADAY_CONSTANT * parameters.maximum_concentration_mol_per_m3 * diffusivity * area)
    )
    sphere = scale * np.tanh(root) / (root - np.tanh(root))
    instant = Pellet(parameters.model_copy(update={"diffusivity": 1e-3}), stoichiometry=x)
    series = instant.impedance(np.array([1.0]))[0].real
    assert pellet.impedance(frequency) - series == pytest.approx(sphere, rel=2e-3)


def test_at_the_lowest_frequencies_a_leaky_pellet_is_a_resistance() -> None:
    leaky = AgeingParameters.bare(side_current_density_a_per_m2=5e-3)
    pellet = Pellet(PelletParameters.coated(ageing=leaky), stoichiometry=0.31)
    ideal = Pellet(PelletParameters.coated(), stoichiometry=0.31)
    frequency = np.array([1e-8])
    side = 5e-3 * np.exp((pellet.voltage_volt + 0.62 - 4.2) / 0.08)
    limited = side / (1.0 + side / 0.1)
    slope = limited * (1.0 - limited / 0.1) / 0.08 * pellet.truth()["contact_area_m2"]
    assert abs(ideal.impedance(frequency)[0]) > 1e6
    assert pellet.impedance(frequency)[0].real == pytest.approx(1.0 / slope, rel=0.05)
    assert abs(pellet.impedance(frequency)[0].imag) < 1e-2 / slope
