"""The bench as a process: found, shared, restarted, refused, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.sim.bench.client import BenchHandle, Connection, bench_settings, ensure_bench, pellet_parameters
from labctl.errors import ConfigurationError, DeviceError
from labctl.records.cell import Cell, load_cell
from labctl.records.station import Station, load_station, packaged_config
from tests.devices.sim.palmsens.sim_host import charge

CELL = load_cell(packaged_config("cells/lic-ncm.yaml"))


def station(**simulate: Any) -> Station:
    found = load_station(packaged_config("sim.yaml"))
    assert found.simulate is not None
    return found.model_copy(update={"simulate": found.simulate.model_copy(update=simulate)})


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[BenchHandle]:
    with ensure_bench(station(), tmp_path, cell=CELL) as handle:
        yield handle
        handle.stop()


@pytest.fixture
def private() -> Iterator[BenchHandle]:
    with ensure_bench(station(speed=20.0), Path("unused"), cell=CELL, fresh=True) as handle:
        yield handle


def info_file(data: Path) -> Path:
    return data / "bench" / "sim" / "bench.json"


class RawHost:
    """A host on the instrument's socket."""

    def __init__(self, handle: BenchHandle) -> None:
        host, port = handle.addresses["cycler"].removeprefix("socket://").split(":")
        self.socket = socket.create_connection((host, int(port)), 10)
        self.file = self.socket.makefile("rb")

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def line(self) -> str:
        return self.file.readline().decode("latin-1")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def start_charging(handle: BenchHandle) -> RawHost:
    host = RawHost(handle)
    host.send("\n".join(("e", *charge("100u", "1", "36000"))) + "\n\n")
    while not host.line().startswith("P"):
        pass
    return host


def test_a_second_client_finds_the_running_bench(shared: BenchHandle, tmp_path: Path) -> None:
    with ensure_bench(station(), tmp_path, cell=CELL) as second:
        assert second.ping()["pid"] == shared.ping()["pid"] != os.getpid()
        assert second.addresses == shared.addresses
        assert second.ping()["clients"] == 2
        second.clock.sleep(5.0)
        assert shared.clock.now() == second.clock.now() == 5.0


def test_the_access_data_are_for_the_owner_alone(shared: BenchHandle, tmp_path: Path) -> None:
    assert stat.S_IMODE(info_file(tmp_path).stat().st_mode) == 0o600
    port = json.loads(info_file(tmp_path).read_text())["port"]
    with pytest.raises(DeviceError, match="wrong token"):
        Connection(port, "guess")
    assert shared.ping()["clients"] == 1


