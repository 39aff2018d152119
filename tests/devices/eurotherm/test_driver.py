"""The Eurotherm driver over real sockets and a pseudo-terminal: identify, read, set, ramp, hold, limits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from math import isfinite
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.plan_stubs import abs_set, mv, sleep
from bluesky.plans import count

from devices.eurotherm.driver import Eurotherm3200
from devices.sim.eurotherm.emulator import TICK_SECOND
from labctl.clock import MonotonicClock
from labctl.errors import DeviceError, PortInUseError
from tests.devices.eurotherm.eurotherm_host import bad_link, driver, little_bench
from tests.helpers import Documents, wait_until

LONG = 20.0


def values(device: Eurotherm3200) -> dict[str, Any]:
    return {key.removeprefix("oven_"): reading["value"] for key, reading in device.read().items()}


def test_over_every_wire_it_identifies_reads_sets_ramps_holds_and_lets_go(wire_address: Any) -> None:
    bench, address, options = wire_address
    with driver(bench, address, **options) as oven:
        identity = oven.identity
        assert identity is not None
        assert (identity.maker, identity.firmware) == ("Eurotherm", "2.13")
        assert values(oven) == {
            "temperature_celsius": 25.0,
            "setpoint_celsius": 25.0,
            "working_setpoint_celsius": 25.0,
            "output_percent": 0.0,
            "status": 0,
        }
        oven.set(60.0, ramp_kelvin_per_minute=2.0).wait(LONG)
        assert bench.celsius() == pytest.approx(60.0, abs=0.6)
        assert bench.now() > 35 / 2 * 60
        assert values(oven)["setpoint_celsius"] == 60.0
        bench.call(bench.clock.set_speed, 60.0)
        move = oven.set(25.0, ramp_kelvin_per_minute=2.0)
        oven.stop()
        with pytest.raises(DeviceError, match="stopped before it was reached"):
            move.wait(LONG)
        assert bench.emulator.loop.setpoints[0] == pytest.approx(60.0, abs=2.0)
        assert oven.raised == []
    with driver(bench, address, **options) as again:
        assert again.identity == identity


@pytest.fixture(params=["rtu", "tcp", "pty"])
def wire_address(request: pytest.FixtureRequest) -> Any:
    with little_bench() as bench:
        if request.param == "pty":
            yield bench, bench.call(bench.emulator.open_pty), {"protocol": "rtu"}
        else:
            yield bench, bench.address, {"protocol": request.param}


def test_readings_are_events_with_types_and_units() -> None:
    documents = Documents()
    with little_bench() as bench, driver(bench) as oven:
        RunEngine({})(count([oven], num=2), documents)
    keys = documents.of("descriptor")[0]["data_keys"]
    assert keys["oven_temperature_celsius"]["units"] == "degC"
    assert keys["oven_temperature_celsius"]["dtype_numpy"] == "<f8"
    assert keys["oven_status"]["dtype_numpy"] == "<i8"
    assert [event["data"]["oven_temperature_celsius"] for event in documents.of("event")] == [25.0, 25.0]


def test_a_plan_moves_it_and_the_end_of_the_run_writes_nothing_more() -> None:
    with little_bench() as bench, driver(bench) as oven:
        RunEngine({})(mv(oven, 40.0))
        assert bench.celsius() == pytest.approx(40.0, abs=0.6)
        assert bench.emulator.loop.setpoints[0] == 40.0
        assert bench.eeprom_writes == 1


def test_a_run_that_ends_in_mid_ramp_leaves_the_temperature_held() -> None:
    with little_bench(speed=240.0) as bench, driver(bench) as oven:

        def plan() -> Any:
            yield from abs_set(oven, 60.0, ramp_kelvin_per_minute=6.0)
            while bench.celsius() < 26.0:
                yield from sleep(0.05)

        RunEngine({})(plan())
        held = bench.emulator.loop.setpoints[0]
        assert held == pytest.approx(bench.celsius(), abs=0.5)
        assert 25.5 < held < 30.0


def test_the_working_setpoint_climbs_at_the_stated_rate() -> None:
    with little_bench(speed=300.0) as bench, driver(bench, period_second=0.05) as oven:
        move = oven.set(60.0, ramp_kelvin_per_minute=6.0)
        seen = []
        wait_until(lambda: values(oven)["working_setpoint_celsius"] > 26.0)
        for _ in range(8):
            reading = oven.refresh()
            seen.append((oven.last_reading_clock_second, reading.working_setpoint_celsius))
            threading.Event().wait(0.05)
        (first_second, first), (last_second, last) = seen[0], seen[-1]
        assert last < 60.0
        slope = (last - first) / (last_second - first_second) * 60.0
        assert slope == pytest.approx(6.0, rel=0.15)
        assert not move.done


def test_it_is_done_only_after_the_dwell_in_clock_time() -> None:
    with little_bench() as bench, driver(bench) as oven:
        oven.set(26.0, tolerance_kelvin=1.5, dwell_second=3000.0).wait(LONG)
        assert bench.now() >= 3000.0


def test_the_timeout_is_clock_time_too_and_says_where_it_is() -> None:
    with little_bench() as bench, driver(bench) as oven:
        with pytest.raises(
            DeviceError,
            match=r"setpoint 60 degC: not within 0.5 degC of .* after 300 s: it is at [0-9.]+ degC",
        ):
            oven.set(60.0, timeout_second=300.0).wait(LONG)
        assert bench.now() >= 300.0


def test_polling_alone_does_not_make_simulated_time_pass() -> None:
    with little_bench() as bench, driver(bench, period_second=0.02) as oven:
        first = oven.last_reading_clock_second
        threading.Event().wait(0.3)
        assert oven.last_reading_clock_second == first == bench.now()
        assert oven.expected_by_clock_second > first


def test_reading_never_waits_for_the_wire() -> None:
    with little_bench() as bench, bad_link(bench) as link, driver(bench, link.address) as oven:
        link.mangle = lambda data: [(0.2, data)]
        threading.Event().wait(0.2)
        slowest = 0.0
        for _ in range(200):
            began = time.perf_counter()
            oven.read()
            slowest = max(slowest, time.perf_counter() - began)
        assert slowest < 0.05
        assert isfinite(values(oven)["temperature_celsius"])


def test_a_newer_setpoint_takes_the_place_of_the_one_under_way() -> None:
    with little_bench(speed=60.0) as bench, driver(bench) as oven:
        first = oven.set(60.0)
        second = oven.set(26.0, tolerance_kelvin=1.5, dwell_second=5.0)
        with pytest.raises(DeviceError, match="a new setpoint was given"):
            first.wait(LONG)
        second.wait(LONG)
        assert bench.emulator.loop.setpoints[0] == 26.0


def test_a_tracked_path_is_followed_and_kept_when_the_driver_lets_go() -> None:
    with little_bench(remote_wall_second=0.5) as bench:
        with driver(bench, period_second=0.1) as oven:
            for step in range(11):
                oven.track(25.0 + step).wait(LONG)
            assert oven.refresh().working_setpoint_celsius == pytest.approx(35.0, abs=TICK_SECOND)
            threading.Event().wait(0.8)  # longer than a remote setpoint holds by itself
            assert bench.emulator.loop.target_celsius() == 35.0
            assert oven.raised == []
        assert bench.emulator.loop.remote_selected is False
        assert bench.emulator.loop.target_celsius() == 35.0


def test_a_tracked_path_that_was_cut_off_is_an_alarm() -> None:
    with little_bench(remote_wall_second=0.2) as bench, driver(bench, period_second=0.6) as oven:
        oven.track(40.0).wait(LONG)
        wait_until(lambda: bool(oven.raised), 3.0)
        assert {alarm["kind"] for alarm in oven.raised} == {"remote_setpoint_lost"}


def test_stop_in_mid_ramp_holds_the_temperature_of_that_moment() -> None:
    with little_bench(speed=240.0) as bench, driver(bench) as oven:
        move = oven.set(60.0, ramp_kelvin_per_minute=6.0)
        wait_until(lambda: bench.celsius() > 26.0)
        oven.stop()
        held = bench.emulator.loop.setpoints[0]
        assert held == pytest.approx(bench.celsius(), abs=0.5)
        with pytest.raises(DeviceError, match="stopped before it was reached"):
            move.wait(LONG)
        bench.call(bench.clock.set_speed, None)
        bench.sleep(7200.0)
        assert bench.celsius() == pytest.approx(held, abs=0.1)
        assert bench.eeprom_writes == 2


def test_stop_before_the_instrument_heard_of_it_writes_nothing() -> None:
    with little_bench() as bench, bad_link(bench) as link, driver(bench, link.address) as oven:
        link.mangle = lambda data: [(0.1, data)]
        move = oven.set(60.0)
        oven.stop()
        with pytest.raises(DeviceError, match="stopped"):
            move.wait(LONG)
        assert bench.eeprom_writes == 0


def test_stop_right_after_a_tracked_setpoint_ends_the_following() -> None:
    with little_bench(speed=60.0) as bench, driver(bench) as oven:
        oven.track(60.0)
        oven.stop()
        assert bench.emulator.loop.remote_selected is False
        assert bench.emulator.loop.target_celsius() == pytest.approx(25.0, abs=0.5)


def test_stop_is_silent_when_nothing_is_under_way() -> None:
    with little_bench() as bench, driver(bench) as oven:
        oven.stop()
        oven.set(30.0, dwell_second=5.0).wait(LONG)
        oven.stop(success=True)
        oven.stop()
        assert bench.eeprom_writes == 1
        assert oven.raised == []


def test_stop_without_a_link_raises_an_alarm_and_no_exception() -> None:
    with little_bench(speed=60.0) as bench, driver(bench) as oven:
        oven.set(60.0)
        wait_until(lambda: bench.eeprom_writes == 1)
        bench.inject("silent")
        oven.stop()
        assert "hold" in [alarm["kind"] for alarm in oven.raised]
        bench.inject("clear")


def test_a_second_process_is_refused_at_once_and_does_not_disturb() -> None:
    script = (
        "import sys\n"
        "from devices.eurotherm.driver import Eurotherm3200\n"
        "from labctl.errors import PortInUseError\n"
        "try:\n"
        "    Eurotherm3200(sys.argv[1], name='oven').connect()\n"
        "except PortInUseError as error:\n"
        "    print(error)\n"
    )
    with little_bench() as bench, driver(bench, bench.address, period_second=0.05) as oven:
        done = subprocess.run(
            [sys.executable, "-c", script, bench.address], capture_output=True, text=True, timeout=30
        )
        assert "in use by process" in done.stdout, done.stderr
        assert values(oven)["temperature_celsius"] == 25.0
        assert oven.raised == []


def test_the_same_port_twice_in_one_process_is_refused_within_a_second() -> None:
    with little_bench() as bench, driver(bench, bench.address):
        began = time.monotonic()
        with pytest.raises(PortInUseError):
            Eurotherm3200(bench.address, name="other", clock=MonotonicClock()).connect()
        assert time.monotonic() - began < 1.0
