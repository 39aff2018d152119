"""A data directory that cannot be written: it is read as any other, and writing is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_model
import pytest

from labctl.journal.writer import Journal
from tests.small_disk import read_only

KEYS = {
    "test_time_second": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []},
    "voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []},
    "current_ampere": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []},
}
READING = (["runs"], ["show", "last"], ["export", "last", "--output", "../out"], ["store", "status"])
WRITING = (
    ["run", "gitt"], ["resume", "last"], ["import", "../table.bdf.csv"], ["recover"], ["sim"], ["verify"],
    ["store", "serve"], ["store", "stop"],
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with a run that was cut off, mounted read-only."""
    directory = tmp_path_factory.mktemp("place") / "data"
    run: Any = event_model.compose_run(metadata={"plan_name": "gitt", "station": {"name": "sim"}})
    journal = Journal(directory)
    journal("start", run.start_doc)
    descriptor = run.compose_descriptor(name="timeseries", data_keys=KEYS)
    journal("descriptor", descriptor.descriptor_doc)
    for second in range(3):
        row = {"test_time_second": float(second), "voltage_volt": 3.1, "current_ampere": 0.0}
        journal("event", descriptor.compose_event(data=row, timestamps=dict.fromkeys(row, 1.0)))
    journal.close()
    (directory / "store").mkdir()
    (directory / "store" / "stopped").touch()
    table = directory.parent / "table.bdf.csv"
    table.write_text("Test Time / s,Voltage / V,Current / A\n1,3.1,0\n2,3.1,0\n")
    with read_only(directory):
        yield directory


def labctl(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labctl", *arguments],
        cwd=data, env={**os.environ, "LABCTL_DATA": str(data)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_reading_commands_work(data: Path, arguments: list[str]) -> None:
    done = labctl(data, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_writing_commands_are_refused_in_one_line(data: Path, arguments: list[str]) -> None:
    done = labctl(data, *arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Read-only file system" in done.stderr
    assert str(data) in done.stderr
