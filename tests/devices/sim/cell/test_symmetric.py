"""The cells for one property: against the formulae of their circuits, matrix exponentials, and in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from devices.sim.cell.linear_network import LinearNetwork
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.symmetric import SymmetricCell, SymmetricKind, build_symmetric

KINDS = get_args(SymmetricKind)
COMPOSITE_ALONE = {
    "contact_resistance_ohm_m2": 0.0,
    "anode_resistance_ohm_m2": 0.0,
    "grain_boundary_fraction": 0.0,
}


def cell(kind: SymmetricKind, **changes: Any) -> SymmetricCell:
    """A cell of a carbon-free composite, whose rails are alike."""
    return SymmetricCell(kind, PelletParameters.bare(electronic_conductivity_s_per_m=0.02, **changes))


def line(frequency: np.ndarray, own_ohm: float, other_ohm: float, truth: dict[str, Any]) -> np.ndarray:
    """A line contacted twice at its rail `own` (electrochemistry: E-E or I-I), with a faradaic leak."""
    transfer = truth["charge_transfer_resistance_ohm"] + truth["film_resistance_ohm"]
    admittance = 2j * np.pi * frequency * truth["double_layer_capacitance_farad"] + 1.0 / transfer
    both = own_ohm + other_ohm
    half = 0.5 * np.sqrt(both * admittance)
    return own_ohm * other_ohm / both + own_ohm**2 / both * np.tanh(half) / half


@pytest.mark.parametrize("sigma_e", [0.005, 0.02, 1.0])
def test_a_composite_between_ion_contacts_or_electron_contacts_is_the_transmission_line(
    sigma_e: float,
) -> None:
    frequency = np.geomspace(1e-3, 3e3, 40)
    changes = {**COMPOSITE_ALONE, "electronic_conductivity_s_per_m": sigma_e}
    for kind, own, other in (("ion_path", "ionic", "electronic"), ("electron_path", "electronic", "ionic")):
        pellet = SymmetricCell(kind, PelletParameters.bare(**changes))
        truth = pellet.truth()
        rails = (truth[f"{name}_resistance_ohm"] for name in (own, other))
        expected = truth["separator_resistance_ohm"] + line(frequency, *rails, truth)
        assert pellet.impedance(frequency) == pytest.approx(expected, rel=1.5e-3)


def test_an_ion_path_adds_two_separators_two_contacts_and_two_anodes() -> None:
    whole, alone = cell("ion_path"), cell("ion_path", **COMPOSITE_ALONE)
    truth = whole.truth()
    assert truth["separator_resistance_ohm"] == pytest.approx(2 * 0.8e-3 / (0.2 * np.pi / 4 * 1e-4))
    assert truth["interface_resistance_ohm"] == pytest.approx(2 * (5.0 + 8.0))
    slow = np.array([1e-5])
    added = whole.impedance(slow) - alone.impedance(slow)
    assert added[0].real == pytest.approx(truth["interface_resistance_ohm"], rel=1e-6)
    middle = np.array([1e3])  # grain boundaries are through, anodes not yet begun
    added = whole.impedance(middle) - alone.impedance(middle)
    assert added[0].real == pytest.approx(10.0, abs=0.2)


def test_an_electrolyte_pellet_is_a_resistance_before_blocking_faces() -> None:
    pellet = cell("electrolyte")
    truth = pellet.truth()
    plateau = pellet.impedance(np.array([300.0]))[0]
    whole = truth["separator_resistance_ohm"] + truth["interface_resistance_ohm"]
    assert plateau.real == pytest.approx(whole, rel=2e-3)
    assert plateau.imag == pytest.approx(
        -1 / (2 * np.pi * 300.0 * truth["blocking_capacitance_farad"]), rel=0.02
    )
    assert pellet.impedance(np.array([1e9]))[0].real == pytest.approx(0.7 * 50.93, rel=1e-2)
    assert pellet.impedance(np.array([1e-6]))[0].real == pytest.approx(
        truth["electronic_resistance_ohm"], rel=1e-4
    )


def whole_matrices(network: LinearNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """C, G and b of all voltages together, written down anew."""
    pair_farad = network.foster_second / network.foster_ohm
    farad = np.concatenate([network.ladder_farad, pair_farad])
    rungs, size = len(network.ladder_farad), len(farad)
    conductance = np.zeros((size, size))
    conductance[:rungs, :rungs] = network.ladder_siemens
    conductance[rungs:, rungs:] = np.diag(1.0 / network.foster_ohm)
    return farad, conductance, np.concatenate([network.coupling, np.ones(len(pair_farad))])


@pytest.mark.parametrize("kind", KINDS)
def test_impedance_is_that_of_the_network_solved_directly(kind: SymmetricKind) -> None:
    network, _ = build_symmetric(kind, PelletParameters.coated(), 310.0, 20e6)
    farad, conductance, coupling = whole_matrices(network)
    frequency = np.geomspace(1e-3, 1e7, 21)
    expected = [
        network.instant_ohm
        + coupling @ np.linalg.solve(conductance + 2j * np.pi * f * np.diag(farad), coupling)
        for f in frequency
    ]
    assert network.impedance(frequency) == pytest.approx(np.array(expected), rel=1e-8)


@pytest.mark.parametrize("kind", ["ion_path", "electrolyte"])
def test_voltage_and_current_in_time_are_those_of_matrix_exponentials(kind: SymmetricKind) -> None:
    network, _ = build_symmetric(kind, PelletParameters.bare(), 298.15, 50e6)
    farad, conductance, coupling = whole_matrices(network)
    pellet = SymmetricCell(kind, PelletParameters.bare())
    pellet.set_current(1e-5)
    pellet.move_to(0.013)
    pellet.set_voltage(0.02)
    times = 0.013 + np.array([1e-6, 1e-4, 0.02, 30.0])
    found = pellet.terminal(times)[1]

    free = -conductance / farad[:, None]
    start = settled(free, coupling / farad * 1e-5, np.zeros_like(farad), 0.013)
    held = free - np.multiply.outer(coupling / farad, coupling) / network.instant_ohm
    source = coupling / farad * 0.02 / network.instant_ohm
    states = [settled(held, source, start, t - 0.013) for t in times]
    expected = [(0.02 - coupling @ y) / network.instant_ohm for y in states]
    assert found == pytest.approx(np.array(expected), rel=1e-5, abs=1e-9)


def settled(matrix: np.ndarray, source: np.ndarray, start: np.ndarray, duration: float) -> np.ndarray:
    """y after y' = A y + s, by the exponential of [[A, s], [0, 0]]."""
    size = len(start)
    augmented = np.zeros((size + 1, size + 1))
    augmented[:size, :size], augmented[:size, size] = matrix * duration, source * duration
    return (expm(augmented) @ np.append(start, 1.0))[:size]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frequency", [0.1, 10.0, 1000.0])
