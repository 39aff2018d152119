"""Real `labctl` processes at real terminals, storms of signals, and what the bench has recorded meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

from devices.sim.bench.client import BenchHandle, ensure_bench
from labctl.journal.format import LOCK_NAME
from labctl.journal.reader import follow
from labctl.platform import has_ended, is_locked
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.runs.directory import run_directories
from labctl.runs.listing import summary_of
from labctl.store.server.service import stop_service
from tests.helpers import wait_until

SPEED = 50
GITT = ("gitt", "--set", "pulses=2", "--set", "first_rest_second=10", "--set", "direction=charge")
_STORM_SECOND = 0.002
# What SIGHUP does is inherited: of a test that itself runs under nohup as well.
_START = """
import os, signal, sys
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
if sys.argv[2] == "controlling":
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Place:
    """A data directory, a paced station whose bench runs, and `labctl` started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        self.station = directory / "paced.yaml"
        station = yaml.safe_load(packaged_config("sim.yaml").read_text())
        station["simulate"] = {"seed": 3, "speed": SPEED, "stoichiometry": 0.7}
        self.station.write_text(yaml.safe_dump(station))
        cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
        self.bench: BenchHandle = ensure_bench(load_station(self.station), self.data, cell=cell)
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self,
        *arguments: str,
        terminal: int | None = None,
        controlling: bool = False,
        hang_up: str = "SIG_DFL",
        before: tuple[str, ...] = (),
        **pipes: Any,
    ) -> subprocess.Popen[str]:
        """`labctl ARGUMENTS` in a session of its own, on pipes or on a terminal."""
        labctl = [sys.executable, "-m", "labctl", *arguments]
        begin = [sys.executable, "-c", _START, hang_up, "controlling" if controlling else "none"]
        if terminal is not None:
            pipes = {"stdin": terminal, "stdout": terminal, "stderr": terminal, **pipes}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        process = subprocess.Popen(
            [*begin, *before, *labctl],
            cwd=self.directory,
            env=self.environment,
            text=True,
            start_new_session=True,
            **pipes,
        )
        self._started.append(process)
        return process

    def start_gitt(self, **options: Any) -> subprocess.Popen[str]:
        """A GITT whose first pulse is running when this returns."""
        process = self.start("run", *GITT, "--station", "paced.yaml", **options)
        self.wait_for_current(process)
        return process

    def wait_for_current(self, process: subprocess.Popen[str]) -> None:
        wait_until(lambda: process.poll() is not None or self.circuit_closed(), 90)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""

    @property
    def environment(self) -> dict[str, str]:
        settings = {"TERM": "dumb", "NO_COLOR": "1", "IPYTHONDIR": str(self.directory / "ipython")}
        return {**os.environ, "LABCTL_DATA": str(self.data), "QT_QPA_PLATFORM": "offscreen", **settings}

    def circuit_closed(self) -> bool:
        """Whether current can flow, as the cell itself knows it."""
        return bool(self.bench.cell_state()["circuit_closed"])

    def opened_after(self, unix_second: float) -> float:
        """Seconds from an instant until the circuit opened, by the bench's own record; it is still open."""
        entries = [entry for entry in self.bench.record() if entry["kind"] == "circuit"]
        assert not entries[-1]["closed"]
        assert not self.circuit_closed()
        return entries[-1]["unix_second"] - unix_second

    @property
    def run(self) -> Any:
        """The only run there is, at a glance."""
        (directory,) = run_directories(self.data)
        return summary_of(directory)

    def rows(self) -> int:
        return sum(len(doc["seq_num"]) for name, doc in self._documents() if name == "event_page")

    def stop_documents(self) -> list[dict[str, Any]]:
        return [doc for name, doc in self._documents() if name == "stop"]

    def _documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for directory in run_directories(self.data):
            yield from follow(directory, live=False)

    def assert_lets_go(self) -> None:
        """No writer holds a run."""
        assert not any(is_locked(run / LOCK_NAME) for run in run_directories(self.data))

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.bench.stop()
        stop_service(self.data)


@contextmanager
def signalled_place(directory: Path) -> Iterator[Place]:
    """A place, taken down again."""
    place = Place(directory)
    try:
        yield place
    finally:
        place.close()


def catches(process: subprocess.Popen[str], number: int) -> bool:
    """Whether the process has a handler for a signal (Linux)."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def ignores(process: subprocess.Popen[str], number: int) -> bool:
    """Whether the process ignores a signal (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def storm(process: subprocess.Popen[str], numbers: tuple[int, ...], timeout_second: float = 60.0) -> float:
    """Send the signals in turn until the process has ended; the wall time (unix seconds) of the first."""
    began = time.time()
    deadline = time.monotonic() + timeout_second
    for number in cycle(numbers):
        assert time.monotonic() < deadline, "it does not end"
        process.send_signal(number)
        if has_ended(process.pid, _STORM_SECOND):
            break
    process.wait()
    return began


def outcome(process: subprocess.Popen[str], timeout_second: float = 60.0) -> tuple[int, str]:
    """Exit code and standard error."""
    _, errors = process.communicate(timeout=timeout_second)
    return process.returncode, errors or ""


TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)
