"""A bad line and a dead one: the load cell's driver never reads a wrong force."""

from __future__ import annotations

import time

import pytest

from devices.mark10.driver import Mark10LoadCell
from labctl.errors import DeviceError
from tests.devices.mark10.test_driver import FORCE, NEAR, alarms, load_cell
from tests.devices.press.press_bench import Alarms, press_bench
from tests.devices.transport.fuzz_line import FuzzLine
from tests.helpers import wait_until

READINGS = 5_000  # in each of two formats


class Sliding:
    """A gauge whose force is another one at every question, and jumps now and then."""

    def __init__(self, *, numeric_only: bool) -> None:
        self._unit = "" if numeric_only else " N"
        self.readings = 0

    @property
    def true_newton(self) -> float:
        return round(900.0 * (1 + self.readings // 1000) + 0.1 * (self.readings % 1000), 1)

    def __call__(self, question: str) -> list[str]:
        if question == "?C":
            self.readings += 1
            return [f"{self.true_newton:.1f}{self._unit}"]
        names = {"LIST": "V1.04;N;CUR;FLTC8;AOUT00;FULL;POL;B0", "RM": "M5i", "RS": "3601234", "RV": "1.04"}
        return [names.get(question, "*10")]


@pytest.mark.parametrize("numeric_only", [False, True])
def test_ten_thousand_answers_over_a_bad_line_give_no_wrong_force_no_hang_and_no_other_error(
    numeric_only: bool,
) -> None:
    truth = Sliding(numeric_only=numeric_only)
    line = FuzzLine(truth, end=b"\r\n", foreign=b"M5i", seed=4, digits=True)
    device = Mark10LoadCell(
        "fuzz",
        name="cell",
        line=line,
        unit="N",
        period_second=3600.0,
        answer_timeout_second=3e-4,
        on_alarm=Alarms(),
    )
    device.connect()
    line.rate, good, began = 0.15, 0, time.monotonic()
    while truth.readings < READINGS:
        try:
            force = device.refresh()
        except DeviceError:
            continue
        good += 1
        assert force == pytest.approx(truth.true_newton, abs=1e-9)
    device.disconnect()
    assert min(line.damaged.values()) > READINGS / 100
    assert good > READINGS / 4
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("garbage", {"lines": 3, "count": 1}),
        ("split", {"lines": 6, "size": 2}),
        ("late", {"lines": 3, "delay_second": 0.15}),
        ("truncated", {"lines": 2}),
        ("silent", {"lines": 2}),
    ],
)
def test_the_line_recovers_from_every_fault_without_a_wrong_force(
    fault: str, arguments: dict[str, float]
) -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench, answer_timeout_second=0.1) as cell:
        bench.inject("gauge", fault, **arguments)
        seen = []
        until = time.monotonic() + 5
        while time.monotonic() < until and seen.count(True) < 20:
            try:
                seen.append(cell.refresh() == pytest.approx(FORCE, abs=NEAR))
            except DeviceError:
                continue
        assert seen
        assert all(seen)


def test_a_late_answer_is_never_taken_for_that_of_a_later_question() -> None:
    with press_bench(stack_pressure_pa=50e6) as bench, load_cell(bench, period_second=60.0) as cell:
        cell.refresh()
        bench.inject("gauge", "late", lines=1, delay_second=0.4)
        first = cell.refresh_later()
        bench.call(lambda: None)  # the first question has its answer, which is on its slow way
        bench.inject("gauge", "jump", offset_newton=5000.0)
        readings = []
        for future in (first, cell.refresh_later(), cell.refresh_later()):
            try:
                readings.append(cell.wait_for(future))
            except DeviceError:
                continue
        assert readings
        assert all(r == pytest.approx(FORCE + 5000, abs=NEAR) for r in readings)


def test_a_pulled_cable_is_reported_within_two_seconds_and_read_again_afterwards() -> None:
    with (
        press_bench(stack_pressure_pa=50e6) as bench,
        load_cell(bench, "socket", answer_timeout_second=0.5) as cell,
    ):
        bench.inject("gauge", "disconnect")
        began = time.monotonic()
        wait_until(lambda: cell.latest() is None, 5)
        assert time.monotonic() - began < 2.0
        bench.inject("gauge", "clear")
        wait_until(lambda: cell.latest() is not None)
        assert len(alarms(cell, "no_reading")) == 1
        assert cell.refresh() == pytest.approx(FORCE, abs=NEAR)


def test_a_gauge_that_sends_readings_unasked_is_refused_in_words() -> None:
    line = FuzzLine(
        lambda question: ["V1.04;N;CUR;FLTC8;AOUT10;FULL;POL;B0"] if question == "LIST" else ["*10"],
        end=b"\r\n",
        foreign=b"",
        seed=1,
    )
    with pytest.raises(DeviceError, match="sends readings unasked"):
        Mark10LoadCell("fuzz", name="cell", line=line).connect()
