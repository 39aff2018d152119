"""A disk that fills up under a real run: alarm, open circuit, stop document; and afterwards all goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from labctl.journal.reader import follow
from labctl.records.station import packaged_config
from labctl.runs.listing import find_run, list_runs
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import ensure_service, stop_service
from tests.helpers import wait_until
from tests.small_disk import mounted_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
LABCTL = [sys.executable, "-m", "labctl"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    with mounted_disk(tmp_path / "disk", "40m") as disk:
        yield disk


@pytest.fixture
def station(tmp_path: Path, disk: Path) -> Iterator[Path]:
    """A station paced so that the disk can fill up during its pulse; ends its bench and store."""
    record = yaml.safe_load(packaged_config("sim.yaml").read_text())
    record["simulate"] = {"seed": 3, "speed": 50, "stoichiometry": 0.7}
    path = tmp_path / "paced.yaml"
    path.write_text(yaml.safe_dump(record))
    yield path
    labctl("sim", str(path), "--speed", "max", data=disk)
    wait_until(lambda: labctl("sim", str(path), "--stop", data=disk).returncode == 0, 60)
    stop_service(disk)


def labctl(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    command = [*LABCTL, *arguments, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def gitt(station: Path, data: Path, pulses: int) -> list[str]:
    settings = [f"pulses={pulses}", "first_rest_second=10", "direction=charge"]
    command = [*LABCTL, "run", "gitt", "--station", str(station), "--cell", CELL, "--data", str(data)]
    return command + [word for setting in settings for word in ("--set", setting)]


def rows(directory: Path, stream: str) -> list[dict]:
    """The rows of a stream that come one by one."""
    names, found = {}, []
    for name, doc in follow(directory, live=False):
        if name == "descriptor":
            names[doc["uid"]] = doc["name"]
        elif name == "event" and names[doc["descriptor"]] == stream:
            found.append(doc["data"])
    return found


def test_a_full_disk_ends_the_run_in_order_and_the_next_run_works(disk: Path, station: Path) -> None:
    ensure_service(disk)
    run = subprocess.Popen(gitt(station, disk, 40), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: bool(list_runs(disk)) and list_runs(disk)[0].points > 20, 90)
    filler = disk / "somebody else's file"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:  # until nothing is left, whatever others write or give back meanwhile
            file.write(bytes(1 << 16))
    acknowledged = list(follow(list_runs(disk)[0].directory, live=False))
    labctl("sim", str(station), "--speed", "max", data=disk)  # what is reserved lasts for some pulses
    _, errors = run.communicate(timeout=200)
    assert run.returncode == 1, errors
    assert "No space left" in errors, errors[-1500:]
    assert "Traceback" not in errors
    ended = find_run(disk, "last")
    assert ended.status == "failed"
    assert "No space left" in ended.reason
    documents = list(follow(ended.directory, live=False))
    assert documents[: len(acknowledged)] == acknowledged
    assert [row["kind"] for row in rows(ended.directory, "alarms")] == ["disk_low", "disk_full"]
    state = labctl("sim", str(station), "--json", data=disk)
    assert '"circuit_closed": false' in state.stdout, state.stderr
    filler.unlink()
    run = subprocess.Popen(gitt(station, disk, 1), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(list_runs(disk)) == 2, 60)
    labctl("sim", str(station), "--speed", "max", data=disk)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    with Store(disk) as store:
        for reference in ("last", "last-1"):
            assert store.wait_until_shipped(reference, 90)
            assert verify_run(store, reference).differences == ()
