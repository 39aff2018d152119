"""Rate capability of the bare and the coated pellet, and what temperature and stack pressure do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet

CUT_OFF_VOLT = 2.38  # 3.0 V vs Li+/Li
PELLETS = {"bare": PelletParameters.bare(), "coated": PelletParameters.coated()}
# mAh/g from x = 0.25 at multiples of 1C = 200 mA/g: the reference model, written independently of this one.
REFERENCE_CAPACITIES = {
    ("bare", 298.15): {0.1: 188, 0.2: 181, 0.5: 162, 1.0: 142, 2.0: 119},
    ("coated", 298.15): {0.1: 192, 0.2: 191, 0.5: 187, 1.0: 178, 2.0: 161},
    ("bare", 333.15): {0.5: 186, 1.0: 174, 2.0: 157},
    ("coated", 333.15): {0.5: 191, 1.0: 189, 2.0: 183},
}


def bisect(left: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling quantity reaches 0."""
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) > 0.0 else (low, middle)
    return high


def discharge(parameters: PelletParameters, rate: float, temperature_kelvin: float) -> tuple[float, Pellet]:
    """Capacity (mAh/g) from x = 0.25 to the cut-off, and the pellet at it."""
    pellet = Pellet(parameters, stoichiometry=0.25, temperature_kelvin=temperature_kelvin)
    pellet.set_current(-200.0 * rate * parameters.active_mass_kg)

    def left(time: float) -> float:
        return float(pellet.terminal(np.array([time]))[0][0]) - CUT_OFF_VOLT

    while left(pellet.horizon()) > 0.0:
        pellet.move_to(pellet.horizon())
    pellet.move_to(bisect(left, pellet.time_second, pellet.horizon()))
    return -pellet.charge_ah / parameters.active_mass_kg, pellet


@pytest.mark.parametrize(("pellet_name", "temperature_kelvin"), REFERENCE_CAPACITIES)
def test_rate_capacities_are_within_3_percent_of_the_reference(
    pellet_name: str, temperature_kelvin: float
) -> None:
    expected = REFERENCE_CAPACITIES[pellet_name, temperature_kelvin]
    found = {rate: discharge(PELLETS[pellet_name], rate, temperature_kelvin)[0] for rate in expected}
    assert found == pytest.approx(expected, rel=0.03)


def test_a_fast_discharge_leaves_the_bare_particles_less_homogeneous() -> None:
    bare, coated = (discharge(PELLETS[name], 2.0, 298.15)[1] for name in ("bare", "coated"))
    assert bare.intraparticle_deviation == pytest.approx(0.117, rel=0.15)
    assert coated.intraparticle_deviation == pytest.approx(0.065, rel=0.05)
    assert bare.surface_stoichiometry > bare.stoichiometry + 0.1


def resistance(pellet: Pellet, frequency_hertz: float) -> float:
    """Real part of the impedance (ohm)."""
    return float(pellet.impedance(np.array([frequency_hertz]))[0].real)


@pytest.mark.parametrize("frequency_hertz", [1e6, 10.0, 0.1])
def test_heat_lowers_every_resistance_and_does_not_move_the_open_circuit(frequency_hertz: float) -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.5)
    volt, cold = pellet.voltage_volt, resistance(pellet, frequency_hertz)
    pellet.set_temperature(333.15)
    assert resistance(pellet, frequency_hertz) < 0.5 * cold
    assert pellet.voltage_volt == pytest.approx(volt, abs=1e-12)
    pellet.set_temperature(298.15)
    assert resistance(pellet, frequency_hertz) == pytest.approx(cold, rel=1e-12)


def test_separator_resistance_has_the_activation_energy_of_the_electrolyte() -> None:
    nothing_else = {"contact_resistance_ohm_m2": 0.0, "electronic_conductivity_s_per_m": 1e9}
    pellet = Pellet(PelletParameters.bare(**nothing_else), stoichiometry=0.5)
    cold = resistance(pellet, 1e10)
    pellet.set_temperature(308.15)
    energy = 8.314462618 * np.log(cold / resistance(pellet, 1e10)) / (1 / 298.15 - 1 / 308.15)
    assert energy == pytest.approx(35e3, rel=1e-4)


