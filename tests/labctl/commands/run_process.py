"""A real `labctl run` on a simulated station: its process, its bench, its run directory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from devices.sim.bench.client import BenchHandle, ensure_bench
from labctl.journal.reader import follow
from labctl.records.station import load_station, packaged_config
from labctl.runs.listing import list_runs
from labctl.store.server.service import stop_service
from tests.helpers import wait_until

CELL = str(packaged_config("cells/lic-ncm.yaml"))
STARTS_WITHIN_SECOND = 90.0  # a loaded machine


class RunProcess:
    """One `labctl run gitt` with a single pulse on a station of its own."""

    def __init__(self, directory: Path, record: dict[str, Any]) -> None:
        self.data, self._path = directory / "data", directory / "station.yaml"
        self._path.write_text(yaml.safe_dump(record))
        self._process: subprocess.Popen[str] | None = None
        self._bench: BenchHandle | None = None

    def start(self, *settings: str) -> None:
        """Begin the run."""
        command = [sys.executable, "-m", "labctl", "run", "gitt", "--station", str(self._path)]
        command += ["--cell", CELL, "--data", str(self.data)]
        command += [word for setting in settings for word in ("--set", setting)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def start_pulse(self, *settings: str) -> None:
        """Begin the run, and wait until the current of its pulse flows."""
        self.start(*settings)
        wait_until(self._has_begun, STARTS_WITHIN_SECOND)
        wait_until(self.current_flows, STARTS_WITHIN_SECOND)

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def bench(self) -> BenchHandle:
        """The bench that the run uses."""
        if self._bench is None:
            self._bench = ensure_bench(load_station(self._path), self.data)
        return self._bench

    def _has_begun(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[1]
        return self.data.exists() and bool(list_runs(self.data))

    def current_flows(self) -> bool:
        state = self.bench.cell_state()
        return bool(state["circuit_closed"]) and abs(state["current_ampere"]) > 1e-6

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Entries of the bench's own record."""
        return [entry for entry in self.bench.record() if entry["kind"] == kind]

    def ended(self, timeout_second: float = 120.0) -> tuple[int, str]:
        """Exit code and what it has written to stderr."""
        _, text = self.process.communicate(timeout=timeout_second)
        return self.process.returncode, text

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        """What the journal has kept."""
        [run] = list_runs(self.data)
        return list(follow(run.directory, live=False))

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """Rows of a stream, in their order."""
        found: list[dict[str, Any]] = []
        uids: set[str] = set()
        for name, doc in self.documents():
            if name == "descriptor" and doc["name"] == stream:
                uids.add(doc["uid"])
            elif name == "event_page" and doc["descriptor"] in uids:
                columns = doc["data"]
                found += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            elif name == "event" and doc["descriptor"] in uids:
                found.append(doc["data"])
        return found

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        if self._bench is not None:
            self._bench.stop()
        stop_service(self.data)


@contextmanager
def run_process(directory: Path, station: str, **simulate: Any) -> Iterator[RunProcess]:
    """A packaged simulated station with another `simulate` block, and no run yet."""
    record = yaml.safe_load(packaged_config(station).read_text())
    record["simulate"] = {"seed": 3, "stoichiometry": 0.7, **simulate}
    running = RunProcess(directory, record)
    try:
        yield running
    finally:
        running.close()
