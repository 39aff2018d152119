"""Leaks, lost and lying sensors: the pressure is held or an alarm is raised, and never is it let go."""

from __future__ import annotations

import time
from math import isnan

import pytest
from ophyd.status import DeviceStatus

from devices.press.heated_cell import HeatedPressureCell
from labctl.errors import DeviceError, InstrumentError
from tests.devices.press.press_bench import PressBench, press_bench
from tests.devices.press.test_heated_cell import AREA, MPA, PISTON, alarms, cell_on
from tests.helpers import wait_until

START, GOAL = 20 * MPA, 100 * MPA


def begun(bench: PressBench, cell: HeatedPressureCell, goal_pa: float = GOAL) -> DeviceStatus:
    """A pressure on its way, slowly."""
    status = cell.pressure.set(goal_pa, ramp_pa_per_second=0.2 * MPA)
    wait_until(lambda: bench.stack_pa() > START + 0.5 * MPA)
    return status


def stands(bench: PressBench, at_pa: float) -> bool:
    """Whether the pressure is there, and stays."""
    bench.clock.sleep(20)
    return bench.stack_pa() == pytest.approx(at_pa, rel=0.01)


@pytest.mark.parametrize(
    ("which", "fault"),
    [
        ("gauge", "disconnect"),
        ("gauge", "sensor_lost"),
        ("line", "nan"),
    ],
)
def test_a_sensor_lost_in_mid_ramp_holds_the_pressure_fails_the_set_and_is_an_alarm(
    which: str, fault: str
) -> None:
    with press_bench(speed=50.0, stack_pressure_pa=START) as bench, cell_on(bench) as cell:
        status = begun(bench, cell)
        bench.inject(which, fault)
        assert isinstance(status.exception(20), DeviceError)
        here = bench.stack_pa()
        assert START < here < GOAL
        assert stands(bench, here)
        assert bench.events("hold")[-1]["hold"] == "closed"
        assert "the pressure is held" in alarms(cell, "pressure")[0]["action"]
        assert alarms(cell, "no_reading")
        row = cell.environment()
        lost = row["surface_pressure_pa" if which == "gauge" else "applied_pressure_pa"]
        assert lost != lost
        setpoints = [entry["line_pa"] for entry in bench.events("setpoint")]
        assert setpoints == sorted(setpoints)


def test_a_gas_line_lost_in_mid_ramp_is_held_as_soon_as_it_answers_again() -> None:
    with press_bench(speed=50.0, stack_pressure_pa=START) as bench, cell_on(bench, 0.1) as cell:
        status = begun(bench, cell, 300 * MPA)
        bench.inject("line", "disconnect")
        assert isinstance(status.exception(20), DeviceError)
        assert not bench.events("hold")
        bench.inject("line", "clear")
        wait_until(lambda: bool(bench.events("hold")))
        assert stands(bench, bench.stack_pa())
        assert alarms(cell, "hold")


def test_a_stuck_load_cell_stops_the_ramp_because_the_actuator_disagrees() -> None:
    with press_bench(speed=50.0, stack_pressure_pa=START) as bench, cell_on(bench) as cell:
        status = begun(bench, cell)
        bench.inject("gauge", "stuck")
        with pytest.raises(InstrumentError, match="differ by more than 10%"):
            status.wait(20)
        assert bench.stack_pa() < GOAL
        assert stands(bench, bench.stack_pa())


def test_a_load_cell_that_jumps_while_the_pressure_is_kept_is_an_alarm_and_not_followed() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        sent = len(bench.events("setpoint"))
        bench.inject("gauge", "jump", offset_newton=-20 * MPA * AREA)
        wait_until(lambda: bool(alarms(cell, "disagreement")))
        bench.clock.sleep(300)
        wait_until(lambda: bool(alarms(cell, "astray")))
        assert len(bench.events("setpoint")) == sent
        assert bench.stack_pa() == pytest.approx(50 * MPA, rel=0.01)
        assert len(alarms(cell, "disagreement")) == 1


def test_a_slow_drift_of_the_force_is_corrected_and_not_at_every_look() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        sent = len(bench.events("setpoint"))
        bench.inject("gauge", "jump", offset_newton=-0.7 * MPA * AREA)
        bench.clock.sleep(100)
        wait_until(lambda: len(bench.events("setpoint")) > sent)
        bench.clock.sleep(40)
        wait_until(lambda: abs(cell.pressure.position - 50 * MPA) < 0.4 * MPA)
        assert bench.stack_pa() == pytest.approx(50.7 * MPA, abs=0.3 * MPA)
        assert len(bench.events("setpoint")) == sent + 1
        assert not alarms(cell, "disagreement")