def test_fundamental_of_a_square_wave_is_the_impedance(kind: SymmetricKind, frequency: float) -> None:
    pellet, half_second = cell(kind), 0.5 / frequency
    nodes, weights = np.polynomial.legendre.leggauss(200)
    roots = 0.5 * (nodes + 1.0) * half_second**0.5  # t = root^2: dense at the jump of the current
    phase = np.exp(-2j * np.pi * frequency * roots**2) * roots * weights * half_second**0.5
    pellet.set_current(1e-6)
    pellet.move_to(0.5 * half_second)
    halves = []
    for k in range(1, 61):
        begin, sign = pellet.time_second, (-1) ** k
        pellet.set_current(sign * 1e-6)
        volts = pellet.terminal(begin + roots**2)[0]
        halves.append(sign * (volts * phase).sum())
        pellet.move_to(begin + half_second)
    found = 0.25 * (halves[-3] + 2.0 * halves[-2] + halves[-1]) / (1e-6 * half_second * 2.0 / (1j * np.pi))
    expected = pellet.impedance(np.array([frequency]))[0]
    assert abs(found - expected) < 5e-3 * abs(expected)


@pytest.mark.parametrize(
    ("kind", "resistance"),
    [
        ("electron_path", lambda t: t["electronic_resistance_ohm"]),
        ("electrolyte", lambda t: t["electronic_resistance_ohm"]),
        (
            "ion_path",
            lambda t: (
                t["ionic_resistance_ohm"] + t["separator_resistance_ohm"] + t["interface_resistance_ohm"]
            ),
        ),
    ],
)
def test_a_steady_polarisation_current_has_the_resistance_of_the_truth(
    kind: SymmetricKind, resistance: Callable[[dict[str, Any]], float]
) -> None:
    pellet = cell(kind)
    pellet.set_voltage(0.02)
    pellet.move_to(36_000.0)
    assert 0.02 / pellet.current_ampere == pytest.approx(resistance(pellet.truth()), rel=3e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_charge_is_the_integral_of_the_current(kind: SymmetricKind) -> None:
    pellet = cell(kind)
    pellet.set_current(2e-5)
    pellet.move_to(3.0)
    pellet.set_voltage(0.01)

    def ampere(root: float) -> float:
        return float(pellet.terminal(np.array([3.0 + root**2]))[1][0]) * 2.0 * root

    expected = 2e-5 * 3.0 + quad(ampere, 0.0, 2.0, limit=200, epsabs=1e-12)[0]
    pellet.move_to(7.0)
    assert pellet.charge_ah * 3600.0 == pytest.approx(expected, rel=1e-5)
    pellet.open_circuit()
    pellet.move_to(100.0)
    assert pellet.charge_ah * 3600.0 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_rests_at_0_volt_and_answers_alike_from_both_sides(kind: SymmetricKind) -> None:
    pellet, mirror = cell(kind), cell(kind)
    assert (pellet.voltage_volt, pellet.current_ampere, pellet.charge_ah) == (0.0, 0.0, 0.0)
    times = np.geomspace(1e-6, 100.0, 20)
    pellet.set_current(1e-5)
    mirror.set_current(-1e-5)
    assert np.array_equal(pellet.terminal(times)[0], -mirror.terminal(times)[0])
    pellet.move_to(10.0)
    held = pellet.voltage_volt
    pellet.set_voltage(held)
    assert pellet.current_ampere == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["set_current", "set_voltage"])
