"""The console whose terminal goes away, or that is asked to end: its run gets its stop document."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import wait_until
from tests.signalled_run import HUP, TERM, Place, signalled_place, storm

fdpexpect = pytest.importorskip("pexpect.fdpexpect")
if sys.platform == "win32":
    pytest.skip("needs a terminal of POSIX", allow_module_level=True)

PROMPT = r"In \[\d+\]: "
RUN = "RE(gitt(cycler, cell=cell, pulses=2, first_rest_second=10, direction='charge'))"
CLOSED = "the console's terminal was closed"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with signalled_place(tmp_path) as made:
        yield made


class Console:
    """`labctl console` at a terminal that can be closed."""

    def __init__(self, place: Place, hang_up: str = "SIG_DFL") -> None:
        self._place = place
        self._ours, theirs = os.openpty()
        command = ("console", "--station", "paced.yaml")
        self.process: subprocess.Popen[str] = place.start(
            *command, terminal=theirs, controlling=True, hang_up=hang_up
        )
        os.close(theirs)
        self._terminal = fdpexpect.fdspawn(self._ours, encoding="utf-8", timeout=60)
        self._terminal.expect(PROMPT)

    def run(self) -> None:
        """A run whose first pulse is going on when this returns."""
        self._terminal.sendline(RUN)
        self._place.wait_for_current(self.process)

    def pause(self) -> None:
        self._terminal.send("\x03")
        self._terminal.expect(PROMPT)

    def close(self) -> float:
        """Close the terminal; the wall time."""
        closed = time.time()
        os.close(self._ours)
        return closed


def assert_ended_in_order(place: Place, asked: float, reason: str) -> None:
    assert place.opened_after(asked) < 2.0
    (stop,) = place.stop_documents()
    assert (stop["exit_status"], stop["reason"]) == ("abort", reason)
    assert place.run.status == "aborted"
    place.assert_lets_go()


@pytest.mark.parametrize("hang_up", ["SIG_DFL", pytest.param("SIG_IGN", marks=pytest.mark.slow)])
def test_a_closed_terminal_ends_the_run_and_the_console(place: Place, hang_up: str) -> None:
    """By the kernel's SIGHUP, or by the end of the terminal where that is ignored."""
    console = Console(place, hang_up=hang_up)
    console.run()
    closed = console.close()
    assert console.process.wait(60) == 1
    assert_ended_in_order(place, closed, CLOSED)


@pytest.mark.parametrize("hang_up", ["SIG_DFL", pytest.param("SIG_IGN", marks=pytest.mark.slow)])
def test_a_paused_run_is_ended_by_a_closed_terminal(place: Place, hang_up: str) -> None:
    console = Console(place, hang_up=hang_up)
    console.run()
    asked = time.time()
    console.pause()
    console.close()
    assert console.process.wait(60) == 1
    assert_ended_in_order(place, asked, CLOSED)


@pytest.mark.slow
def test_a_console_without_a_run_ends_with_its_terminal(place: Place) -> None:
    console = Console(place)
    console.close()
    assert console.process.wait(60) == 1
    assert not place.stop_documents()


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(TERM,), (HUP, TERM)])
def test_a_storm_of_signals_ends_the_run_and_the_console_once(place: Place, numbers: tuple[int, ...]) -> None:
    console = Console(place)
    console.run()
    first_signal = storm(console.process, numbers)
    assert console.process.returncode == 1
    reason = CLOSED if numbers[0] == HUP else "aborted by SIGTERM"
    assert_ended_in_order(place, first_signal, reason)


def test_a_signal_at_the_prompt_ends_the_console(place: Place) -> None:
    console = Console(place)
    storm(console.process, (TERM,))
    assert console.process.returncode == 1
    wait_until(lambda: place.bench.ping()["clients"] == 1)
