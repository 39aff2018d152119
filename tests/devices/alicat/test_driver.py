"""The pressure controller's driver over a real wire: socket and pseudo-terminal, against the emulator."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from typing import Any

import pytest

from devices.alicat.driver import AlicatPressureController
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, PortInUseError, ProtocolError
from tests.devices.press.press_bench import Alarms, PressBench, press_bench
from tests.helpers import in_background, wait_until

BAR = 1e5
QUICKEST = "socket" if sys.platform == "win32" else "pty"  # pyserial waits 0.3 s when it closes a socket
WIRES = [
    "socket",
    pytest.param("pty", marks=pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")),
]


@contextmanager
def controller(bench: PressBench, wire: str = QUICKEST, **options: Any) -> Iterator[AlicatPressureController]:
    """A connected driver with its `alarms`."""
    address = bench.pty("line") if wire == "pty" else bench.address("line")
    quick = {"period_second": 0.05, "answer_timeout_second": 0.25}
    settings: dict[str, Any] = {**quick, "on_alarm": Alarms(), **options}
    device = AlicatPressureController(address, name="line", clock=bench.clock, **settings)
    try:
        device.connect()
        yield device
    finally:
        device.disconnect()


def alarms(device: AlicatPressureController, kind: str) -> list[dict[str, Any]]:
    assert isinstance(device.on_alarm, Alarms)
    return device.on_alarm.of(kind)


@pytest.mark.parametrize("wire", WIRES)
def test_it_connects_identifies_reads_ramps_holds_and_disconnects(wire: str) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench, wire) as line:
        assert line.identity is not None
        assert (line.identity.maker, line.identity.model) == ("Alicat", "PCD-600PSIG-D")
        assert line.identity.serial == "S000001"
        assert line.read()["line_line_pressure_pa"]["value"] == pytest.approx(bench.line_pa(), abs=40)
        assert line.metadata()["full_scale_pa"] == pytest.approx(600 * 6894.757, rel=1e-4)
        before = bench.clock.now()
        line.set(6 * BAR, ramp_pa_per_second=0.02 * BAR).wait(20)
        took = bench.clock.now() - before
        assert took >= (6 * BAR - 3.93 * BAR) / (0.02 * BAR)
        assert bench.line_pa() == pytest.approx(6 * BAR, rel=0.01)
        line.hold()
        assert line.refresh().held
        assert "HLD" in line.refresh().flags
        line.disconnect()
        assert line.identity is None
        assert bench.line_pa() == pytest.approx(6 * BAR, rel=0.01)


def test_connecting_and_disconnecting_change_nothing() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench:
        with controller(bench):
            pass
        assert not bench.events("setpoint")
        assert not bench.events("hold")
        assert not bench.events("ramp")


def test_a_second_opening_of_the_port_names_the_owner() -> None:
    with press_bench() as bench, controller(bench, "socket"):
        second = AlicatPressureController(bench.address("line"), name="second", clock=bench.clock)
        with pytest.raises(PortInUseError, match="in use by process"):
            second.connect()


@pytest.mark.parametrize(("unit", "variable"), [(10, 38), (7, 38), (4, 38), (10, 34)])
def test_every_unit_and_variable_ends_up_as_gauge_pressure_in_pascal(unit: int, variable: int) -> None:
    with press_bench(line={"unit": unit, "variable": variable}) as bench, controller(bench) as line:
        assert line.refresh().pressure_pa == pytest.approx(0.0, abs=100)
        line.set(12 * BAR, ramp_pa_per_second=0.5 * BAR, tolerance_pa=500).wait(20)
        assert bench.line_pa() == pytest.approx(12 * BAR, abs=1500)
        assert line.refresh().pressure_pa == pytest.approx(bench.line_pa(), abs=100)


@pytest.mark.parametrize("firmware", ["6v21.0-R22", "8v17.0-R23", "9v01.0-R23"])
def test_older_firmware_is_spoken_to_in_its_own_commands(firmware: str) -> None:
    with press_bench(line={"firmware": firmware}) as bench, controller(bench) as line:
        assert line.metadata()["setpoint_source"] == "unknown"
        line.set(3 * BAR).wait(20)
        assert bench.line_pa() == pytest.approx(3 * BAR, rel=0.02)


def test_firmware_without_a_ramp_says_so() -> None:
    with press_bench(line={"firmware": "6v21.0-R22"}) as bench, controller(bench) as line:
        with pytest.raises(InstrumentError, match="has no setpoint ramp"):
            line.set(3 * BAR, ramp_pa_per_second=BAR).wait(10)
        assert not bench.events("setpoint")


def test_an_analog_setpoint_source_is_reported_and_setting_refused() -> None:
    with press_bench(line={"source": "A"}) as bench, controller(bench) as line:
        assert "analog input" in alarms(line, "setpoint_source")[0]["action"]
        with pytest.raises(InstrumentError, match="ignored without an error"):
            line.set(3 * BAR)
        assert not bench.events("setpoint")
        assert not bench.events("ramp")


def test_a_source_changed_behind_our_back_is_noticed_before_the_setpoint() -> None:
    with press_bench() as bench, controller(bench, period_second=60.0) as line:
        bench.inject("line", "source", source="A")
        with pytest.raises(InstrumentError, match="analog input"):
            line.set(3 * BAR).wait(10)
        assert not bench.events("setpoint")


def test_a_setpoint_that_is_not_taken_fails_with_what_the_instrument_reports() -> None:
    with press_bench(line={"firmware": "9v01.0-R23", "source": "A"}) as bench, controller(bench) as line:
        with pytest.raises(
            InstrumentError, match=r"requested a setpoint of 43\.51 PSIG, the instrument reports 0"
        ):
            line.set(3 * BAR).wait(10)


def test_what_is_not_allowed_is_refused_before_any_byte() -> None:
    with press_bench() as bench, controller(bench, line_pressure_max_pa=8 * BAR) as line:
        for value in (-1.0, nan, float("inf"), 42 * BAR, 8.1 * BAR):
            with pytest.raises(ProtocolError, match="line pressure"):
                line.set(value)
        assert not bench.events("setpoint")


@pytest.mark.parametrize(
    ("options", "field"),
    [({"unit_id": "AB"}, "unit_id"), ({"hold": "tight"}, "hold"), ({"period_second": 0}, "period")],
)
def test_impossible_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        AlicatPressureController("socket://127.0.0.1:9", name="line", **options)


def test_another_unit_does_not_answer_and_the_message_says_who_was_asked() -> None:
    with press_bench(line={"unit_id": "B"}) as bench:
        device = AlicatPressureController(
            bench.address("line"), name="line", clock=bench.clock, answer_timeout_second=0.1
        )
        with pytest.raises(DeviceError, match="unit A: no answer"):
            device.connect()
        with controller(bench, unit_id="B") as line:
            assert line.identity is not None


def test_stop_in_mid_ramp_holds_the_pressure_of_that_moment() -> None:
    with press_bench(speed=50.0) as bench, controller(bench) as line:
        status = line.set(30 * BAR, ramp_pa_per_second=0.1 * BAR)
        wait_until(lambda: bench.line_pa() > 0.5 * BAR)
        line.stop()
        here = bench.line_pa()
        bench.clock.sleep(10)
        assert bench.line_pa() == pytest.approx(here, abs=0.02 * BAR)
        assert 0.5 * BAR < here < 20 * BAR
        assert isinstance(status.exception(10), DeviceError)
        assert bench.events("hold")[-1]["hold"] == "closed"


def test_stop_without_a_ramp_leaves_the_pressure_regulated() -> None:
    with press_bench() as bench, controller(bench) as line:
        line.set(3 * BAR).wait(20)
        line.stop()
        assert not line.refresh().held


def test_freezing_the_valves_in_mid_ramp_lets_the_pressure_run_on() -> None:
    with press_bench(speed=50.0) as bench, controller(bench, hold="position") as line:
        line.set(30 * BAR, ramp_pa_per_second=0.1 * BAR)
        wait_until(lambda: bench.line_pa() > 0.5 * BAR)
        line.stop()
        bench.clock.sleep(20)
        assert bench.line_pa() > 40 * BAR


def test_holding_by_setpoint_regulates_at_the_pressure_of_that_moment() -> None:
    with press_bench(speed=50.0) as bench, controller(bench, hold="setpoint") as line:
        line.set(30 * BAR, ramp_pa_per_second=0.1 * BAR)
        wait_until(lambda: bench.line_pa() > 0.5 * BAR)
        line.stop()
        bench.clock.sleep(20)
        here = line.refresh()
        assert 0.5 * BAR < here.setpoint_pa < 20 * BAR
        assert bench.line_pa() == pytest.approx(here.setpoint_pa, abs=0.02 * BAR)
        assert not here.held


def test_out_of_a_hold_the_ramp_starts_at_the_present_pressure() -> None:
    with press_bench(speed=50.0) as bench, controller(bench) as line:
        line.set(30 * BAR, ramp_pa_per_second=0.2 * BAR)
        wait_until(lambda: bench.line_pa() > 0.5 * BAR)
        line.stop()
        here = bench.line_pa()
        status = line.set(here + BAR, ramp_pa_per_second=0.1 * BAR, tolerance_pa=0.05 * BAR)
        highest = 0.0
        while not status.done:
            highest = max(highest, bench.line_pa())
        assert highest < here + 1.1 * BAR
        assert status.exception(1) is None


def test_a_newer_setpoint_ends_the_older_one() -> None:
    with press_bench(speed=100.0) as bench, controller(bench) as line:
        first = line.set(8 * BAR, ramp_pa_per_second=0.05 * BAR)
        second = line.set(1 * BAR, ramp_pa_per_second=0.2 * BAR)
        second.wait(20)
        assert "another pressure" in str(first.exception(1))


def test_what_is_not_reached_in_time_fails_and_stays_regulated() -> None:
    with press_bench() as bench, controller(bench) as line:
        status = line.set(8 * BAR, ramp_pa_per_second=0.01 * BAR, timeout_second=60)
        with pytest.raises(DeviceError, match="not within"):
            status.wait(20)
        assert not line.refresh().held


@pytest.mark.parametrize(("fault", "words"), [("overrange", "POV"), ("nan", "no valid pressure")])
def test_over_range_and_dashes_are_no_reading_and_an_alarm(fault: str, words: str) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench) as line:
        bench.inject("line", fault)
        wait_until(lambda: line.latest() is None)
        assert words in alarms(line, "no_reading")[0]["action"]
        value = line.read()["line_line_pressure_pa"]["value"]
        assert value != value
        bench.inject("line", "clear")
        wait_until(lambda: line.latest() is not None)
        assert len(alarms(line, "no_reading")) == 1


def test_the_over_pressure_flag_is_an_alarm_with_its_reading() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench) as line:
        bench.inject("line", "over_pressure")
        wait_until(lambda: bool(alarms(line, "over_pressure")))
        assert alarms(line, "over_pressure")[0]["value"] == pytest.approx(bench.line_pa(), rel=0.01)
        assert line.latest() is not None


def test_valves_held_by_somebody_else_are_an_alarm_and_our_own_hold_is_none() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench) as line:
        line.hold()
        line.refresh()
        assert not alarms(line, "held")
        line.set(4 * BAR).wait(20)
        bench.inject("line", "hold")
        wait_until(lambda: bool(alarms(line, "held")))


def test_units_changed_at_the_front_panel_never_give_a_wrong_pressure() -> None:
    with (
        press_bench(stack_pressure_pa=50e6) as bench,
        controller(bench, period_second=60.0, answer_timeout_second=0.08) as line,
    ):
        true_pa = bench.line_pa()
        bench.inject("line", "units", code=7)
        with pytest.raises(DeviceError, match=r"units were changed|no answer"):
            line.refresh()
        wait_until(lambda: _refreshed(line) is not None)
        assert line.refresh().pressure_pa == pytest.approx(true_pa, abs=200)


def _refreshed(line: AlicatPressureController) -> float | None:
    try:
        return line.refresh().pressure_pa
    except DeviceError:
        return None


def test_a_reading_and_the_signals_never_wait_for_the_wire() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench) as line:
        bench.inject("line", "slow", delay_second=0.3)
        asked = in_background(line.refresh_later)
        asked.join(1)
        done = threading.Event()
        reader = in_background(lambda: (line.read(), line.latest(), line.describe(), done.set()))
        reader.join(0.1)
        assert done.is_set()
