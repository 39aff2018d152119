"""A paced simulated station, real `labctl` processes on it, and the bench's own record as the witness."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from devices.sim.bench.client import BenchHandle, ensure_bench
from labctl.records.station import load_station, packaged_config
from labctl.runs.listing import find_run, list_runs

LABCTL = [sys.executable, "-m", "labctl"]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
PULSE = ["pulses=1", "first_rest_second=10", "rest_second=60", "direction=charge"]
START_SECOND, END_SECOND = 90.0, 240.0


def wait_for(condition: Callable[[], Any], what: str, timeout_second: float) -> Any:
    """What `condition` gives once it is true; TimeoutError names what did not come."""
    deadline = time.monotonic() + timeout_second
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_second:g} s")
        threading.Event().wait(0.02)
    return value


class Stand:
    """One station in a directory of its own.

    Args:
        directory: where station file and data directory go.
        config: packaged station that is copied ("sim.yaml", "sim-keithley.yaml").
        speed: seconds of cell time per second; at most 10 where stamps of wall time are judged.
    """

    def __init__(self, directory: Path, config: str = "sim.yaml", speed: float = 10.0) -> None:
        record = yaml.safe_load(packaged_config(config).read_text())
        record["simulate"] = {"seed": 3, "speed": speed, "stoichiometry": 0.7}
        self.directory, self.data = directory, directory / "data"
        self.station = directory / "station.yaml"
        self.station.write_text(yaml.safe_dump(record))
        self._benches: list[BenchHandle] = []
        self._processes: list[subprocess.Popen[str]] = []

    # ---- processes
    def command(self, *arguments: str) -> list[str]:
        """A `labctl` command line on this data directory."""
        return [*LABCTL, *arguments, "--data", str(self.data)]

    def labctl(self, *arguments: str, timeout_second: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=timeout_second, check=False
        )

    def gitt(self, *flags: str, settings: list[str] | None = None) -> list[str]:
        """The command line of a GITT of one pulse on this station."""
        pairs = [word for setting in settings or PULSE for word in ("--set", setting)]
        return self.command("run", "gitt", "--station", str(self.station), "--cell", CELL, *pairs, *flags)

    def start(self, command: list[str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a process, by default the GITT; it is killed when the stand is taken down."""
        log = (self.directory / f"process-{len(self._processes)}.log").open("w")
        with log:
            given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "text": True} | options
            process = subprocess.Popen(command or self.gitt(), **given)
        self._processes.append(process)
        return process

    def on_a_terminal(self, *, ignoring_hang_up: bool) -> tuple[subprocess.Popen[str], BinaryIO]:
        """The GITT as a login shell starts it, on a terminal of its own; also the terminal's far end."""
        far, near = pty.openpty()

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(near, termios.TIOCSCTTY, 0)
            if ignoring_hang_up:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)

        process = self.start(stdin=near, stdout=near, stderr=near, preexec_fn=own_terminal)
        os.close(near)
        return process, os.fdopen(far, "rb", buffering=0)

    def output(self) -> str:
        """What all processes that were started have written."""
        return "".join(path.read_text() for path in sorted(self.directory.glob("process-*.log")))

    # ---- what the bench saw
    @property
    def bench(self) -> BenchHandle:
        """The shared bench of the station, which must be there."""
        if not self._benches:
            self._benches.append(ensure_bench(load_station(self.station), self.data))
        return self._benches[0]

    def cell(self) -> dict[str, Any]:
        """The cell now: circuit_closed, current_ampere, charge_ah, ..."""
        return self.bench.cell_state()

    def closed(self) -> bool:
        """Whether current can flow."""
        return bool(self.cell()["circuit_closed"])

    def in_pulse(self) -> float:
        """Wait until the pulse's current flows; the cell's charge (Ah) at its beginning."""
        wait_for(lambda: self.data.exists() and list_runs(self.data), "a run", START_SECOND)
        wait_for(lambda: self.closed() and abs(self.cell()["current_ampere"]) > 0, "the pulse", START_SECOND)
        closings = [one for one in self.bench.record() if one["kind"] == "circuit" and one["closed"]]
        return float(closings[-1]["charge_ah"])

    def opened_after(self, cause_unix_second: float, within_second: float = END_SECOND) -> float:
        """Seconds of wall time from the cause to the last opening of the circuit in the bench's record."""
        wait_for(lambda: not self.closed(), "an open circuit", within_second)
        stamps = [
            entry["unix_second"]
            for entry in self.bench.record()
            if entry["kind"] == "circuit" and not entry["closed"]
        ]
        return max(stamps[-1] - cause_unix_second, 0.0)

    # ---- what labctl wrote
    def run(self) -> Any:
        """The newest run."""
        return find_run(self.data, "last")

    def close(self) -> None:
        """End everything that was started."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(30)
        for bench in self._benches:
            bench.stop()
        self.labctl("store", "stop")


@contextmanager
def stand(directory: Path, config: str = "sim.yaml", speed: float = 10.0) -> Iterator[Stand]:
    """A stand that is taken down again."""
    made = Stand(directory, config, speed)
    try:
        yield made
    finally:
        made.close()