def test_with_saved_setpoints_corrections_spare_the_instruments_memory() -> None:
    with press_bench(line={"source": "S"}) as bench, cell_on(bench) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        bench.inject("gauge", "jump", offset_newton=-0.7 * MPA * AREA)
        wait_until(lambda: abs(cell.pressure.position - 49.3 * MPA) < 0.3 * MPA)
        bench.clock.sleep(30)
        sent = len(bench.events("setpoint"))
        looks = cell.load_cell.last_reading_clock_second
        bench.clock.sleep(100)
        wait_until(lambda: cell.load_cell.last_reading_clock_second > looks)
        assert len(bench.events("setpoint")) <= sent + 1


def test_a_small_leak_is_made_up_for() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        bench.inject("line", "leak", per_second=0.003)
        cell.pressure.set(50 * MPA).wait(30)
        bench.clock.sleep(600)
        assert bench.stack_pa() == pytest.approx(50 * MPA, rel=0.01)


def test_a_leak_beyond_the_supply_fails_in_time_with_an_alarm_and_stays_regulated() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        bench.inject("line", "leak", per_second=3.0)
        status = cell.pressure.set(100 * MPA, timeout_second=600)
        with pytest.raises(DeviceError, match="not within"):
            status.wait(30)
        assert "stays regulated" in alarms(cell, "pressure")[0]["action"]
        assert alarms(cell, "correction")
        assert not cell.actuator.refresh().held
        assert bench.stack_pa() > 40 * MPA


def test_a_leak_of_a_held_line_is_an_alarm() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        cell.hold()
        bench.inject("line", "leak", per_second=0.001)
        bench.clock.sleep(60)
        wait_until(lambda: bool(alarms(cell, "held_pressure")))
        assert alarms(cell, "held_pressure")[0]["value"] < 49 * MPA


def test_a_piston_area_that_is_far_off_is_not_corrected_for() -> None:
    with press_bench(speed=20.0) as bench, cell_on(bench, piston_area_m2=0.7 * PISTON) as cell:
        status = cell.pressure.set(50 * MPA)
        with pytest.raises(InstrumentError, match="differ by more than 10%"):
            status.wait(30)
        assert bench.stack_pa() < 40 * MPA
        assert bench.events("hold")


def test_a_pressure_above_the_limit_is_held_at_once() -> None:
    with press_bench() as bench, cell_on(bench, die_pressure_max_pa=51 * MPA) as cell:
        cell.pressure.set(50 * MPA).wait(30)
        bench.call(lambda: bench.line.line.jump_to(53 * MPA * AREA / PISTON))
        bench.clock.sleep(30)
        wait_until(lambda: bool(alarms(cell, "over_pressure")))
        wait_until(lambda: bool(bench.events("hold")))
        assert cell.pressure.goal is None


def test_from_above_the_limit_one_may_still_go_down() -> None:
    with (
        press_bench(stack_pressure_pa=60 * MPA) as bench,
        cell_on(bench, die_pressure_max_pa=50 * MPA) as cell,
    ):
        cell.pressure.set(20 * MPA).wait(30)
        assert bench.stack_pa() == pytest.approx(20 * MPA, rel=0.02)


def test_a_source_switched_to_analog_fails_the_set_before_anything_moves() -> None:
    with press_bench() as bench, cell_on(bench) as cell:
        bench.inject("line", "source", source="A")
        with pytest.raises(InstrumentError, match="analog input"):
            cell.pressure.set(50 * MPA).wait(20)
        assert not bench.events("setpoint")


def test_a_reading_that_nobody_renews_grows_stale_and_is_no_reading_any_more() -> None:
    """The gauge takes an age to answer: nothing has failed yet, but what is known is old."""
    with press_bench(stack_pressure_pa=50 * MPA) as bench:
        with cell_on(bench, answer_timeout_second=8.0) as cell:
            assert cell.environment()["surface_pressure_pa"] == pytest.approx(50 * MPA, rel=0.02)
            bench.inject("gauge", "silent")
            began = time.monotonic()
            wait_until(lambda: isnan(cell.environment()["surface_pressure_pa"]), 6)
            assert time.monotonic() - began > 1.0, "a little late is not stale"
            assert cell.load_cell.latest() is None
            assert isnan(cell.pressure.position)
            assert not alarms(cell, "no_reading"), "it did not fail, it is only late"
            bench.inject("gauge", "clear")


def test_reading_is_never_stalled_by_a_sensor_that_takes_its_time() -> None:
    with press_bench(stack_pressure_pa=50 * MPA) as bench, cell_on(bench) as cell:
        bench.inject("gauge", "slow", delay_second=0.05)
        status = cell.trigger()
        assert set(cell.environment()) >= {"surface_pressure_pa"}
        assert not status.done
        status.wait(10)
        assert cell.environment()["surface_pressure_pa"] == pytest.approx(50 * MPA, rel=0.02)
