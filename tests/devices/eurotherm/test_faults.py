"""What goes wrong in the oven or on the way to it: NaN and an alarm, never a wrong value, never a hang."""

from __future__ import annotations

import time
from math import isnan
from typing import Any

import pytest

from devices.eurotherm.driver import Eurotherm3200
from devices.eurotherm.registers import Status
from labctl.errors import DeviceError, InstrumentError, TransportError
from tests.devices.eurotherm.eurotherm_host import BadLink, LittleBench, bad_link, driver, little_bench
from tests.helpers import wait_until

LONG = 20.0
HASTY = {"period_second": 0.1, "answer_timeout_second": 0.1}


def kinds(device: Any) -> list[str]:
    return [alarm["kind"] for alarm in device.raised]


def celsius(device: Eurotherm3200) -> float:
    return device.read()["oven_temperature_celsius"]["value"]


def bits(device: Eurotherm3200) -> Status:
    return Status(device.read()["oven_status"]["value"])


@pytest.mark.parametrize(
    ("fault", "kind", "bit"),
    [
        ("sensor_break", "sensor_break", Status.SENSOR_BREAK),
        ("over_range", "over_range", Status.OVER_RANGE),
        ("nan", "over_range", Status.OVER_RANGE),
    ],
)
def test_a_temperature_that_is_not_known_is_nan_and_one_alarm(fault: str, kind: str, bit: Status) -> None:
    with little_bench() as bench, driver(bench, period_second=0.05) as oven:
        bench.inject(fault)
        wait_until(lambda: isnan(celsius(oven)), 2.0)
        assert bits(oven) & bit
        for _ in range(5):
            oven.refresh()
        assert kinds(oven) == [kind]
        bench.inject("clear")
        oven.refresh()
        assert celsius(oven) == pytest.approx(25.0, abs=0.2)
        bench.inject(fault)
        oven.refresh()
        assert kinds(oven) == [kind, kind]


@pytest.mark.parametrize(
    ("fault", "words"), [("sensor_break", "sensor break"), ("heater_fail", "too little current")]
)
def test_a_set_under_way_fails_with_what_the_instrument_says(fault: str, words: str) -> None:
    with little_bench(speed=240.0) as bench, driver(bench, period_second=0.05) as oven:
        move = oven.set(60.0, ramp_kelvin_per_minute=2.0)
        wait_until(lambda: bench.celsius() > 25.3)
        bench.inject(fault)
        with pytest.raises(InstrumentError, match=rf"setpoint 60 degC: .*{words}"):
            move.wait(LONG)
        assert kinds(oven) == [fault]


def test_a_jumping_sensor_never_counts_as_there() -> None:
    with little_bench() as bench, driver(bench, period_second=0.05) as oven:
        bench.inject("jumping_sensor", amplitude_kelvin=15.0)
        with pytest.raises(DeviceError, match="not within"):
            oven.set(30.0, dwell_second=600.0, timeout_second=7200.0).wait(LONG)


def test_a_stuck_sensor_ends_in_the_timeout() -> None:
    with little_bench() as bench, driver(bench) as oven:
        bench.inject("stuck_sensor")
        with pytest.raises(DeviceError, match="after 3600 s: it is at 25 degC"):
            oven.set(40.0, timeout_second=3600.0).wait(LONG)


def test_a_silent_instrument_is_nan_and_an_alarm_in_time_and_comes_back() -> None:
    with little_bench() as bench, driver(bench, period_second=0.2) as oven:
        bench.inject("silent")
        began = time.monotonic()
        wait_until(lambda: bool(oven.raised), 3.0)
        assert time.monotonic() - began < 2.0
        assert kinds(oven) == ["no_reading"]
        assert isnan(celsius(oven))
        assert bits(oven) == Status.NO_ANSWER
        threshold = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > threshold)
        assert kinds(oven) == ["no_reading"]
        bench.inject("clear")
        wait_until(lambda: celsius(oven) == 25.0, 5.0)


