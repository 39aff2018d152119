"""A bad line, a dead one, another instrument: the pressure controller's driver never reads a wrong value."""

from __future__ import annotations

import time

import pytest

from devices.alicat.driver import AlicatPressureController
from devices.sim.alicat.emulator import AlicatPcd
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings, SurroundingsParameters
from devices.sim.clock import VirtualClock
from labctl.errors import DeviceError
from tests.devices.alicat.test_driver import BAR, alarms, controller
from tests.devices.press.press_bench import Alarms, press_bench
from tests.devices.transport.fuzz_line import FuzzLine
from tests.helpers import wait_until

ANSWERS = 10_000
QUICK = {"answer_timeout_second": 0.1}


class Sliding:
    """An emulated controller whose pressure is another one at every question."""

    def __init__(self) -> None:
        clock = VirtualClock(None)
        around = Surroundings(SurroundingsParameters(), temperature_kelvin=298.15, stack_pressure_pa=0.0)
        self._emulator = AlicatPcd(clock, BenchRecord(lambda: clock.now), seed=1, surroundings=around)
        self.frames = self.answers = 0

    @property
    def true_pa(self) -> float:
        return 100.0 * (self.frames % 30_000)

    def __call__(self, question: str) -> list[str]:
        self.answers += 1
        if question == "A":
            self.frames += 1
            self._emulator._jump(self.true_pa)
        return self._emulator._answer(question)


def test_ten_thousand_answers_over_a_bad_line_give_no_wrong_value_no_hang_and_no_other_error() -> None:
    truth = Sliding()
    line = FuzzLine(truth, end=b"\r", foreign=b"B +014.70 +030.00", seed=3)
    device = AlicatPressureController(
        "fuzz", name="line", line=line, period_second=3600.0, answer_timeout_second=3e-4, on_alarm=Alarms()
    )
    device.connect()
    line.rate, good, began = 0.15, 0, time.monotonic()
    while truth.answers < ANSWERS:
        try:
            state = device.refresh()
        except DeviceError:
            continue
        good += 1
        assert state.pressure_pa == pytest.approx(truth.true_pa, abs=36)
        assert state.flags == frozenset()
    device.disconnect()
    assert min(line.damaged.values()) > ANSWERS / 150
    assert good > ANSWERS / 5
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("garbage", {"lines": 3, "count": 30}),
        ("split", {"lines": 6, "size": 3}),
        ("merged", {"lines": 3}),
        ("late", {"lines": 3, "delay_second": 0.15}),
        ("truncated", {"lines": 2}),
        ("truncated", {"lines": 2, "newline": False}),
        ("silent", {"lines": 2}),
    ],
)
def test_the_line_recovers_from_every_fault_without_a_wrong_value(
    fault: str, arguments: dict[str, float]
) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench, **QUICK) as line:
        bench.inject("line", fault, **arguments)
        seen = []
        until = time.monotonic() + 5
        while time.monotonic() < until and seen.count(True) < 20:
            try:
                seen.append(line.refresh().pressure_pa == pytest.approx(bench.line_pa(), abs=40))
            except DeviceError:
                continue
        assert seen
        assert all(seen)
        assert line.latest() is not None


def test_a_dead_link_is_reported_within_two_seconds_and_an_alarm_once() -> None:
    with (
        press_bench(stack_pressure_pa=50e6) as bench,
        controller(bench, "socket", **QUICK) as line,
    ):
        bench.inject("line", "disconnect")
        began = time.monotonic()
        wait_until(lambda: line.latest() is None, 5)
        assert time.monotonic() - began < 2.0
        time_to_repeat = time.monotonic() + 0.4
        wait_until(lambda: time.monotonic() > time_to_repeat)
        assert len(alarms(line, "no_reading")) == 1
        bench.inject("line", "clear")
        wait_until(lambda: line.latest() is not None)
        assert line.refresh().pressure_pa == pytest.approx(bench.line_pa(), abs=40)


def test_a_silent_instrument_is_reported_within_two_seconds() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench, answer_timeout_second=0.5) as line:
        bench.inject("line", "silent")
        began = time.monotonic()
        wait_until(lambda: line.latest() is None, 5)
        assert time.monotonic() - began < 2.0


def test_a_different_instrument_behind_the_same_port_is_not_taken_for_the_old_one() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench, "socket", **QUICK) as line:
        bench.call(lambda: setattr(bench.line, "_serial", "S000002"))
        bench.call(bench.line.wire.drop)
        wait_until(lambda: line.latest() is None)
        wait_until(lambda: line._silent_polls == 0 and not line._link_open)
        with pytest.raises(DeviceError, match=r"S000002 .* answers where .* S000001"):
            _last_refusal(line)
        bench.call(lambda: setattr(bench.line, "_serial", "S000001"))
        wait_until(lambda: line.latest() is not None)


def _last_refusal(line: AlicatPressureController) -> None:
    for _ in range(20):
        try:
            line.refresh()
        except DeviceError as error:
            if "answers where" in str(error):
                raise


def test_a_hold_that_could_not_be_sent_is_sent_when_the_link_is_back() -> None:
    with press_bench(speed=50.0) as bench, controller(bench) as line:
        line.set(20 * BAR, ramp_pa_per_second=0.02 * BAR)
        wait_until(lambda: bench.line_pa() > 0.5 * BAR)
        bench.inject("line", "disconnect")
        line.stop()
        wait_until(lambda: bool(alarms(line, "hold")))
        assert not bench.events("hold")
        assert "tried again" in alarms(line, "hold")[0]["action"]
        bench.inject("line", "clear")
        wait_until(lambda: bool(bench.events("hold")))
        here = bench.line_pa()
        bench.clock.sleep(20)
        assert bench.line_pa() == pytest.approx(here, abs=0.02 * BAR)


def test_a_reboot_in_between_is_survived_and_the_pressure_known_again() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, controller(bench, "socket", **QUICK) as line:
        bench.inject("line", "reboot")
        wait_until(lambda: bool(alarms(line, "no_reading")))
        wait_until(lambda: line.latest() is not None)
