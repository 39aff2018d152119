"""Small files that hold state: old or new after a kill, never half; damaged or forged, never an odd error."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.sim.bench.cell_store import CellStore
from devices.sim.bench.launch import read_info
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from labctl.errors import ConfigurationError
from labctl.platform import has_ended
from labctl.store.lab_store import LabStore, lab_store_of, use_lab_store
from labctl.store.server.service import find_service, shipper_status

FLIPS = 200
REPLACES = """
import sys
from pathlib import Path
from labctl.platform import replace_atomically, write_private
write, path = {"state": replace_atomically, "private": write_private}[sys.argv[2]], Path(sys.argv[1])
print("ready", flush=True)
while True:
    write(path, b"a" * 3_000_000)
    write(path, b"b" * 2_000_000)
"""


@pytest.mark.parametrize("kind", ["state", "private"])
def test_a_file_replaced_by_a_process_that_is_killed_is_the_old_or_the_new_one(
    tmp_path: Path, kind: str
) -> None:
    path, generator = tmp_path / "state.json", random.Random(5)
    path.write_bytes(b"o" * 10)
    whole = {b"o" * 10, b"a" * 3_000_000, b"b" * 2_000_000}
    for _ in range(10):
        command = [sys.executable, "-c", REPLACES, str(path), kind]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            has_ended(child.pid, generator.uniform(0.0, 0.05))
            child.send_signal(signal.SIGKILL)
        assert path.read_bytes() in whole


def cell_state(directory: Path) -> Path:
    CellStore(directory).save("fuzzed", "full", Pellet(PelletParameters(), stoichiometry=0.5).state())
    return directory / "fuzzed.json"


def load_cell_state(directory: Path) -> None:
    try:
        CellStore(directory).load("fuzzed", "full", PelletParameters())
    except ValueError as error:
        assert str(directory / "fuzzed.json") in str(error)  # noqa: PT017  others must get through


def bench_info(directory: Path) -> Path:
    path = directory / "bench.json"
    path.write_text(json.dumps({"pid": 4711, "ports": {"cycler": 5025}, "token": "abc", "control": 6000}))
    return path


def service_info(directory: Path) -> Path:
    (directory / "store").mkdir()
    path = directory / "store" / "service.json"
    path.write_text(json.dumps({"pid": 4711, "port": 8000, "api_key": "abc"}))
    return path


def service_status(directory: Path) -> Path:
    (directory / "store").mkdir()
    path = directory / "store" / "shipper.json"
    path.write_text(json.dumps({"complete": 3, "runs": {"u": {"state": "waiting"}}, "error": ""}))
    return path


def lab_note(directory: Path) -> Path:
    key = directory / "lab.key"
    key.write_text("key\n")
    key.chmod(0o600)
    use_lab_store(directory, LabStore("http://127.0.0.1:8000/api/v1", key))
    return directory / "store" / "lab-store.json"


def load_lab_note(directory: Path) -> None:
    try:
        lab_store_of(directory)
    except ConfigurationError as error:
        assert "lab-store.json" in str(error)  # noqa: PT017


def ask_for_service(directory: Path) -> None:
    assert find_service(directory) is None, "none runs, whatever the file says"


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "state of a simulated cell": (cell_state, load_cell_state),
    "bench.json": (bench_info, read_info),
    "service.json": (service_info, ask_for_service),
    "shipper.json": (service_status, shipper_status),
    "lab-store.json": (lab_note, load_lab_note),
}
FORGED = [
    b"",
    b"\x00" * 4096,
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"pid": [], "port": 1e308, "api_key": {}}',
    b'{"pid": -1, "port": -7, "api_key": null, "uri": 3, "api_key_file": []}',
    b'{"kind": "full", "state": {"stoichiometry": "x"}}',
    b'{"kind": "full", "state": [1, 2]}',
    b'{"kind": ["full"], "state": {}}',
    b'{"complete": "x", "runs": [], "error": 7}',
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_or_forged_state_file_is_refused_by_name_or_taken_as_none(
    tmp_path: Path, kind: str
) -> None:
    make, load = KINDS[kind]
    path, generator = make(tmp_path), random.Random(kind)
    whole = path.read_bytes()
    for number in range(FLIPS):
        damaged = bytearray(whole)
        for _ in range(1 + number % 5):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged[: generator.randrange(len(damaged))] if number % 4 == 0 else damaged)
        load(tmp_path)
    for content in FORGED:
        path.write_bytes(content)
        load(tmp_path)
