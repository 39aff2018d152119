"""What the Eurotherm driver learns of its instrument at the start, and what it then refuses, in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from devices.eurotherm.driver import Eurotherm3200
from labctl.clock import MonotonicClock
from labctl.errors import ConfigurationError, InstrumentError, ProtocolError
from labctl.records.station import DeviceEntry
from tests.devices.eurotherm.eurotherm_host import BadLink, LittleBench, bad_link, driver, little_bench

LONG = 20.0


@pytest.mark.parametrize(("decimals", "resolved"), [(0, 41.0), (1, 41.3), (2, 41.26)])
def test_decimals_are_read_from_the_instrument(decimals: int, resolved: float) -> None:
    with little_bench(decimals=decimals) as bench, driver(bench) as oven:
        oven.set(41.26, dwell_second=10.0, tolerance_kelvin=1.0).wait(LONG)
        assert bench.emulator.loop.setpoints[0] == pytest.approx(resolved)
        assert oven.refresh().setpoint_celsius == pytest.approx(resolved)


def test_decimals_that_are_not_told_follow_from_the_floats() -> None:
    with little_bench(decimals=2, lacking=frozenset({525})) as bench, driver(bench) as oven:
        assert oven.refresh().temperature_celsius == 25.0


def test_without_any_word_on_decimals_the_station_must_state_them() -> None:
    with little_bench(decimals=2, lacking=frozenset({525}), ieee=False) as bench:
        with pytest.raises(InstrumentError, match="decimals of temperatures are ambiguous"), driver(bench):
            pass
        with driver(bench, decimals=2) as oven:
            assert oven.refresh().temperature_celsius == 25.0


def test_decimals_that_contradict_the_instrument_are_refused() -> None:
    with little_bench(decimals=1) as bench:
        with pytest.raises(InstrumentError, match="decimals"), driver(bench, decimals=0):
            pass


def test_ramps_per_hour_are_converted() -> None:
    with little_bench(ramp_units=1) as bench, driver(bench) as oven:
        oven.set(30.0, ramp_kelvin_per_minute=2.0).wait(LONG)
        assert bench.emulator.loop.rate_kelvin_per_minute == pytest.approx(2.0)


def test_a_step_after_a_ramp_is_a_step() -> None:
    with little_bench() as bench, driver(bench, ramp_kelvin_per_minute=1.0) as oven:
        oven.set(26.0, dwell_second=5.0).wait(LONG)
        assert bench.emulator.loop.rate_kelvin_per_minute == 1.0
        oven.set(30.0, dwell_second=5.0, ramp_kelvin_per_minute=0.0).wait(LONG)
        assert bench.emulator.loop.rate_kelvin_per_minute == 0.0


def test_an_instrument_that_shows_fahrenheit_is_refused() -> None:
    with little_bench(units=1) as bench:
        with pytest.raises(InstrumentError, match="shows degF"), driver(bench):
            pass


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[LittleBench, BadLink, Eurotherm3200]]:
    """An oven that nobody polls, and what was said to it."""
    with (
        little_bench(setpoint_low_celsius=10.0) as bench,
        bad_link(bench) as link,
        driver(bench, link.address, period_second=60.0) as oven,
    ):
        yield bench, link, oven


@pytest.mark.parametrize(
    ("celsius", "options", "words"),
    [
        (80.1, {}, r"oven: setpoint 80.1 degC: above the limit temperature_max_celsius = 80 degC"),
        (-5.0, {}, r"oven: setpoint -5 degC: the instrument allows 10 to 250 degC"),
        (float("nan"), {}, "must be a number"),
        (40.0, {"ramp_kelvin_per_minute": 0.25}, "ramp 0.25 K/min: the instrument has steps of 0.1"),
        (40.0, {"ramp_kelvin_per_minute": -1.0}, "ramp -1 K/min"),
        (40.0, {"dwell_second": -1.0}, "dwell_second"),
    ],
)
def test_what_is_not_allowed_is_refused_before_a_byte_is_sent(
    guarded: tuple[LittleBench, BadLink, Eurotherm3200],
    celsius: float,
    options: dict[str, float],
    words: str,
) -> None:
    bench, link, oven = guarded
    asked = len(link.asked)
    with pytest.raises(ProtocolError, match=words):
        oven.set(celsius, **options)
    if not options:
        with pytest.raises(ProtocolError, match=words):
            oven.track(celsius)
    threading.Event().wait(0.05)
    assert len(link.asked) == asked
    assert bench.eeprom_writes == 0


@pytest.mark.parametrize(("key", "words"), [("manual", "is in manual"), ("standby", "is in standby")])
def test_a_setpoint_that_would_have_no_effect_fails_with_the_reason(key: str, words: str) -> None:
    with little_bench() as bench, driver(bench) as oven:
        bench.inject(key)
        with pytest.raises(InstrumentError, match=words):
            oven.set(40.0).wait(LONG)
        assert bench.eeprom_writes == 0


def test_limits_in_force_are_in_the_metadata() -> None:
    with little_bench(setpoint_high_celsius=120.0) as bench, driver(bench) as oven:
        assert oven.metadata()["limits"] == {
            "temperature_max_celsius": 80.0,
            "setpoint_low_celsius": 0.0,
            "setpoint_high_celsius": 120.0,
        }


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "ascii"},
        {"unit": 0},
        {"parity": "mark"},
        {"baudrate": 50},
        {"tolerance_kelvin": 0.0},
        {"answer_timeout_second": 0.0},
    ],
)
def test_impossible_options_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"protocol|unit|parity|baudrate|tolerance|timeout"):
        Eurotherm3200("socket://127.0.0.1:1", name="oven", **options)


def test_modbus_tcp_on_a_serial_device_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs socket://"):
        Eurotherm3200("/dev/ttyUSB0", name="oven", protocol="tcp")


@pytest.mark.parametrize("address", ["/dev/ttyUSB0", "socket://10.0.0.7:502"])
def test_a_station_file_can_name_it(address: str) -> None:
    entry = DeviceEntry(driver="eurotherm", address=address, options={"protocol": "rtu", "unit": 3})
    device = Eurotherm3200(entry.address or "", name="oven", clock=MonotonicClock(), **entry.options)
    assert device.identity is None
    device.disconnect()
