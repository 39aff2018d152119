"""Signals, storms of them, and terminals that go away: the run ends in order, and a stop stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.platform import has_ended
from labctl.runs.directory import run_directories
from labctl.runs.recovery import ends_with_stop
from tests.helpers import wait_until
from tests.signalled_run import GITT, HUP, INT, TERM, Place, catches, ignores, outcome, signalled_place, storm

if sys.platform == "win32":
    pytest.skip("needs signals and terminals of POSIX", allow_module_level=True)
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with signalled_place(tmp_path) as made:
        yield made


def assert_ended_in_order(place: Place, first_signal: float, reason: str) -> None:
    """Circuit open within 2 s, one stop document with the reason, nothing held."""
    assert place.opened_after(first_signal) < 2.0
    (stop,) = place.stop_documents()
    assert (stop["exit_status"], stop["reason"]) == ("abort", reason)
    assert place.run.status == "aborted"
    place.assert_lets_go()


# ---- storms of signals
@needs_proc
@pytest.mark.parametrize("delay_second", [0.0, 0.7])
def test_a_storm_before_the_run_begins_ends_it_in_order(place: Place, delay_second: float) -> None:
    """From the moment the command has begun: while it imports, connects, starts."""
    process = place.start("run", *GITT, "--station", "paced.yaml")
    wait_until(lambda: catches(process, TERM), 60)
    has_ended(process.pid, delay_second)
    storm(process, (TERM, INT))
    code, errors = outcome(process)
    assert code == 1, errors
    assert "aborted by SIG" in errors
    assert "Traceback" not in errors
    assert "None" not in errors
    assert not place.circuit_closed()
    runs = run_directories(place.data)
    assert len(place.stop_documents()) == len(runs) <= (1 if delay_second else 0)
    place.assert_lets_go()


@pytest.mark.parametrize("numbers", [(TERM, INT), pytest.param((INT,), marks=pytest.mark.slow)])
def test_a_storm_in_a_pulse_changes_nothing_after_its_first_signal(
    place: Place, numbers: tuple[signal.Signals, ...]
) -> None:
    process = place.start_gitt()
    first_signal = storm(process, numbers)
    code, errors = outcome(process)
    assert code == 1, errors
    assert "Traceback" not in errors
    assert_ended_in_order(place, first_signal, f"aborted by {numbers[0].name}")


def test_a_storm_that_begins_at_the_stop_document_changes_nothing(place: Place) -> None:
    """The run had finished by itself: 0, as its stop document says."""
    process = place.start_gitt()
    (run,) = run_directories(place.data)
    place.bench.set_speed("max")
    deadline = time.monotonic() + 60
    while not ends_with_stop(run):
        assert time.monotonic() < deadline
    storm(process, (TERM, INT))
    code, errors = outcome(process)
    assert code == 0, errors
    assert "Traceback" not in errors
    (stop,) = place.stop_documents()
    assert stop["exit_status"] == "success"
    assert not place.circuit_closed()
    place.assert_lets_go()


def test_a_hang_up_aborts_the_run(place: Place) -> None:
    process = place.start_gitt()
    first_signal = storm(process, (HUP,))
    code, errors = outcome(process)
    assert (code, "Traceback" in errors) == (1, False), errors
    assert "aborted by SIGHUP" in errors
    assert_ended_in_order(place, first_signal, "aborted by SIGHUP")


# ---- terminals and pipes that go away
def test_a_closed_terminal_aborts_the_run(place: Place) -> None:
    """The kernel's own SIGHUP; everything that is printed from then on fails."""
    ours, theirs = os.openpty()
    process = place.start_gitt(terminal=theirs, controlling=True)
    os.close(theirs)
    closed = time.time()
    os.close(ours)
    assert process.wait(60) == 1
    assert_ended_in_order(place, closed, "aborted by SIGHUP")


