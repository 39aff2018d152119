"""The Keithley driver on a bad line, a dead one, with another instrument, after a reboot, and killed."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections import deque
from typing import Any

import pytest

from devices.keithley import Keithley2450
from devices.keithley_link import KeithleyLink
from devices.techniques import OpenCircuit
from labctl.errors import DeviceError, InstrumentError, TransportError
from tests.devices.cycler_bench import DENSE, Row, SteppedCell, charge, rows, run, started
from tests.devices.fuzz_line import FuzzLine
from tests.devices.keithley_bench import keithley_bench
from tests.devices.keithley_proxy import Proxy
from tests.devices.killed_host import start_and_kill_host
from tests.helpers import wait_until

FRAMES = 10_000


# ---- values
class FuzzedMessages:
    """A line of messages whose answers are damaged in every way; the answer to question `n` is n / 7."""

    def __init__(self) -> None:
        self.fuzz = FuzzLine(self._answers, end=b"\n", foreign=b"9.9E37;1", seed=5, digits=True)
        self.address = self.fuzz.address
        self._lines: deque[bytes] = deque()

    def _answers(self, message: str) -> list[str]:
        if message == "*LANG?":
            return ["SCPI"]
        framed = re.fullmatch(r"\*ESE (\d+);\*ESE\?;:?(.+);\*ESE\?", message)
        if framed is None:
            return []
        number, question = framed.groups()
        answers = {
            "*IDN?": "KEITHLEY INSTRUMENTS,MODEL 2450,1,1",
            "SYST:ERR?": '0,"No error;0;0 0"',
        }
        return [f"{number};{answers.get(question) or self.truth(int(question.split()[-1]))};{number}"]

    @staticmethod
    def truth(question: int) -> float:
        return question / 7

    def open(self) -> None:
        self.fuzz.open()

    def close(self) -> None:
        self.fuzz.close()

    def write_lines(self, *lines: str) -> None:
        for line in lines:
            self.fuzz.write(f"{line}\n".encode())

    def read_line(self, timeout_second: float) -> str | None:
        if not self._lines:
            self._lines += self.fuzz.read_lines(timeout_second)
        return self._lines.popleft().decode("ascii", errors="replace") if self._lines else None

    def discard_input(self) -> None:
        self.fuzz.discard_input()
        self._lines.clear()


def test_ten_thousand_damaged_answers_give_no_wrong_value_no_hang_and_no_other_error() -> None:
    line = FuzzedMessages()
    link = KeithleyLink(line, answer_within_second=3e-3, ask_again_second=3e-4)
    link.open()
    line.fuzz.rate, asked, good, began = 0.5, 0, 0, time.monotonic()
    while sum(line.fuzz.damaged.values()) < FRAMES:
        asked += 1
        try:
            value = link.ask_number(f"TRIG:BLOC:BRAN:COUN:COUN? {asked}")
        except DeviceError:
            continue
        assert value == line.truth(asked)
        good += 1
    assert min(line.fuzz.damaged.values()) > FRAMES / 20
    assert good > 0.9 * asked
    assert time.monotonic() - began < 60


def clean_and_damaged(*faults: tuple[str, dict[str, Any]]) -> tuple[list[Row], list[Row]]:
    """What two runs give, the second one on a line with faults while it is prepared and followed."""
    both: list[list[Row]] = []
    for armed in ((), faults):
        with keithley_bench(seed=4) as bench:
            cycler = bench.connected()
            for fault, arguments in armed:
                bench.inject(fault, **arguments)
            run(cycler, charge(600), OpenCircuit(until_time_second=60, sampling=DENSE))
            assert not bench.closed
            assert all(alarm["kind"] == "damaged line" for alarm in bench.alarms)
            both.append(rows(cycler))
    return both[0], both[1]


def test_a_bad_line_changes_no_value_and_loses_none() -> None:
    clean, damaged = clean_and_damaged(
        ("split", {"lines": 15, "size": 5}),
        ("split", {"after_lines": 15, "lines": 20, "size": 5000}),
        ("garbage", {"after_lines": 3}),
        ("late", {"after_lines": 5, "delay_second": 0.9}),
        ("truncated", {"after_lines": 8}),
        ("truncated", {"after_lines": 40, "newline": False}),
        ("merged", {"after_lines": 46, "lines": 2}),
        ("slow", {"after_lines": 50, "lines": 5, "delay_second": 0.02}),
    )
    assert len(clean) == 3000 + 300 + 1
    assert damaged == clean


# ---- links
@pytest.mark.parametrize(
    "fault",
    [
        "silent",
        pytest.param("garbage", marks=pytest.mark.slow),
        pytest.param("truncated", marks=pytest.mark.slow),
    ],
)
def test_a_line_that_stays_bad_is_reported_within_two_seconds_and_the_cell_opened_when_it_is_good_again(
    fault: str,
) -> None:
    with keithley_bench(speed=50.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject(fault, lines=0)
        began = time.monotonic()
        wait_until(lambda: bool(bench.alarms), 5)
        assert time.monotonic() - began < 2
        assert bench.alarms[0]["kind"] == "link"
        bench.inject("clear")
        with pytest.raises(TransportError, match=r"no answer to .* within"):
            status.wait(20)
        wait_until(lambda: not bench.closed, 5)
        assert cycler.results[-1].end_reason.startswith("failed: ")
        assert [alarm["kind"] for alarm in bench.alarms] == ["link"]


def test_a_lost_link_is_found_again_and_the_circuit_opened() -> None:
    with keithley_bench(speed=50.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("drop_link")
        began = time.monotonic()
        with pytest.raises(TransportError, match="link lost"):
            status.wait(10)
        assert time.monotonic() - began < 2
        wait_until(lambda: not bench.closed, 5)
        assert cycler.measure_rest_voltage() == pytest.approx(3.11, abs=0.02)
        assert run(cycler, charge(1))[0].end_reason == "time"


def test_another_instrument_in_its_place_is_refused_and_left_alone() -> None:
    with (
        keithley_bench(speed=50.0) as ours,
        keithley_bench(seed=2) as other,
        Proxy(ours.port) as proxy,
    ):
        cycler = ours.connected(address=proxy.address)
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        before = other.call(other.record.entries)
        proxy.target = other.port
        proxy.cut()
        with pytest.raises(TransportError, match="link lost"):
            status.wait(10)
        wait_until(lambda: len(ours.alarms) > 1)
        assert "09000002 answers in place of 2450 09000001" in ours.alarms[-1]["action"]
        assert ours.alarms[-1]["kind"] == "circuit"
        assert other.call(other.record.entries) == before


def test_a_rebooted_unit_gets_its_off_mode_and_limits_back() -> None:
    with keithley_bench(speed=50.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("reboot")
        with pytest.raises(TransportError):
            status.wait(20)
        wait_until(lambda: not bench.closed, 5)
        assert "may still flow: a trigger model that runs goes on within" in bench.alarms[0]["action"]
        unit = bench.instrument.state.settings
        assert bench.call(lambda: {s.off_mode for s in unit.source.values()}) == {"HIMP"}
        assert bench.call(lambda: unit.source["VOLT"].limit) == pytest.approx(5.25e-3)


def test_without_a_way_back_there_is_an_alarm_and_the_next_host_ends_what_was_left_running() -> None:
    with keithley_bench(speed=1.0) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=proxy.address)
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        proxy.refuse()
        proxy.cut()
        with pytest.raises(TransportError, match="link lost"):
            status.wait(10)
        wait_until(lambda: len(bench.alarms) > 1)
        assert [alarm["kind"] for alarm in bench.alarms[:2]] == ["link", "circuit"]
        assert bench.closed
        looking_on = bench.driver()
        looking_on.take_over = False
        with pytest.raises(InstrumentError, match="a program is running on the instrument"):
            looking_on.connect()
        assert bench.closed
        assert bench.call(lambda: bench.instrument.running)
        following = bench.connected()
        assert not bench.closed
        assert not bench.call(lambda: bench.instrument.running)
        assert following.measure_rest_voltage() == pytest.approx(3.11, abs=0.02)


# ---- no host
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_with_the_host_killed_an_excursion_is_stopped_within_100_ms_and_the_output_is_off() -> None:
    cell = SteppedCell(3.0)
    with keithley_bench(speed=200.0, cell=cell) as bench:
        start_and_kill_host(Keithley2450, bench.address, lambda: None)
        assert bench.closed
        at = bench.call(lambda: bench.clock.now) + 100.013
        bench.call(lambda: cell.jump(at, 4.2))
        wait_until(lambda: not bench.closed)
        opened = bench.of("circuit")[-1]
        assert 0 < opened["virtual_second"] - at <= 0.1
        assert opened["reason"].startswith("trigger model")
        assert not bench.call(lambda: bench.instrument.state.settings.output)
        bench.connected()  # the port is free again
        assert not bench.closed


def test_an_output_that_is_on_without_a_trigger_model_is_not_said_to_go_off_by_itself() -> None:
    with keithley_bench() as bench, socket.create_connection(("127.0.0.1", bench.port)) as front_panel:
        front_panel.sendall(b"SOUR:FUNC CURR\nSOUR:CURR 1e-4\nOUTP ON\n")
        wait_until(lambda: bench.closed)
        front_panel.close()
        looking_on = bench.driver()
        looking_on.take_over = False
        with pytest.raises(InstrumentError, match="the output is on and no trigger model is running") as told:
            looking_on.connect()
        assert "by itself" not in str(told.value)
        assert "`labctl off STATION`" in str(told.value)
        assert bench.closed