def test_a_killed_bench_is_noticed_and_its_place_taken(tmp_path: Path) -> None:
    with ensure_bench(station(), tmp_path, cell=CELL) as first:
        pid = first.ping()["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match="has ended"):
            first.clock.sleep(1e6)
        with ensure_bench(station(), tmp_path, cell=CELL) as second:
            assert second.ping()["pid"] != pid
            second.stop()


def test_sigterm_saves_the_cell_and_a_new_bench_restores_it(tmp_path: Path) -> None:
    with ensure_bench(station(speed=200.0, stoichiometry=0.7), tmp_path, cell=CELL) as first:
        host = start_charging(first)
        os.kill(first.ping()["pid"], signal.SIGTERM)
        with pytest.raises(DeviceError):
            first.clock.sleep(1e6)
        host.close()
    log = (tmp_path / "bench" / "sim" / "record.jsonl").read_text().splitlines()
    opened = [entry for entry in map(json.loads, log) if entry["kind"] == "circuit"][-1]
    assert not opened["closed"]
    assert opened["charge_ah"] > 0
    with ensure_bench(station(speed=200.0, stoichiometry=0.7), tmp_path, cell=CELL) as second:
        state = second.cell_state()
        assert state["charge_ah"] == opened["charge_ah"]
        assert state["stoichiometry"] < 0.7
        assert not state["circuit_closed"]
        second.mount(CELL, stoichiometry=0.8)
        assert second.cell_state()["stoichiometry"] == pytest.approx(0.8)
        second.stop()


def test_another_cell_has_a_state_of_its_own(shared: BenchHandle) -> None:
    before = shared.cell_state()["stoichiometry"]
    other = CELL.model_copy(update={"id": "other-1", "coating": None})
    shared.mount(other, stoichiometry=0.5)
    assert shared.cell_state()["cell_id"] == "other-1"
    assert shared.truth()["contact_fraction"] < 0.5
    shared.mount(CELL)
    assert shared.cell_state()["stoichiometry"] == pytest.approx(before, abs=1e-9)


def test_no_cell_is_changed_under_a_running_program(private: BenchHandle) -> None:
    host = start_charging(private)
    private.mount(CELL)  # the same one is there already
    with pytest.raises(DeviceError, match="a program runs"):
        private.mount(CELL.model_copy(update={"id": "other-1"}))
    assert private.cell_state()["circuit_closed"]
    assert private.cell_state()["current_ampere"] == pytest.approx(1e-4)
    host.close()


def test_the_record_tells_when_a_host_asked_for_the_end(private: BenchHandle) -> None:
    host = start_charging(private)
    asked = time.time()
    host.send("Z\n")
    while host.line() != "\n":
        pass
    opened = [entry for entry in private.record() if entry["kind"] == "circuit"][-1]
    assert not opened["closed"]
    assert opened["unix_second"] - asked < 0.2
    host.close()


def test_a_program_goes_on_to_its_end_when_its_host_is_gone(private: BenchHandle) -> None:
    host = RawHost(private)
    host.send("\n".join(("e", *charge("100u", "100m", "20"))) + "\n\n")
    while not host.line().startswith("P"):
        pass
    host.close()
    private.set_speed("max")
    private.clock.sleep(60.0)
    assert private.record()[-1]["reason"] == "finished"
    assert not private.cell_state()["circuit_closed"]


def test_faults_are_injected_by_role(private: BenchHandle) -> None:
    private.inject("cycler", "drop_link")
    host = RawHost(private)
    host.send("i\n")
    assert host.line() == ""
    host.close()
    with pytest.raises(DeviceError, match="must be one of cycler"):
        private.inject("oven", "drop_link")
    with pytest.raises(DeviceError, match="must be one of drop_link"):
        private.inject("cycler", "gremlin")


def test_many_threads_share_one_clock(private: BenchHandle) -> None:
    private.set_speed(1000.0)
    ends: list[float] = []

    def sleeper(seconds: float) -> None:
        private.clock.sleep(seconds)
        ends.append(seconds)

    threads = [threading.Thread(target=sleeper, args=(s,)) for s in (300.0, 100.0, 200.0)]
    for thread in threads:
        thread.start()
    assert private.clock.now() < 100.0
    for thread in threads:
        thread.join()
    assert ends == [100.0, 200.0, 300.0]
    assert private.clock.now() >= 300.0


def test_a_bench_in_use_is_not_taken_with_other_settings(shared: BenchHandle, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="in use with other settings"):
        ensure_bench(station(seed=2), tmp_path)


def test_an_idle_bench_with_other_settings_is_replaced(tmp_path: Path) -> None:
    with ensure_bench(station(), tmp_path) as first:
        pid = first.ping()["pid"]
    with ensure_bench(station(seed=2), tmp_path) as second:
        assert second.ping()["pid"] != pid
        second.stop()


def test_a_fresh_bench_ends_with_its_handle_and_leaves_nothing() -> None:
    handle = ensure_bench(station(), Path("unused"), cell=CELL, fresh=True)
    pid, directory = handle.ping()["pid"], handle._directory
    assert directory.is_dir()
    handle.close()
    assert not directory.exists()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{pid}/cmdline").read_bytes():
            break  # a zombie that nobody reaps here
        threading.Event().wait(0.02)
    assert time.monotonic() < deadline
    with pytest.raises(DeviceError):
        handle.ping()


def test_a_bench_without_clients_ends(tmp_path: Path) -> None:
    settings = bench_settings(station()).model_dump_json()
    command = [sys.executable, "-m", "devices.sim.bench.process", "--directory", str(tmp_path / "b")]
    done = subprocess.run(
        [*command, "--settings", settings, "--idle-second", "0.2"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"ready\n")
    refused = subprocess.run([*command, "--settings", "{}"], capture_output=True, timeout=20, check=False)
    assert refused.returncode == 2
    assert b"station" in refused.stdout


def test_a_station_that_cannot_be_simulated_is_refused_by_name(tmp_path: Path) -> None:
    real = station().model_copy(update={"simulate": None})
    with pytest.raises(ConfigurationError, match="simulate"):
        ensure_bench(real, tmp_path)
    found = station()
    devices = {"cycler": found.devices["cycler"].model_copy(update={"driver": "keithley"})}
    with pytest.raises(DeviceError, match="no emulator for 'keithley'"):
        ensure_bench(found.model_copy(update={"devices": devices}), tmp_path)


@pytest.mark.parametrize("name", ["bare-ncm", "lic-ncm"])
def test_every_packaged_cell_can_be_simulated(shared: BenchHandle, name: str) -> None:
    cell: Cell = load_cell(packaged_config(f"cells/{name}.yaml"))
    shared.mount(cell)
    assert shared.cell_state()["cell_id"] == cell.id
    assert pellet_parameters(cell)["coated"] == (cell.coating is not None)
