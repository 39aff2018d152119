"""The station files that come with labctl: complete, loadable, and true to what the drivers take."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from labctl.formats import require_known
from labctl.records.cell import Cell
from labctl.records.station import Station, load_station, packaged_config
from labctl.session import Session, open_session

STATIONS = sorted(path.name for path in packaged_config("sim.yaml").parent.glob("*.yaml"))
REAL = [name for name in STATIONS if "example" in name]


def check(station: Path | str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labctl", "check", str(station), "--data", str(data)],
        capture_output=True, text=True, timeout=100, check=False,
        env={"COLUMNS": "200", "PATH": "", "SYSTEMROOT": "C:\\Windows"},
    )  # fmt: skip


def copy_of(name: str, folder: Path, addresses: dict[str, str]) -> Path:
    """An example as a person would edit it."""
    text = packaged_config(name).read_text()
    for role, address in addresses.items():
        before = load_station(packaged_config(name)).devices[role].address
        assert before is not None
        assert text.count(before) == 1
        text = text.replace(before, address)
    path = folder / "bench.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", STATIONS)
def test_every_station_gives_its_drivers_options_that_they_take(
    name: str, tmp_path: Path, coated_cell: Cell
) -> None:
    station = load_station(packaged_config(name))
    with open_session(station, coated_cell, tmp_path, connect=False) as session:
        assert set(session.devices) == set(station.devices)


def test_the_examples_of_real_benches_show_every_driver_and_a_limit_of_every_kind() -> None:
    shown: set[str] = set()
    for name in REAL:
        station = load_station(packaged_config(name))
        assert station.simulate is None
        assert None not in station.limits.model_dump().values()
        shown |= {entry.driver for entry in station.devices.values()}
    assert shown == {entry.name for entry in entry_points(group="labctl.drivers")}


def test_a_check_without_instruments_says_for_each_role_what_is_wrong(tmp_path: Path) -> None:
    done = check(packaged_config("bench.example.yaml"), tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    for role in ("cycler", "temperature", "gas_line", "load_cell"):
        assert f"devices.{role}.address = '/dev/serial/by-id/" in told[role]
        assert "is the instrument plugged in and switched on?" in told[role]
    assert told["environment"] == "needs temperature and gas_line and load_cell: see there"


def test_a_check_of_a_network_without_instruments_says_so_too(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    dead = {
        "cycler": f"TCPIP::127.0.0.1::{port}::SOCKET",
        **dict.fromkeys(("temperature", "gas_line", "load_cell"), f"socket://127.0.0.1:{port}"),
    }
    done = check(copy_of("bench-keithley.example.yaml", tmp_path, dead), tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert "link lost" in told["cycler"] or "connection refused" in told["cycler"]
    for role in ("temperature", "gas_line", "load_cell"):
        assert "connection refused; are address and port right" in told[role]


@pytest.fixture
def emulators(tmp_path: Path, coated_cell: Cell) -> Iterator[Session]:
    """A simulated bench with a cell on its leads, nobody connected to it."""
    simulated = load_station(packaged_config("sim-press.yaml"))
    with open_session(
        simulated, coated_cell, tmp_path, fresh_bench=True, connect=False, start_bench=True
    ) as session:
        session.bench.mount(coated_cell)
        yield session


@pytest.mark.skipif(sys.platform == "win32", reason="the emulators' serial ports are pseudo-terminals")
def test_the_example_is_all_good_once_its_serial_ports_have_instruments(
    tmp_path: Path, emulators: Session
) -> None:
    roles = ("cycler", "temperature", "gas_line", "load_cell")
    ports = {role: emulators.bench.pty_path(role) for role in roles}
    station = copy_of("bench.example.yaml", tmp_path, ports)
    done = check(station, tmp_path)
    assert done.returncode == 0, done.stdout
    for word in ("EmStat4 HR", "Eurotherm", "Alicat", "Mark-10", "V at rest", "1 to 4.5 V, 100 mA", "MPa"):
        assert word in done.stdout
    assert done.stdout.count("good") == 5


def test_what_an_example_comments_out_can_be_put_in() -> None:
    for name in REAL:
        text = packaged_config(name).read_text().replace("# unit: kN", "unit: kN")
        content = yaml.safe_load(text.replace("# visa_library", "visa_library"))
        Station.model_validate(require_known("station", content, name))