@pytest.mark.slow
@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("controlling", [True, False])
def test_a_run_that_outlives_its_terminal_can_be_stopped(
    place: Place, number: signal.Signals, controlling: bool
) -> None:
    """No SIGHUP comes, as it is ignored or as the terminal was not the controlling one."""
    ours, theirs = os.openpty()
    hang_up = "SIG_IGN" if controlling else "SIG_DFL"
    process = place.start_gitt(terminal=theirs, controlling=controlling, hang_up=hang_up)
    os.close(theirs)
    os.close(ours)
    rows = place.rows()
    wait_until(lambda: place.rows() > rows + 3 or process.poll() is not None, 30)  # it goes on
    first_signal = time.time()
    process.send_signal(number)
    assert process.wait(60) == 1
    assert_ended_in_order(place, first_signal, f"aborted by {number.name}")


@pytest.mark.slow
def test_a_run_whose_pipes_are_closed_can_be_stopped(place: Place) -> None:
    process = place.start_gitt()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    first_signal = time.time()
    process.send_signal(TERM)
    assert process.wait(60) == 1
    assert_ended_in_order(place, first_signal, "aborted by SIGTERM")


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["terminal", "pipes"])
def test_a_run_that_nobody_can_read_any_more_finishes_as_ever(place: Place, outputs: str) -> None:
    ours, theirs = os.openpty()
    process = place.start_gitt(terminal=theirs if outputs == "terminal" else None)
    os.close(theirs)
    os.close(ours)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    place.bench.set_speed("max")
    assert process.wait(60) == 0
    assert place.run.status == "finished"
    place.assert_lets_go()


@pytest.mark.slow
def test_a_run_that_was_started_without_outputs_can_be_stopped(place: Place) -> None:
    """`labctl run ... <&- >&- 2>&-`: the journal must not become one of them either."""
    shell = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    process = place.start_gitt(before=shell)
    first_signal = time.time()
    process.send_signal(TERM)
    assert process.wait(60) == 1
    assert_ended_in_order(place, first_signal, "aborted by SIGTERM")


@pytest.mark.slow
def test_a_run_is_stopped_while_its_terminal_stands_still(place: Place) -> None:
    """Nobody reads the terminal, as after Ctrl-S: its buffer fills up, and what prints waits."""
    ours, theirs = os.openpty()
    process = place.start_gitt(terminal=theirs, controlling=True)
    filler = os.open(os.ttyname(theirs), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while os.write(filler, b"x" * 4096):
            pass
    os.close(filler)
    os.close(theirs)
    first_signal = time.time()
    process.send_signal(TERM)
    wait_until(lambda: bool(place.stop_documents()), 30)
    os.close(ours)
    assert process.wait(60) == 1
    assert_ended_in_order(place, first_signal, "aborted by SIGTERM")


@needs_proc
def test_a_run_under_nohup_finishes_after_its_terminal_was_closed(place: Place) -> None:
    ours, theirs = os.openpty()
    process = place.start_gitt(terminal=theirs, controlling=True, before=("nohup",))
    assert ignores(process, HUP)
    os.close(theirs)
    os.close(ours)
    rows = place.rows()
    wait_until(lambda: place.rows() > rows + 3, 30)
    place.bench.set_speed("max")
    assert process.wait(60) == 0
    assert place.run.status == "finished"
    assert "finished; see it again" in (place.directory / "nohup.out").read_text()
    assert not place.circuit_closed()
    place.assert_lets_go()


@pytest.mark.slow
def test_a_run_under_nohup_is_stopped_by_a_signal(place: Place) -> None:
    ours, theirs = os.openpty()
    process = place.start_gitt(terminal=theirs, controlling=True, before=("nohup",))
    os.close(theirs)
    os.close(ours)
    process.send_signal(HUP)
    rows = place.rows()
    wait_until(lambda: place.rows() > rows + 3, 30)
    first_signal = storm(process, (TERM,))
    assert process.returncode == 1
    assert "aborted by SIGTERM" in (place.directory / "nohup.out").read_text()
    assert_ended_in_order(place, first_signal, "aborted by SIGTERM")


@pytest.mark.slow
def test_a_demo_is_ended_in_order_too(place: Place) -> None:
    process = place.start("demo", "--no-window", "--pulses", "60", stdout=subprocess.DEVNULL)
    wait_until(lambda: bool(run_directories(place.data)), 60)
    storm(process, (TERM, INT))
    code, errors = outcome(process)
    assert (code, "Traceback" in errors) == (1, False), errors
    (stop,) = place.stop_documents()
    assert stop["exit_status"] == "abort"
    place.assert_lets_go()
