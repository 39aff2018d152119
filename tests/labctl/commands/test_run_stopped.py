"""A run whose process is stopped for seconds (a host that is suspended or swaps) goes on and loses no row."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.journal.reader import follow
from labctl.records.station import packaged_config
from labctl.runs.listing import find_run, list_runs
from labctl.store.server.service import stop_service
from tests.helpers import Documents, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a POSIX signal"),
    pytest.mark.timeout(300),
]
LABCTL = [sys.executable, "-m", "labctl"]
CURRENT_AMPERE, INTERVAL_SECOND, BESIDE_WALL_SECOND = 84e-6, 0.5, 3.0


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "station.yaml"
    yield path
    labctl(path, "sim", str(path), "--speed", "max")
    wait_until(lambda: labctl(path, "sim", str(path), "--stop").returncode == 0, 60)
    stop_service(tmp_path / "data")


def labctl(station: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*LABCTL, *arguments, "--data", str(station.parent / "data")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def write_station(path: Path, speed: float) -> None:
    record = yaml.safe_load(packaged_config("sim-press.yaml").read_text())
    record["simulate"].update({"seed": 3, "speed": speed, "stoichiometry": 0.7})
    path.write_text(yaml.safe_dump(record))


def write_protocol(path: Path, charge_second: float) -> None:
    sampling = {"stages": [{"interval_second": INTERVAL_SECOND}]}
    rest = {"kind": "open_circuit", "until_time_second": 10, "sampling": sampling}
    charge = {
        "kind": "constant_current",
        "current_ampere": CURRENT_AMPERE,
        "until_time_second": charge_second,
        "sampling": sampling,
    }
    path.write_text(json.dumps({"name": "stopped", "items": [rest, charge, rest]}))


def run_and_stop(station: Path, protocol: Path, stop_second: float) -> Documents:
    """Its documents; the process was stopped once in the charge, for so long."""
    data = station.parent / "data"
    command = [*LABCTL, "run", str(protocol), "--station", str(station), "--data", str(data)]
    command += ["--cell", str(packaged_config("cells/lic-ncm.yaml"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_until(lambda: bool(list_runs(data)) and list_runs(data)[0].points > 40, 90)
        process.send_signal(signal.SIGSTOP)
        threading.Event().wait(stop_second)
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    [run] = list_runs(data)
    assert find_run(data, run.uid).status == "finished"
    documents = Documents()
    for name, doc in follow(run.directory, live=False):
        documents(name, doc)
    return documents


def assert_nothing_is_lost(documents: Documents, charge_second: float, moved_ah: float) -> None:
    rows = documents.stream("timeseries")
    for step, first, length in ((1, [], 10.0), (2, [0.1], charge_second), (3, [], 10.0)):
        times = [t for t, n in zip(rows["step_time_second"], rows["step_count"], strict=True) if n == step]
        due = [INTERVAL_SECOND * (n + 1) for n in range(round(length / INTERVAL_SECOND))]
        assert times == pytest.approx([*first, *due]), f"step {step}"
    steps = documents.stream("steps")
    assert steps["end_reason"] == ["time"] * 3
    assert steps["step_charging_capacity_ah"][1] == pytest.approx(moved_ah, rel=1e-4)
    assert moved_ah == pytest.approx(CURRENT_AMPERE * charge_second / 3600.0, rel=1e-3)


def assert_only_the_gap_is_told(documents: Documents, stop_second: float) -> None:
    alarms: dict[str, list[Any]] = documents.stream("alarms")
    assert set(alarms["kind"]) == {"gap"}
    assert set(alarms["source"]) == {"host"}
    assert stop_second <= max(alarms["value"]) < stop_second + 1.5


def stop_a_run(station: Path, speed: float, stop_second: float) -> None:
    charge_second = (stop_second + BESIDE_WALL_SECOND) * speed
    write_station(station, speed)
    protocol = station.parent / "stopped.json"
    write_protocol(protocol, charge_second)
    documents = run_and_stop(station, protocol, stop_second)
    cell = json.loads(labctl(station, "sim", str(station), "--json").stdout)["cell"]
    assert not cell["circuit_closed"]
    assert_nothing_is_lost(documents, charge_second, cell["charge_ah"])
    assert_only_the_gap_is_told(documents, stop_second)


def test_a_run_stopped_for_two_seconds_goes_on_and_loses_no_row(station: Path) -> None:
    stop_a_run(station, 60.0, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize(("speed", "stop_second"), [(60, 5.0), (60, 8.0), (10, 2.0), (10, 5.0), (10, 8.0)])
def test_a_run_stopped_for_seconds_goes_on_and_loses_no_row(
    station: Path, speed: float, stop_second: float
) -> None:
    stop_a_run(station, speed, stop_second)
