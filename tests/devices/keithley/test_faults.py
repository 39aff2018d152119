"""The Keithley driver on a bad line, a dead one, with another instrument, after a reboot, and killed."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from devices.core.techniques import OpenCircuit, Sampling
from devices.keithley.driver import Keithley2450
from devices.keithley.link import ANSWER_WITHIN_SECOND, KeithleyLink
from labctl.errors import DeviceError, InstrumentError, TransportError
from tests.devices.core.cycler_bench import DENSE, Row, SteppedCell, charge, rows, run, started
from tests.devices.core.killed_host import start_and_kill_host
from tests.devices.keithley.keithley_bench import KeithleyBench, keithley_bench
from tests.devices.keithley.keithley_proxy import Proxy
from tests.devices.transport.fuzz_line import FuzzLine
from tests.helpers import wait_until

FRAMES = 10_000


# ---- values
class FuzzedMessages:
    """A line of messages whose answers are damaged in every way; the answer to question `n` is n / 7."""

    def __init__(self) -> None:
        self.fuzz = FuzzLine(self._answers, end=b"\n", foreign=b"9.9E37;1", seed=5, digits=True)
        self.address = self.fuzz.address
        self._lines: deque[bytes] = deque()
        self.received_byte = 0

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
            self.received_byte += sum(map(len, self._lines))
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


WEATHER = [
    ("garbage", {"lines": 19, "after_lines": 3}),
    ("truncated", {"lines": 19, "after_lines": 3}),
    ("split", {"lines": 0, "size": 1}),
    ("slow_wire", {"bytes_per_second": 500}),
]


@pytest.mark.parametrize(("fault", "arguments"), WEATHER, ids=[fault for fault, _ in WEATHER])
def test_a_run_goes_on_through_many_damaged_lines_and_on_a_slow_wire(
    fault: str, arguments: dict[str, Any]
) -> None:
    both: list[list[Row]] = []
    for faulty in (False, True):
        with keithley_bench(seed=4) as bench:
            cycler = bench.connected()
            status = started(cycler, charge(1.0), OpenCircuit(until_time_second=3, sampling=DENSE))
            if faulty:
                bench.inject(fault, **arguments)
            status.wait(60)
            both.append(rows(cycler))
            assert [result.end_reason for result in cycler.results] == ["time", "time"]
            damaged = faulty and fault in ("garbage", "truncated")
            assert kinds(bench) == (["damaged line"] if damaged else [])
            assert not bench.closed
    assert both[0] == both[1]


def test_on_a_slow_wire_a_stop_still_opens_the_circuit_in_time_and_tells_of_late_readings() -> None:
    with keithley_bench(speed=20.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000, sampling=Sampling.every(0.05)))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("slow_wire", bytes_per_second=500)
        wait_until(lambda: bench.call(lambda: bench.clock.now) > 30)
        asked = time.time()
        cycler.stop()
        assert not bench.closed
        assert bench.of("circuit")[-1]["unix_second"] - asked < 2
        assert ["output off; samples measured before" in alarm["action"] for alarm in bench.alarms] == [True]
        bench.inject("clear")
        status.wait(10)
        wait_until(lambda: bool(cycler.results), 10)  # what was on its way is taken in afterwards
        (result,) = cycler.results
        seconds = [row[1] for row in rows(cycler)]
        assert result.end_reason == "stopped"
        assert seconds[-1] == result.end_test_time_second - result.start_test_time_second
        assert np.diff(seconds) == pytest.approx(0.05)


def kinds(bench: KeithleyBench) -> list[str]:
    """Of the alarms so far."""
    return [alarm["kind"] for alarm in bench.alarms]


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
        wait_until(lambda: "link" in kinds(bench), 5)
        assert time.monotonic() - began < 2
        bench.inject("clear")
        with pytest.raises(
            TransportError, match=r"no answer to .* within|20 damaged lines one after another"
        ):
            status.wait(20)
        wait_until(lambda: not bench.closed, 5)
        assert cycler.results[-1].end_reason.startswith("failed: ")
        assert kinds(bench) == (["link"] if fault == "silent" else ["damaged line", "link"])


# ---- an instrument that hears what it is told, and is not heard
def opened_after(bench: KeithleyBench, began_unix_second: float) -> float:
    """How long (s of wall time) it took until the bench's own record shows an open circuit."""
    wait_until(lambda: not bench.closed, 10)
    return bench.of("circuit")[-1]["unix_second"] - began_unix_second


def test_the_output_of_an_instrument_that_is_not_heard_any_more_is_switched_off() -> None:
    with keithley_bench(speed=10.0) as bench:
        cycler = bench.connected()
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("silent")
        assert opened_after(bench, bench.of("fault")[-1]["unix_second"]) < ANSWER_WITHIN_SECOND + 2
        with pytest.raises(TransportError, match="no answer"):
            status.wait(20)
        assert not bench.call(lambda: bench.instrument.state.settings.output)


@pytest.mark.parametrize("way_out", [Keithley2450.stop, Keithley2450.pause, Keithley2450.unstage])
def test_every_way_out_opens_the_circuit_of_an_instrument_that_is_not_heard(
    way_out: Callable[[Keithley2450], object],
) -> None:
    with keithley_bench(speed=10.0) as bench:
        cycler = bench.connected()
        started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("silent")
        asked = time.time()
        way_out(cycler)
        assert opened_after(bench, asked) < 2
        assert "circuit" in kinds(bench)  # nobody has seen it open


def test_over_a_new_connection_that_brings_no_answer_the_output_is_switched_off() -> None:
    with keithley_bench(speed=10.0) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=proxy.address)
        started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        bench.inject("silent")
        proxy.cut()
        assert opened_after(bench, time.time()) < ANSWER_WITHIN_SECOND + 2


def left_running(bench: KeithleyBench) -> None:
    """A program goes on on the instrument, and its host is gone."""
    with Proxy(bench.port) as proxy:
        cycler = bench.connected(address=proxy.address)
        started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: "circuit" in kinds(bench))
    assert bench.closed


def test_a_host_that_takes_over_switches_off_what_falls_silent_after_it_has_said_who_it_is() -> None:
    with keithley_bench(speed=10.0) as bench:
        left_running(bench)
        looking_on = bench.driver()
        looking_on.take_over = False
        bench.inject("silent", after_lines=2)
        with pytest.raises(TransportError, match="no answer"):
            looking_on.connect()
        assert bench.closed  # it only looks
        bench.inject("clear")
        bench.inject("silent", after_lines=2)
        with pytest.raises(TransportError, match="no answer"):
            bench.driver().connect()
        assert opened_after(bench, time.time()) < 2


def test_where_nobody_has_ever_answered_nothing_is_switched() -> None:
    with keithley_bench(speed=10.0) as bench:
        left_running(bench)
        bench.inject("silent")
        with pytest.raises(TransportError, match=r"nothing came as an answer to '\*LANG\?'"):
            bench.driver().connect()
        assert bench.closed


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
        assert "may still flow: a running trigger model continues within" in bench.alarms[0]["action"]
        unit = bench.instrument.state
        wait_until(
            lambda: bench.call(lambda: unit.settings.source["VOLT"].limit) == pytest.approx(5.25e-3), 5
        )
        assert bench.call(lambda: {s.off_mode for s in unit.settings.source.values()}) == {"HIMP"}


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
        wait_until(lambda: bench.closed, 5)
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
