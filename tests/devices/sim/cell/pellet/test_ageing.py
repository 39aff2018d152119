"""How the simulated pellet ages: each law against its closed form, and every coulomb accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from devices.sim.cell.materials import GAS_CONSTANT
from devices.sim.cell.pellet.ageing import AgeingParameters, AgeingRates
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.cell.pellet.trajectory import StepSchedule

ONE_C_AMPERE = 200.0 * 8.4e-6  # 200 mAh/g times the active mass of the default pellet, kg -> A
HASTY = {
    "film_growth_ohm_m2_per_root_second": 1e-4,
    "contact_loss_per_cycle": 2.0,
    "isolation_per_cycle": 1.0,
    "side_current_density_a_per_m2": 0.03,
}  # fmt: skip
FADING = AgeingParameters.bare(**HASTY)
LONG_STEPS = StepSchedule(longest_second=300.0)


def run_until(pellet: Pellet, time_second: float) -> None:
    """Let time pass to an instant that may be inside a step."""
    while pellet.horizon() < time_second:
        pellet.move_to(pellet.horizon())
    pellet.move_to(time_second)


def test_the_film_of_a_pellet_held_at_42_volt_grows_with_the_root_of_time() -> None:
    parameters = PelletParameters.bare(ageing=AgeingParameters.bare(film_growth_ohm_m2_per_root_second=1e-3))
    pellet = Pellet(parameters, stoichiometry=0.31, schedule=LONG_STEPS)
    pellet.set_voltage(4.2 - 0.62)

    def film() -> float:
        truth = pellet.truth()
        return truth["film_resistance_ohm"] * truth["contact_area_m2"]

    run_until(pellet, 40_000.0)  # to rest
    early, since = film(), pellet.time_second
    for later in (1e4, 4e4, 16e4):
        run_until(pellet, since + later)
        assert film() ** 2 - early**2 == pytest.approx(1e-6 * later, rel=0.01)


def test_heat_speeds_the_film_with_its_activation_energy() -> None:
    cold, hot = (
        AgeingRates(AgeingParameters.bare(), t, 1.0).film_growth(4.0, 4.0, 1.0) for t in (298.15, 333.15)
    )
    energy = GAS_CONSTANT * np.log((hot / cold) ** 0.5) / (1 / 298.15 - 1 / 333.15)
    assert energy == pytest.approx(55e3, rel=1e-6)


def test_the_current_that_holds_a_voltage_ends_as_the_side_current() -> None:
    parameters = PelletParameters.bare(ageing=AgeingParameters.bare(side_current_density_a_per_m2=2e-3))
    pellet = Pellet(parameters, stoichiometry=0.32, schedule=LONG_STEPS)
    pellet.set_voltage(4.22 - 0.62)
    run_until(pellet, 200_000.0)
    area = pellet.truth()["contact_area_m2"]
    side = 2e-3 * np.exp(0.02 / 0.08)
    assert pellet.current_ampere == pytest.approx(area * side / (1.0 + side / 0.1), rel=0.01)


def test_a_charged_pellet_discharges_itself_at_rest_by_the_side_current() -> None:
    parameters = PelletParameters.bare(ageing=AgeingParameters.bare(side_current_density_a_per_m2=1e-3))
    pellet = Pellet(parameters, stoichiometry=0.31)
    x, volt, full = pellet.stoichiometry, pellet.voltage_volt, parameters.full_charge_coulomb
    run_until(pellet, 20_000.0)
    side = 1e-3 * np.exp((0.5 * (volt + pellet.voltage_volt) + 0.62 - 4.2) / 0.08)
    expected = 20_000.0 * side * pellet.truth()["contact_area_m2"] / full
    assert pellet.charge_ah == 0.0
    assert pellet.voltage_volt < volt - 1e-3
    assert pellet.stoichiometry - x == pytest.approx(expected, rel=0.02)


def rough_cycles(pellet: Pellet) -> Iterator[float]:
    """Step by step through charges, discharges, holds and rests; yields the contact area (m2) of each."""
    for act, duration in (
        (lambda: pellet.set_current(ONE_C_AMPERE), 1500.5),
        (lambda: pellet.set_voltage(3.65), 2000.3),
        (pellet.open_circuit, 3600.1),
        (lambda: pellet.set_current(-ONE_C_AMPERE), 1800.7),
        (lambda: pellet.set_temperature(313.15), 100.3),
        (lambda: pellet.set_current(0.3 * ONE_C_AMPERE), 4000.9),
    ):
        act()
        end = pellet.time_second + duration
        while pellet.time_second < end:
            area = pellet._course.network.contact.area_m2 * 10
            pellet.move_to(min(pellet.horizon(), end))
            yield area


def test_every_coulomb_is_in_particles_lost_particles_double_layers_or_the_side_reaction() -> None:
    parameters = PelletParameters.bare(ageing=FADING)
    pellet = Pellet(parameters, stoichiometry=0.6)
    full = parameters.full_charge_coulomb
    capacitance = parameters.double_layer_capacitance_f_per_m2

    def potential() -> float:
        return float(np.mean(pellet._course.present_state().interface_volt))

    begin, layers, before = pellet.stoichiometry * full, 0.0, potential()
    for area in rough_cycles(pellet):
        now = potential()
        layers += capacitance * area * (now - before)
        before = now
    truth = pellet.truth()
    connected = pellet.stoichiometry * truth["capacity_full_ah"] * 3600.0
    lithium = begin - connected - truth["isolated_lithium_ah"] * 3600.0
    side = truth["side_charge_ah"] * 3600.0
    assert min(abs(lithium), abs(side), truth["isolated_lithium_ah"] * 3600.0) > 0.01
    assert truth["isolated_fraction"] > 0.2
    assert lithium + side + layers == pytest.approx(3600.0 * pellet.charge_ah, rel=1e-9)
    assert truth["capacity_full_ah"] * 3600.0 == pytest.approx(
        full * (1.0 - truth["isolated_fraction"]), rel=1e-12
    )


def test_losses_follow_the_cycles_down_to_the_floor() -> None:
    pellet = Pellet(PelletParameters.bare(ageing=FADING), stoichiometry=0.6)
    for _ in rough_cycles(pellet):
        pass
    truth = pellet.truth()
    cycles, fresh = truth["equivalent_cycles"], 0.35
    assert 0.3 < cycles < 2.0
    assert truth["contact_fraction"] == pytest.approx(fresh * (0.3 + 0.7 * np.exp(-2.0 * cycles)), rel=1e-3)
    assert truth["isolated_fraction"] == pytest.approx(1.0 - np.exp(-cycles), rel=1e-3)
    assert truth["equivalent_radius_metre"] == pytest.approx(2.5e-6 / truth["contact_fraction"], rel=1e-9)
    volume = truth["capacity_full_ah"] * 3600.0 / (96485.33212 * 49_000.0)
    assert truth["contact_area_m2"] == pytest.approx(
        3.0 * volume / truth["equivalent_radius_metre"], rel=1e-6
    )


def test_a_quarter_of_the_pressure_doubles_what_a_cycle_costs() -> None:
    cycles = []
    for pressure in (50e6, 12.5e6):
        pellet = Pellet(PelletParameters.bare(ageing=FADING), stoichiometry=0.6, pressure_pa=pressure)
        pellet.set_current(0.1 * ONE_C_AMPERE)
        run_until(pellet, 5000.0)
        cycles.append(pellet.truth()["equivalent_cycles"])
    assert cycles[1] == pytest.approx(2.0 * cycles[0], rel=0.02)


def test_age_and_voltage_do_not_depend_on_the_length_of_the_steps() -> None:
    fine = StepSchedule(fast_growth=1.2, growth=1.05, longest_second=1.0, longest_open_second=30.0)
    found = []
    for schedule in (StepSchedule(), fine):
        pellet = Pellet(PelletParameters.bare(ageing=FADING), stoichiometry=0.6, schedule=schedule)
        pellet.set_current(ONE_C_AMPERE)
        run_until(pellet, 1200.0)
        pellet.set_current(-ONE_C_AMPERE)
        run_until(pellet, 2000.0)
        truth = pellet.truth()
        names = ("contact_fraction", "film_resistance_ohm", "isolated_fraction", "side_charge_ah")
        found.append([pellet.voltage_volt, *(truth[name] for name in names)])
    assert found[0][:-1] == pytest.approx(found[1][:-1], rel=1e-3)
    assert found[0][-1] == pytest.approx(found[1][-1], rel=1e-2)  # the side current lags by a stage


def test_an_aged_pellet_restored_from_json_goes_on_with_equal_floats() -> None:
    parameters = PelletParameters.bare(ageing=FADING)
    pellet = Pellet(parameters, stoichiometry=0.6)
    for _ in rough_cycles(pellet):
        pass
    twin = Pellet.from_state(parameters, json.loads(json.dumps(pellet.state())))
    for each in (pellet, twin):
        each.set_current(-ONE_C_AMPERE)
        run_until(each, each.time_second + 500.0)
    assert twin.state() == pellet.state()
    assert twin.truth() == pellet.truth()


def test_an_aged_pellet_that_ages_no_more_stays_as_it_is() -> None:
    pellet = Pellet(PelletParameters.bare(ageing=FADING), stoichiometry=0.6)
    for _ in rough_cycles(pellet):
        pass
    still = Pellet.from_state(PelletParameters.bare(), pellet.state())
    before = still.truth()
    still.set_current(-ONE_C_AMPERE)
    run_until(still, still.time_second + 500.0)
    for name in ("contact_fraction", "film_resistance_ohm", "isolated_fraction", "side_charge_ah"):
        assert still.truth()[name] == before[name]
    assert before["contact_fraction"] < 0.3


def half_cycle(pellet: Pellet, current_ampere: float, limit_volt: float) -> float:
    """Charge (Ah) until the voltage passes the limit."""
    begin, sign = pellet.charge_ah, np.sign(current_ampere)
    pellet.set_current(current_ampere)

    def left(time: float) -> float:
        return float(sign * (limit_volt - pellet.terminal(np.array([time]))[0][0]))

    while left(pellet.horizon()) > 0.0:
        pellet.move_to(pellet.horizon())
    low, high = pellet.time_second, pellet.horizon()
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) > 0.0 else (low, middle)
    pellet.move_to(high)
    return abs(pellet.charge_ah - begin)


def cycled(name: str, rates: list[float]) -> tuple[Pellet, np.ndarray]:
    """The pellet after cycles of 3.0 to 4.3 V vs Li+/Li at C-rates; charge and discharge (Ah) of each."""
    parameters = PelletParameters.for_cell(coated=name == "coated", ages=True)
    coarse = StepSchedule(growth=1.25, longest_second=30.0)
    pellet, found = Pellet(parameters, stoichiometry=0.9, schedule=coarse), []
    for rate in rates:
        charged = half_cycle(pellet, rate * ONE_C_AMPERE, 3.68)
        found.append((charged, half_cycle(pellet, -rate * ONE_C_AMPERE, 2.38)))
    return pellet, np.array(found)


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_coulombic_efficiency_after_formation_is_just_below_one(name: str) -> None:
    _, capacities = cycled(name, [0.5, 0.5, 0.5])
    efficiency = capacities[1:, 1] / capacities[1:, 0]
    assert np.all((efficiency > 0.99) & (efficiency < 1.0005))
    assert np.all(np.diff(capacities[:, 1]) < 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least", "most"), [("bare", 0.65, 0.75), ("coated", 0.88, 0.93)])
def test_retention_after_100_cycles_at_half_c_is_that_of_the_targets(
    name: str, least: float, most: float
) -> None:
    _, capacities = cycled(name, [0.1, 0.1, *[0.5] * 100])
    assert least < capacities[-1, 1] / capacities[2, 1] < most
    efficiency = capacities[3:, 1] / capacities[3:, 0]
    assert np.all((efficiency > 0.99) & (efficiency < 1.0005))


@pytest.mark.parametrize("name", ["bare", "coated"])
def test_ageing_costs_a_fresh_pellet_less_than_a_percent_of_its_first_discharge(name: str) -> None:
    found = []
    for ages in (False, True):
        parameters = PelletParameters.for_cell(coated=name == "coated", ages=ages)
        pellet = Pellet(parameters, stoichiometry=0.25)
        found.append(half_cycle(pellet, -0.5 * ONE_C_AMPERE, 2.38))
    assert found[0] * 0.99 < found[1] < found[0]