def test_a_set_fails_when_the_instrument_falls_silent() -> None:
    with (
        little_bench(speed=240.0) as bench,
        driver(bench, period_second=0.1, answer_timeout_second=0.1) as oven,
    ):
        move = oven.set(60.0, ramp_kelvin_per_minute=2.0)
        wait_until(lambda: bench.celsius() > 25.3)
        bench.inject("silent")
        began = time.monotonic()
        with pytest.raises(TransportError, match="does not answer any more"):
            move.wait(LONG)
        assert time.monotonic() - began < 5.0
        bench.inject("clear")


@pytest.mark.parametrize("protocol", ["rtu", "tcp"])
def test_a_dropped_link_is_opened_again(protocol: str) -> None:
    with little_bench() as bench, driver(bench, bench.address, protocol=protocol, period_second=0.1) as oven:
        bench.inject("drop_link")
        wait_until(lambda: bool(oven.raised), 2.0)
        wait_until(lambda: celsius(oven) == 25.0, 5.0)
        assert kinds(oven) == ["no_reading"]


def test_another_instrument_at_the_same_place_is_not_taken_for_the_first() -> None:
    with little_bench() as bench, little_bench(version=0x0209) as other, bad_link(bench) as link:
        with driver(bench, link.address, period_second=0.1) as oven:
            link.lead_to(other.port)
            wait_until(lambda: bool(oven.raised), 2.0)
            wait_until(lambda: link.connections > 2, 5.0)
            assert isnan(celsius(oven))
            with pytest.raises(DeviceError, match=r"answers where .* was before|not open|link lost"):
                oven.set(40.0).wait(LONG)
            assert other.eeprom_writes == 0
            link.lead_to(bench.port)
            wait_until(lambda: celsius(oven) == 25.0, 10.0)


def test_one_lost_answer_is_no_lost_reading() -> None:
    with little_bench() as bench, bad_link(bench) as link, driver(bench, link.address) as oven:
        link.mangle = losing_one()
        assert oven.refresh().temperature_celsius == 25.0
        assert oven.raised == []


def losing_one() -> Any:
    lost: list[bytes] = []

    def mangle(data: bytes) -> list[tuple[float, bytes]]:
        if lost:
            return [(0.0, data)]
        lost.append(data)
        return []

    return mangle


def test_a_reading_that_fails_raises_nothing_in_read() -> None:
    with little_bench() as bench, driver(bench) as oven:
        bench.inject("silent")
        with pytest.raises(TransportError):
            oven.refresh()
        assert isnan(celsius(oven))
        bench.inject("clear")


def test_nobody_at_the_address_is_said_in_words() -> None:
    with little_bench() as bench:
        bench.inject("silent")
        with pytest.raises(TransportError, match="check unit, baud rate, parity"), driver(bench, **HASTY):
            pass


def test_a_wrong_unit_is_said_in_words() -> None:
    with little_bench() as bench:
        with pytest.raises(TransportError, match="unit 7 does not answer"), driver(bench, unit=7, **HASTY):
            pass


def test_a_closed_port_is_said_in_words() -> None:
    with little_bench() as bench:
        link = BadLink(bench.port)
        address = link.address
        link.close()
        with pytest.raises(TransportError, match="cannot be opened"), driver(bench, address):
            pass


def test_a_reboot_in_mid_ramp_is_seen_and_survived() -> None:
    with little_bench(speed=240.0) as bench, driver(bench, bench.address, period_second=0.1) as oven:
        oven.set(60.0, ramp_kelvin_per_minute=2.0)
        wait_until(lambda: bench.celsius() > 25.3)
        bench.inject("reboot")
        wait_until(lambda: "no_reading" in kinds(oven), 3.0)
        wait_until(lambda: not isnan(celsius(oven)), 5.0)
        assert bench.emulator.loop.setpoints[0] == 60.0


def test_a_bench_that_ends_fails_the_set_and_hangs_nothing() -> None:
    bench = LittleBench(speed=60.0)
    with driver(bench, period_second=0.1) as oven:
        move = oven.set(60.0)
        wait_until(lambda: bench.eeprom_writes == 1)
        bench.close()
        with pytest.raises(DeviceError, match=r"bench has ended|link lost|does not answer"):
            move.wait(LONG)