def test_answers_do_not_depend_on_how_the_questions_are_grouped(kind: SymmetricKind, mode: str) -> None:
    times = np.geomspace(1e-5, 50.0, 200)
    together, alone = cell(kind), cell(kind)
    for each in (together, alone):
        getattr(each, mode)(1e-3)
    found = []
    for time in times:
        found.append([value[0] for value in alone.terminal(np.array([time]))])
        alone.move_to(time)
    assert np.array_equal(np.array(found).T, np.array(together.terminal(times)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["set_current", "set_voltage", "open_circuit"])
def test_a_cell_restored_from_json_goes_on_with_equal_floats(kind: SymmetricKind, mode: str) -> None:
    parameters = PelletParameters.coated()
    pellet = SymmetricCell(kind, parameters, temperature_kelvin=310.0, pressure_pa=30e6, time_second=7.0)
    pellet.set_current(1e-5)
    pellet.move_to(8.5)
    pellet.open_circuit() if mode == "open_circuit" else getattr(pellet, mode)(3e-3)
    pellet.move_to(9.1)
    pellet.set_pressure(20e6)
    pellet.move_to(9.7)
    twin = SymmetricCell.from_state(kind, parameters, json.loads(json.dumps(pellet.state())))
    later = 9.7 + np.geomspace(1e-3, 1e3, 40)
    assert np.array_equal(twin.terminal(later), pellet.terminal(later))
    assert (twin.state(), twin.truth(), twin.charge_ah) == (pellet.state(), pellet.truth(), pellet.charge_ah)


@pytest.mark.parametrize("kind", ["electrolyte", "ion_path"])
def test_the_interface_that_a_ladder_of_pressures_shows_falls_with_its_root(kind: SymmetricKind) -> None:
    pellet, pressures = cell(kind), np.array([5e6, 10e6, 20e6, 50e6, 100e6])
    plateau = np.array([300.0 if kind == "electrolyte" else 1e-4])
    found = []
    for pressure in pressures:
        pellet.set_pressure(float(pressure))
        truth = pellet.truth()
        rest = truth["separator_resistance_ohm"] + truth.get("ionic_resistance_ohm", 0.0)
        found.append(pellet.impedance(plateau)[0].real - rest)
        assert found[-1] == pytest.approx(truth["interface_resistance_ohm"], rel=0.02, abs=0.15)
    slope = np.polyfit(np.log(pressures), np.log(found), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.02)


def test_conductivity_of_the_electrolyte_has_its_activation_energy() -> None:
    pellet, kelvins, found = cell("electrolyte"), np.array([298.15, 313.15, 333.15]), []
    for kelvin in kelvins:
        pellet.set_temperature(float(kelvin))
        area = np.pi / 4 * 1e-4
        resistance = pellet.impedance(np.array([300.0]))[0].real - pellet.truth()["interface_resistance_ohm"]
        found.append(0.8e-3 / (resistance * area))
        assert found[-1] == pytest.approx(pellet.truth()["electrolyte_conductivity_s_per_m"], rel=5e-3)
    assert np.polyfit(1.0 / kelvins, np.log(found), 1)[0] * -8.314462618 == pytest.approx(35e3, rel=0.01)


def test_changes_of_temperature_and_pressure_leave_voltages_and_charge() -> None:
    pellet = cell("electrolyte")
    pellet.set_current(1e-5)
    pellet.move_to(5.0)
    pellet.open_circuit()
    volt, charge = pellet.voltage_volt, pellet.charge_ah
    pellet.set_temperature(330.0)
    pellet.set_pressure(10e6)
    assert pellet.voltage_volt == pytest.approx(volt, rel=1e-9)
    assert abs(volt) > 1e-6
    assert pellet.charge_ah == charge


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda c: c.set_current(float("nan")), "ampere = nan"),
        (lambda c: c.set_temperature(25.0), "temperature_kelvin = 25.0: must be from 200 to 500"),
        (lambda c: c.move_to(1.0), "time_second = 1.0"),
        (lambda c: c.move_to(float("inf")), "time_second = inf"),
        (lambda c: c.terminal(np.array([1.0])), "must increase"),
        (lambda c: c.terminal(np.array([4.0, 3.0])), "must increase"),
    ],
)
def test_impossible_values_are_refused_by_name(
    act: Callable[[SymmetricCell], object], complaint: str
) -> None:
    pellet = cell("ion_path")
    pellet.move_to(2.0)
    with pytest.raises(ValueError, match=complaint):
        act(pellet)
