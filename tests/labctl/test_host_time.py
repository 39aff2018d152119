"""Time during which a process ran: gaps are seen once, and never count as waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from labctl.host_time import GAP_SECOND, HOST, HostGap, HostTime, elapsed_second
from tests.helpers import wait_until


class SetClock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.second = 100.0

    def __call__(self) -> float:
        return self.second


def test_a_pause_between_two_looks_is_one_gap_and_does_not_count_as_time() -> None:
    clock, gaps = SetClock(), []
    host = HostTime(clock)
    with host.report_gaps(gaps.append):
        began = host.awake_second()
        clock.second += 500.0
        assert host.awake_second() == began
        assert host.look()[1] == 1
        wait_until(lambda: len(gaps) == 1)
        clock.second += 0.2
        assert host.awake_second() - began == pytest.approx(0.2)
    clock.second += 500.0
    assert host.look()[1] == 2
    [gap] = gaps
    assert gap.length_second == 500.0
    assert gap.ended_unix_second - gap.began_unix_second == pytest.approx(500.0)
    assert abs(gap.ended_unix_second - time.time()) < 20


def test_a_thread_that_waits_a_little_for_its_turn_is_no_gap() -> None:
    clock = SetClock()
    host = HostTime(clock)
    host.look()
    clock.second += 0.9 * GAP_SECOND
    assert host.look()[1] == 0


def test_the_alarm_of_a_gap_says_from_when_to_when_and_nothing_of_an_instrument() -> None:
    alarm = HostGap(1_795_960_000.0, 1_795_960_005.25, 5.25).as_alarm()
    assert alarm["kind"] == "gap"
    assert alarm["source"] == "host"
    assert alarm["value"] == 5.25
    assert "from 2026-11-29T" in alarm["action"]
    assert "5.2 s" in alarm["action"]


def test_waiting_for_a_result_does_not_end_early_because_the_process_was_stopped() -> None:
    clock = SetClock()
    host, future = HostTime(clock), Future[int]()
    clock_goes_on = threading.Event()

    def go_on() -> None:
        clock.second += 3600.0
        clock_goes_on.wait(1.0)
        future.set_result(7)

    threading.Thread(target=go_on, daemon=True).start()
    assert host.result_within(future, 0.5) == 7


def test_waiting_ends_after_its_time() -> None:
    began = time.monotonic()
    with pytest.raises(FutureTimeoutError):
        HOST.result_within(Future(), 0.3)
    assert time.monotonic() - began >= 0.3


def test_elapsed_time_goes_on() -> None:
    before = elapsed_second()
    wait_until(lambda: elapsed_second() > before)
