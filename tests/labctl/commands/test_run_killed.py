"""kill -9 of the process that measures, again and again, in the middle of a pulse, beside another station."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.platform import has_ended
from labctl.records.station import packaged_config
from labctl.runs.listing import find_run, list_runs
from labctl.runs.recovery import recover
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import ensure_service, find_service, stop_service
from tests.helpers import in_background, wait_until

pytestmark = pytest.mark.timeout(1800)
LABCTL = [sys.executable, "-m", "labctl"]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
NEIGHBOUR = """
import sys, time
from pathlib import Path
from event_model import compose_run
from labctl.journal.writer import Journal
journal, run = Journal(Path(sys.argv[1])), compose_run(metadata={"plan_name": "neighbour"})
journal("start", run.start_doc)
key = {"voltage_volt": {"source": "t", "dtype": "number", "dtype_numpy": "<f8", "shape": []}}
descriptor = run.compose_descriptor(name="timeseries", data_keys=key)
journal("descriptor", descriptor.descriptor_doc)
count = 0
import select
while not select.select([sys.stdin], [], [], 0.02)[0]:
    count += 1
    row = {"voltage_volt": count / 7}
    journal("event", descriptor.compose_event(data=row, timestamps={"voltage_volt": 1.0}))
journal("stop", run.compose_stop())
journal.close()
print(count)
"""


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Path]:
    record = yaml.safe_load(packaged_config("sim.yaml").read_text())
    record["simulate"] = {"seed": 3, "speed": 50, "stoichiometry": 0.7}
    path = tmp_path / "paced.yaml"
    path.write_text(yaml.safe_dump(record))
    yield path
    labctl(path, "sim", str(path), "--speed", "max")
    wait_until(lambda: labctl(path, "sim", str(path), "--stop").returncode == 0, 60)
    stop_service(tmp_path / "data")


def labctl(station: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*LABCTL, *arguments, "--data", str(station.parent / "data")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def cell_of(station: Path) -> dict:
    done = labctl(station, "sim", str(station), "--json")
    return json.loads(done.stdout)["cell"] if done.returncode == 0 else {}


def start_gitt(station: Path) -> subprocess.Popen[str]:
    settings = ["pulses=1", "first_rest_second=10", "rest_second=60", "direction=charge"]
    command = [*LABCTL, "run", "gitt", "--station", str(station), "--cell", CELL]
    command += ["--data", str(station.parent / "data")]
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_in_a_pulse(station: Path, generator: random.Random, known: int) -> None:
    """One run, killed somewhere in its pulse; everything that is asserted of it."""
    data = station.parent / "data"
    process = start_gitt(station)
    wait_until(lambda: len(list_runs(data)) > known, 90)
    run = next(found for found in list_runs(data) if found.plan_name == "gitt")
    seen: list = []
    reader = in_background(lambda: seen.extend(follow(run.directory)))
    wait_until(lambda: bool(cell_of(station).get("circuit_closed")), 60)
    has_ended(process.pid, generator.uniform(0.0, 3.0))
    process.kill()
    process.communicate(timeout=30)
    reader.join(20)
    assert not reader.is_alive(), "a follower knows that the writer is dead"
    damage: list[Damage] = []
    kept = list(follow(run.directory, live=False, on_damage=damage.append))
    assert kept[: len(seen)] == seen
    assert damage == []
    assert find_run(data, run.uid).status == "interrupted"
    charge = cell_of(station)["charge_ah"]
    began = time.monotonic()
    assert run.uid in [closed.uid for closed in recover(data)]
    assert time.monotonic() - began < 5
    name, stop = list(follow(run.directory, live=False))[-1]
    assert (name, stop["exit_status"], stop["recovered"]) == ("stop", "abort", True)
    assert find_run(data, run.uid).status == "interrupted", "still, though it is closed now"
    labctl(station, "sim", str(station), "--speed", "max")
    wait_until(lambda: not cell_of(station)["circuit_closed"], 60)
    moved = abs(cell_of(station)["charge_ah"] - charge)
    assert moved <= 84e-6 * 600 / 3600 * 1.01, "the pulse that ran, to its end, and no other"
    state = cell_of(station)
    assert not state["circuit_closed"]
    labctl(station, "sim", str(station), "--speed", "50")


def kill_beside_a_neighbour(station: Path, kills: int) -> None:
    """Kill that many runs one after another, while another process writes a run and loses nothing."""
    data, generator = station.parent / "data", random.Random(1)
    data.mkdir()
    command = [sys.executable, "-c", NEIGHBOUR, str(data)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as neighbour:
        wait_until(lambda: len(list_runs(data)) == 1, 60)
        for number in range(kills):
            kill_in_a_pulse(station, generator, number + 1)
        count = int(neighbour.communicate("end\n", timeout=60)[0])
    [beside] = [run for run in list_runs(data) if run.plan_name == "neighbour"]
    assert beside.status == "finished"
    assert count > 20 * kills
    numbers = [doc["seq_num"] for name, doc in follow(beside.directory, live=False) if name == "event"]
    assert numbers == list(range(1, count + 1))


def test_kill_9_in_a_pulse(station: Path) -> None:
    kill_beside_a_neighbour(station, 1)


@pytest.mark.slow
def test_kill_9_at_20_random_points_of_a_pulse(station: Path) -> None:
    kill_beside_a_neighbour(station, 20)
    data = station.parent / "data"
    ensure_service(data)
    with Store(data) as store:
        for run in list_runs(data):
            assert store.wait_until_shipped(run.uid, 60)
            assert verify_run(store, run.uid).differences == ()


@pytest.mark.slow
def test_a_computer_that_loses_power_loses_at_most_what_was_not_synced(station: Path) -> None:
    """All processes are killed at once; of what was not synced yet, any part may be missing."""
    data = station.parent / "data"
    service = ensure_service(data)
    process = start_gitt(station)
    wait_until(lambda: bool(list_runs(data)) and list_runs(data)[0].points > 20, 90)
    [run] = list_runs(data)
    for pid in (process.pid, service.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)
    [path] = run.directory.glob("journal-*")
    whole = path.read_bytes()
    complete = list(follow(run.directory, live=False))
    for size in range(len(whole) - 4096, len(whole), 37):
        path.write_bytes(whole[:size])
        kept = list(follow(run.directory, live=False))
        assert kept == complete[: len(kept)]
        assert len(complete) - len(kept) <= whole[size:].count(b"\n")
    assert find_service(data) is None
    assert [closed.uid for closed in recover(data)] == [run.uid]
    ensure_service(data)
    with Store(data) as store:
        assert store.wait_until_shipped(run.uid, 90)
        found = verify_run(store, run.uid)
        # Tiled may have been given rows that the medium has lost: they are named, none is lost in Tiled.
        assert all("in Tiled, not in the journal" in text for text in found.differences)