def test_pressure_improves_contact_and_contact_resistance_as_their_laws_say() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.5)
    good, high = pellet.truth(), resistance(pellet, 0.01)
    pellet.set_pressure(10e6)
    poor = pellet.truth()
    expected = (1 - np.exp(-10 / 15)) / (1 - np.exp(-50 / 15))
    assert good["contact_fraction"] == pytest.approx(0.35)
    assert poor["contact_fraction"] == pytest.approx(0.35 * expected)
    assert poor["equivalent_radius_metre"] == pytest.approx(2.5e-6 / (0.35 * expected))
    assert poor["charge_transfer_resistance_ohm"] == pytest.approx(
        good["charge_transfer_resistance_ohm"] / expected
    )
    assert resistance(pellet, 0.01) > high
    bare_metal = {"film_resistance_ohm_m2": 0.0, "anode_resistance_ohm_m2": 0.0}
    pellet = Pellet(PelletParameters.bare(**bare_metal), stoichiometry=0.5)
    instant = resistance(pellet, 1e9)
    pellet.set_pressure(12.5e6)
    assert resistance(pellet, 1e9) - instant == pytest.approx(5.0, rel=1e-3)  # 5 ohm at 50 MPa, ~ P^-0.5


def test_an_unloaded_pellet_still_has_a_finite_voltage_and_carries_almost_nothing() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.5, pressure_pa=0.0)
    pellet.set_current(-84e-6)
    before = pellet.horizon()
    while pellet.time_second < 60.0:
        pellet.move_to(pellet.horizon())
    assert before > 0.0
    assert pellet.truth()["contact_fraction"] < 0.01
    assert np.isfinite(pellet.voltage_volt)
    assert pellet.voltage_volt < 2.5


def test_changes_of_temperature_and_pressure_keep_lithium_and_charge() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.5)
    pellet.set_current(1e-3)
    for k in range(20):
        while pellet.horizon() < 10.0 * (k + 1):
            pellet.move_to(pellet.horizon())
        pellet.move_to(10.0 * (k + 1))
        x = pellet.stoichiometry
        pellet.set_temperature(298.15 + k)
        pellet.set_pressure(50e6 - 1e6 * k)
        assert pellet.stoichiometry == x
    assert pellet.charge_ah == pytest.approx(1e-3 * 200.0 / 3600.0, rel=1e-12)


def test_charge_transfer_resistance_rises_steeply_towards_full_lithiation() -> None:
    half, nearly, almost = (
        Pellet(PelletParameters.bare(), stoichiometry=x).truth()["charge_transfer_resistance_ohm"]
        for x in (0.5, 0.85, 0.95)
    )
    assert half == pytest.approx(8.314462618 * 298.15 / 96485.33 / 0.4 / 7.506e-4, rel=1e-3)
    assert nearly < 1.5 * half
    assert almost > 8.0 * half


def test_truth_is_plain_and_agrees_with_the_parameters() -> None:
    parameters = PelletParameters.for_cell(
        active_mass_kg=10e-6, coated=True, diameter_metre=12e-3, separator_thickness_metre=0.5e-3
    )
    truth = Pellet(parameters, stoichiometry=0.6).truth()
    area = np.pi / 4 * 12e-3**2
    assert truth["equivalent_radius_metre"] == pytest.approx(2.5e-6 / 0.70)
    assert truth["capacity_full_ah"] == pytest.approx(0.2794 * 10e-6 * 1e3, rel=1e-3)  # Ah/g times g
    assert truth["ionic_resistance_ohm"] == pytest.approx(
        parameters.electrode_thickness_metre * 4.0 / (0.2 * 0.47 * area)
    )
    assert len(truth["stoichiometry_grid"]) == len(truth["diffusivity_m2_per_s_grid"]) == 79
    index = truth["stoichiometry_grid"].index(0.5)
    assert truth["diffusivity_m2_per_s_grid"][index] == pytest.approx(7.3e-15, rel=0.03)
    assert all(isinstance(value, (float, list, str)) for value in truth.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [("contact_fraction", 1.2), ("tortuosity_factor", 0.5), ("slices", 0), ("sigma", 1.0)],
)
def test_impossible_or_unknown_parameters_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        PelletParameters.coated(**{field: value})
