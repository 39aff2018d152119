"""The pellet's clock and controls: what the emulated instruments rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.cell.pellet.trajectory import StepSchedule

ONE_C_AMPERE = 200.0 * 8.4e-6  # 200 mAh/g times the active mass of the default pellet, kg -> A


def run_until(pellet: Pellet, time_second: float) -> None:
    """Let time pass to an instant that may be inside a step."""
    while pellet.horizon() < time_second:
        pellet.move_to(pellet.horizon())
    pellet.move_to(time_second)


def samples(pellet: Pellet, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voltage and current at increasing times; the last becomes the present."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    while start < len(times):
        end = int(np.searchsorted(times, pellet.horizon(), side="right"))
        if end > start:
            found.append(pellet.terminal(times[start:end]))
        pellet.move_to(min(pellet.horizon(), times[-1]))
        start = end
    volts, amperes = zip(*found, strict=True)
    return np.concatenate(volts), np.concatenate(amperes)


def rough_handling(pellet: Pellet) -> Iterator[float]:
    """Change everything, always inside a step; yields the length (s) of each segment."""
    actions = [
        lambda: pellet.set_current(0.5 * ONE_C_AMPERE),
        lambda: pellet.set_voltage(3.45),
        lambda: pellet.set_temperature(313.15),
        lambda: pellet.set_current(-ONE_C_AMPERE),
        lambda: pellet.set_temperature(298.15),
        lambda: pellet.set_voltage(2.9),
        lambda: pellet.open_circuit(),
    ]
    for k, act in enumerate(actions):
        act()
        duration = 123.456 + 17.3 * k
        run_until(pellet, pellet.time_second + duration)
        yield duration


def test_charge_through_the_terminals_is_found_in_particles_and_double_layers() -> None:
    parameters = PelletParameters.bare()
    pellet = Pellet(parameters, stoichiometry=0.7)
    before = pellet.state()["begin_state"]
    for _ in rough_handling(pellet):
        pass
    pellet.set_current(1e-6)  # a change, so that the saved state is the present one
    after = pellet.state()["begin_state"]
    lithium = parameters.full_charge_coulomb * (np.mean(before["mean"]) - np.mean(after["mean"]))
    capacitance = parameters.double_layer_capacitance_f_per_m2 * pellet.truth()["contact_area_m2"]
    layers = capacitance * (np.mean(after["interface_volt"]) - np.mean(before["interface_volt"]))
    assert abs(lithium) > 0.05
    assert lithium + layers == pytest.approx(3600.0 * pellet.charge_ah, rel=1e-9)
    assert lithium != pytest.approx(3600.0 * pellet.charge_ah, rel=1e-9)


def test_charge_of_constant_currents_is_current_times_time_however_often_they_change() -> None:
    pellet = Pellet(PelletParameters.coated(), stoichiometry=0.6)
    expected = 0.0
    for k in range(12):
        ampere, duration = ONE_C_AMPERE * (-1) ** k * (0.3 + 0.01 * k), 7.77 + 0.31 * k
        pellet.set_current(ampere)
        run_until(pellet, pellet.time_second + duration)
        expected += ampere * duration / 3600.0
    assert pellet.charge_ah == pytest.approx(expected, rel=1e-9)
    in_particles = (0.6 - pellet.stoichiometry) * pellet.truth()["capacity_full_ah"]
    assert in_particles == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("control", ["current", "voltage", "open"])
def test_voltage_and_current_do_not_depend_on_how_the_questions_are_grouped(control: str) -> None:
    times = 100.0 + np.geomspace(1e-3, 900.0, 300)

    def prepared() -> Pellet:
        pellet = Pellet(PelletParameters.for_cell(coated=True, ages=True), stoichiometry=0.6)
        pellet.set_current(0.2 * ONE_C_AMPERE)
        run_until(pellet, 100.0)
        change = {
            "current": lambda: pellet.set_current(-0.1 * ONE_C_AMPERE),
            "voltage": lambda: pellet.set_voltage(3.3),
            "open": pellet.open_circuit,
        }
        change[control]()
        return pellet

    together = samples(prepared(), times)
    alone, lonely = prepared(), []
    for time in times:
        lonely.append([value[0] for value in samples(alone, np.array([time]))])
        assert alone.terminal(np.empty(0))[0].size == 0
    assert np.array_equal(np.array(lonely).T, np.array(together))


def test_the_present_reads_what_was_asked_for_ahead() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.6)
    pellet.set_current(ONE_C_AMPERE)
    run_until(pellet, 50.0)
    ahead = 0.5 * (pellet.time_second + pellet.horizon())
    volt, ampere = pellet.terminal(np.array([ahead]))
    pellet.move_to(ahead)
    assert (pellet.time_second, pellet.voltage_volt, pellet.current_ampere) == (ahead, volt[0], ampere[0])


def test_a_change_to_what_is_already_held_changes_nothing() -> None:
    pellet, other = (Pellet(PelletParameters.bare(), stoichiometry=0.6) for _ in range(2))
    for each in (pellet, other):
        each.set_current(ONE_C_AMPERE)
        run_until(each, 33.3)
    other.set_current(ONE_C_AMPERE)
    other.set_temperature(298.15)
    other.set_pressure(50e6)
    assert other.horizon() == pellet.horizon()


def test_voltage_control_holds_the_voltage_while_the_current_decays() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.7)
    pellet.set_current(0.5 * ONE_C_AMPERE)
    run_until(pellet, 600.0)
    held, handed_over = pellet.voltage_volt, pellet.current_ampere
    pellet.set_voltage(held)
    assert pellet.current_ampere == pytest.approx(handed_over, rel=1e-4)
    volts, amperes = samples(pellet, 600.0 + np.geomspace(0.1, 7200.0, 200))
    assert np.all(volts == held)
    assert np.all(np.diff(amperes) < 0.0)
    assert 0.0 < amperes[-1] < 0.05 * handed_over
    pellet.set_current(pellet.current_ampere)  # the same pellet, now asked for its voltage
    run_until(pellet, pellet.time_second + 0.01)
    assert pellet.voltage_volt == pytest.approx(held, abs=2e-6)


@pytest.mark.parametrize("volt", [-20.0, 0.0, 2.0, 4.5, 10.0])
def test_any_voltage_can_be_held(volt: float) -> None:
    pellet = Pellet(PelletParameters.for_cell(coated=True, ages=True), stoichiometry=0.7)
    pellet.set_voltage(volt)
    run_until(pellet, 2000.0)
    assert pellet.voltage_volt == volt
    assert np.isfinite(pellet.current_ampere)


@pytest.mark.parametrize("rate", [-5.0, 5.0])
def test_far_beyond_empty_or_full_the_voltage_stays_finite_and_the_charge_exact(rate: float) -> None:
    pellet = Pellet(PelletParameters.for_cell(coated=False, ages=True), stoichiometry=0.7)
    pellet.set_current(rate * ONE_C_AMPERE)
    run_until(pellet, 3000.0)
    assert np.isfinite(pellet.voltage_volt)
    assert not 0.0 < pellet.stoichiometry < 1.0
    assert pellet.charge_ah == pytest.approx(rate * ONE_C_AMPERE * 3000.0 / 3600.0, rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_sudden_changes_of_everything_with_far_too_long_steps_are_still_solved(seed: int) -> None:
    random = np.random.default_rng(seed)
    first = 10.0 ** random.uniform(-5.0, 2.0)
    long_steps = StepSchedule(first_second=first, first_environment_second=first, growth=3.0)
    pellet = Pellet(
        PelletParameters.for_cell(coated=False, ages=True, slices=3, modes=30),
        stoichiometry=0.7,
        schedule=long_steps,
    )
    changes = [
        lambda: pellet.set_current(random.normal() * 5e-3),
        lambda: pellet.set_voltage(random.uniform(-1.0, 5.0)),
        lambda: pellet.open_circuit(),
        lambda: pellet.set_temperature(random.uniform(230.0, 360.0)),
        lambda: pellet.set_pressure(10.0 ** random.uniform(4.5, 8.5)),
    ]
    for _ in range(30):
        changes[random.integers(len(changes))]()
        for _ in range(random.integers(1, 8)):
            pellet.move_to(pellet.horizon())
        assert np.isfinite([pellet.voltage_volt, pellet.current_ampere]).all()


@pytest.mark.parametrize("control", ["current", "voltage", "open"])
def test_a_pellet_restored_from_json_goes_on_with_equal_floats(control: str) -> None:
    parameters = PelletParameters.for_cell(coated=True, ages=True)
    pellet = Pellet(
        parameters, stoichiometry=0.6, temperature_kelvin=310.0, pressure_pa=30e6, time_second=7.0
    )
    pellet.set_current(0.3 * ONE_C_AMPERE)
    run_until(pellet, 321.0)
    if control == "voltage":
        pellet.set_voltage(3.4)
    elif control == "open":
        pellet.open_circuit()
    run_until(pellet, 444.4)  # inside a step
    twin = Pellet.from_state(parameters, json.loads(json.dumps(pellet.state())))
    later = 444.4 + np.geomspace(1e-3, 1000.0, 50)
    assert np.array_equal(samples(twin, later), samples(pellet, later))
    assert twin.state() == pellet.state()
    assert (twin.charge_ah, twin.stoichiometry) == (pellet.charge_ah, pellet.stoichiometry)


def test_a_state_of_another_resolution_is_refused() -> None:
    saved = Pellet(PelletParameters.bare(slices=5), stoichiometry=0.6).state()
    with pytest.raises(ValueError, match=r"modes has shape \(5, 100\): must be 10 slices x 100 modes"):
        Pellet.from_state(PelletParameters.bare(), saved)


def test_questions_outside_the_present_step_are_refused() -> None:
    pellet = Pellet(PelletParameters.bare(), stoichiometry=0.6)
    run_until(pellet, 100.0)
    with pytest.raises(ValueError, match="must increase within the present step"):
        pellet.terminal(np.array([pellet.horizon() + 1.0]))
    with pytest.raises(ValueError, match="to the horizon"):
        pellet.move_to(pellet.horizon() + 1.0)
    with pytest.raises(ValueError, match="must be from the present"):
        pellet.move_to(99.0)


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda pellet: pellet.set_current(float("nan")), "ampere = nan"),
        (lambda pellet: pellet.set_voltage(float("inf")), "volt = inf"),
        (lambda pellet: pellet.set_temperature(25.0), "temperature_kelvin = 25.0: must be from 200 to 500"),
        (lambda pellet: pellet.set_pressure(-1.0), "pressure_pa = -1.0: must be from 0"),
        (lambda pellet: Pellet(PelletParameters.bare(), stoichiometry=1.5), "stoichiometry = 1.5"),
    ],
)
def test_impossible_values_are_refused_by_name(act, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        act(Pellet(PelletParameters.bare(), stoichiometry=0.6))
