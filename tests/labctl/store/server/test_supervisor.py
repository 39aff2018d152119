"""A service that dies while runs are made is started again; one that was stopped is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.platform import has_ended
from labctl.records.station import packaged_config
from labctl.runs.directory import run_directories
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import ensure_service, find_service, service_status, stop_service
from labctl.store.server.supervisor import Keeper
from tests.helpers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert has_ended(pid, 10)


def test_a_dead_service_is_started_again_and_a_stopped_one_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = ensure_service(data)
    store, starts = data / "store", list[int]()

    def start() -> None:
        starts.append(ensure_service(data).pid)

    keeper = Keeper(store / "service.lock", store / "stopped", start, look_second=0.05)
    keeper.start()
    kill(first.pid)
    wait_until(lambda: len(starts) == 1, 60)
    assert starts != [first.pid]
    assert stop_service(data) is True
    seen = keeper.looks
    wait_until(lambda: keeper.looks > seen + 10)
    assert (find_service(data), len(starts)) == (None, 1)
    assert stop_service(data) is False
    ensure_service(data)
    stop_service(data)
    data.rename(tmp_path / "away")
    keeper.join(20)
    assert not keeper.is_alive()


def test_a_service_killed_in_mid_run_is_started_again_by_the_run(tmp_path: Path) -> None:
    data, station = tmp_path / "data", tmp_path / "paced.yaml"
    station.write_text(packaged_config("sim.yaml").read_text().replace("speed: max", "speed: 60"))
    cell = packaged_config("cells/lic-ncm.yaml")
    command = [sys.executable, "-m", "labctl", "run", "gitt", "--station", str(station), "--cell", str(cell)]
    for setting in ("rate=C/5", "pulses=4", "pulse_second=300", "rest_second=600"):
        command += ["--set", setting]
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen([*command, "--data", str(data), "--fresh"], stdout=log, stderr=log)
    try:
        wait_until(lambda: data.exists() and find_service(data) is not None, 120)
        wait_until(lambda: any("timeseries" in r["rows"] for r in service_status(data)["runs"].values()), 60)
        killed = ensure_service(data).pid
        kill(killed)
        wait_until(lambda: (found := find_service(data)) is not None and found.pid != killed, 60)
        assert run.poll() is None, "the run has not waited for it"
        assert run.wait(200) == 0, (tmp_path / "log").read_text()[-2000:]
    finally:
        run.terminate()
        run.wait(30)
    (directory,) = run_directories(data)
    with Store(data) as store:
        assert store.wait_until_shipped(directory.name, 60)
        found = verify_run(store, directory.name)
    assert found.differences == ()
    assert found.rows["timeseries"] > 100
    stop_service(data)
