"""Windows are processes of their own that only read: killed, frozen or started twice, they change no run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.core.techniques import ConstantCurrent, Sampling
from labctl.commands.console import ConsoleTools
from labctl.documents import tables
from labctl.journal.reader import follow
from labctl.platform import is_locked
from labctl.session import Session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
from tests.helpers import in_background, wait_until

if sys.platform != "linux":
    pytest.skip("freezes processes and looks at them in /proc", allow_module_level=True)

SPEED = 200.0
PULSE_SECOND = 500
ROWS = 501  # one a second, and the last
RATE_CHANGES = 0.10
MACHINE_IS_BUSY_SECOND = 1.0
READY = """
import pathlib, sys, threading, time
ready = pathlib.Path(sys.argv.pop())
def tell():
    while not any(thread.name == "live-watcher" for thread in threading.enumerate()):
        time.sleep(0.02)
    ready.touch()
threading.Thread(target=tell, daemon=True).start()
from labctl.cli import main
main()
"""


@pytest.fixture
def open_windows(tmp_path: Path) -> Iterator[Callable[[int], list[subprocess.Popen[bytes]]]]:
    """Starts `labctl live` so many times and waits until all of them look at the data directory."""
    windows: list[subprocess.Popen[bytes]] = []

    def opened(count: int) -> list[subprocess.Popen[bytes]]:
        ready = [tmp_path / f"ready-{number}" for number in range(count)]
        for file in ready:
            command = [sys.executable, "-c", READY, "live", "--data", str(tmp_path / "data"), str(file)]
            windows.append(subprocess.Popen(command, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}))
        wait_until(lambda: all(file.exists() for file in ready), 60)
        return windows

    yield opened
    for window in windows:
        window.kill()
        window.wait(20)


def one_pulse(second: float) -> Protocol:
    sampling = Sampling.every(1)
    pulse = ConstantCurrent(current_ampere=84e-6, until_time_second=second, sampling=sampling)
    return Protocol(name="one pulse", items=(pulse,))


def measure(session: Session, second: float = PULSE_SECOND) -> None:
    session.RE(run_protocol(session.cycler, one_pulse(second), cell=session.cell))


def measured(session: Session) -> tuple[dict[str, np.ndarray], float, float]:
    """The rows of the last run, how long it took on the wall, and the longest wait between two pages, s."""
    documents = list(follow(run_of(session), live=False))
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "success"
    arrivals = [doc["time"][-1] for name, doc in documents if name == "event_page"]
    took = documents[-1][1]["time"] - documents[0][1]["time"]
    return tables(documents).stream("timeseries"), took, float(np.diff(arrivals).max())


def run_of(session: Session) -> Path:
    assert session.journal.run_directory is not None
    return session.journal.run_directory


def state_of(pid: int) -> str:
    """One letter, as of `ps`: T for stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def files_of(pid: int, below: Path) -> dict[str, bool]:
    """Files below a directory that a process holds open, and whether it could write to them."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
            flags = int(Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0], 8)
        except OSError:
            continue
        if target.startswith(str(below)):
            found[target] = flags & os.O_ACCMODE != os.O_RDONLY
    return found


def catch_up_and_close(window: subprocess.Popen[bytes], run_directory: Path) -> None:
    """A window that goes on reads the journal to its end and lets go of it; Ctrl-C closes the window."""
    os.kill(window.pid, signal.SIGCONT)
    wait_until(lambda: not files_of(window.pid, run_directory), 60)
    window.send_signal(signal.SIGINT)
    assert window.wait(30) == 0


def test_a_window_killed_another_frozen_and_the_run_is_as_if_alone(
    open_sim: Any, tmp_path: Path, open_windows: Any
) -> None:
    alone = open_sim(speed=SPEED)
    measure(alone)
    rows, took, longest = measured(alone)
    assert len(rows["test_time_second"]) == ROWS

    killed, frozen = open_windows(2)
    watched = open_sim(speed=SPEED)
    running = in_background(lambda: measure(watched))
    wait_until(lambda: is_writing(watched), 30)
    for window in (killed, frozen):  # a machine so busy that the run ends before they see it proves less
        wait_until(lambda pid=window.pid: files_of(pid, run_of(watched)) or not running.is_alive())
    os.kill(frozen.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(frozen.pid) == "T")
    assert True not in files_of(killed.pid, run_of(watched)).values()
    killed.kill()
    running.join(60)
    assert not running.is_alive()
    assert state_of(frozen.pid) == "T"
    assert killed.wait(20) == -signal.SIGKILL

    again, took_watched, longest_watched = measured(watched)
    assert again.keys() == rows.keys()
    for name, column in rows.items():
        np.testing.assert_array_equal(again[name], column, err_msg=name)
    assert took_watched < (1 + RATE_CHANGES) * took + MACHINE_IS_BUSY_SECOND
    assert longest_watched < (1 + RATE_CHANGES) * longest + MACHINE_IS_BUSY_SECOND

    catch_up_and_close(frozen, run_of(watched))


def is_writing(session: Session) -> bool:
    directory = session.journal.run_directory
    return directory is not None and any(name == "event_page" for name, _ in follow(directory, live=False))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_window_frozen_for_a_minute_catches_up_and_the_run_has_not_noticed(
    open_sim: Any, tmp_path: Path, open_windows: Any
) -> None:
    cell_second = 70 * SPEED
    alone = open_sim(speed=SPEED)
    measure(alone, cell_second)
    rows, took, longest = measured(alone)
    (window,) = open_windows(1)
    watched = open_sim(speed=SPEED)
    running = in_background(lambda: measure(watched, cell_second))
    wait_until(lambda: is_writing(watched), 30)
    wait_until(lambda: bool(files_of(window.pid, run_of(watched))))
    os.kill(window.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 60, 70)
    assert running.is_alive()
    running.join(60)
    again, took_watched, longest_watched = measured(watched)
    for name, column in rows.items():
        np.testing.assert_array_equal(again[name], column, err_msg=name)
    print(  # noqa: T201 - the figures of a long test
        f"alone {took:.2f} s, with a frozen window {took_watched:.2f} s; "
        f"longest wait between pages {longest:.2f} s and {longest_watched:.2f} s"
    )
    assert took_watched < (1 + RATE_CHANGES) * took + MACHINE_IS_BUSY_SECOND
    assert longest_watched < (1 + RATE_CHANGES) * longest + MACHINE_IS_BUSY_SECOND
    catch_up_and_close(window, run_of(watched))


def test_the_console_opens_windows_without_waiting_and_a_run_outlives_them(
    open_sim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    session = open_sim(speed=SPEED)
    measure(session, 50)
    tools = ConsoleTools(session)
    began = time.monotonic()
    tools.live()
    tools.replay("last", speed=100)
    assert time.monotonic() - began < 5  # a window takes seconds to appear
    live, replay = tools._windows
    uid = session.journal.run_uid
    assert uid is not None
    assert {"live", "--data", str(session.data_directory)} <= words_of(live.pid)
    assert {"replay", uid, "--speed", "100"} <= words_of(replay.pid)
    before = session.journal.run_directory
    running = in_background(lambda: measure(session))
    wait_until(lambda: session.journal.run_directory != before and is_writing(session), 30)
    for window in (live, replay):
        window.kill()
        window.wait(20)
    running.join(60)
    rows, _, _ = measured(session)
    assert len(rows["test_time_second"]) == ROWS
    assert not is_locked(run_of(session) / "writer.lock")


def words_of(pid: int) -> set[str]:
    """The command line of a process, once it has become the program that was started."""
    words: set[str] = set()

    def read() -> bool:
        words.update(Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0"))
        return "labctl" in words

    wait_until(read)
    return words
