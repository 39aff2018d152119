"""Thirty days of cycling at one sample a second on the simulated bench: wire, journal, Tiled and window.

Memory stays flat in the run's process, the service and the window; journal and Tiled are equal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.core.techniques import Impedance, OpenCircuit, Sampling
from labctl.records.station import packaged_config
from labctl.runs.directory import run_directories
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import ensure_service, shipper_status, stop_service
from plans.protocol.protocol import Loop, Mark, Protocol
from plans.protocol.rated_steps import Direction, RatedCurrent
from tests.helpers import wait_until
from tests.labctl.store.process_growth import Growth, place_in, resident_byte

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
CYCLES = 38  # of about 20 h each
LEAST_SECOND, LEAST_ROWS = 30 * 86_400, 2_000_000
WARM_UP_ROWS = 600_000
MOST_BYTE_PER_ROW = 50.0
MOST_BEHIND_BYTE = 32_000_000  # a sixteenth of the journal
MOST_TO_READ_A_TABLE_BYTE = 100_000_000
LOOK_SECOND = 2.0


def month_of_cycling(file: Path) -> Path:
    """A protocol: charge and discharge at C/10, rests, a spectrum in the charged cell."""
    every_second = Sampling.every(1.0)

    def current(direction: Direction, until_volt: float) -> RatedCurrent:
        return RatedCurrent(
            rate_per_hour=0.1, direction=direction, until_voltage_volt=until_volt, sampling=every_second
        )

    rest = OpenCircuit(until_time_second=3600, sampling=every_second)
    spectrum = Impedance(frequency_max_hertz=100e3, frequency_min_hertz=0.1, amplitude_rms_volt=0.01)
    body = (Mark(), current("charge", 3.68), rest, spectrum, current("discharge", 2.38), rest)
    protocol = Protocol(name="month", items=(Loop(repeat=CYCLES, body=body),))
    file.write_text(protocol.model_dump_json())
    return file


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `labctl` as a person does; what still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []
    home = tmp_path / "home"  # nobody's windows are remembered here
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(home)}

    def labctl(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
            command = [sys.executable, "-m", "labctl", *arguments]
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        return started[-1]

    yield labctl
    for process in started:
        process.terminate()
        process.wait(30)
    stop_service(tmp_path / "data")


def written_byte(run: Path) -> int:
    return sum(segment.stat().st_size for segment in run.glob("journal-*.jsonl"))


def come_so_far(data: Path, uid: str) -> int:
    """Rows that the shipper has read from the journal."""
    told: dict[str, Any] = shipper_status(data)["runs"].get(uid, {"rows": {}, "waiting": 0})
    return sum(told["rows"].values()) + told["waiting"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_thirty_days_leave_memory_flat_and_journal_and_tiled_equal(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    data, began = tmp_path / "data", time.monotonic()
    protocol = month_of_cycling(tmp_path / "month.json")
    station, cell = packaged_config("sim-press.yaml"), packaged_config("cells/lic-ncm.yaml")
    run = start(
        "run", str(protocol), "--station", str(station), "--cell", str(cell), "--data", str(data), "--fresh"
    )
    wait_until(lambda: data.exists() and run_directories(data) != [], 120)
    (directory,) = run_directories(data)
    window = start("live", "--data", str(data))
    service = ensure_service(data)
    growth = {"run": Growth(run.pid), "service": Growth(service.pid), "window": Growth(window.pid)}
    behind = [0]
    while not _has_ended_within(run, LOOK_SECOND):
        if not (rows := come_so_far(data, directory.name)):
            continue  # not begun, or at its end
        for each in growth.values():
            each.look(rows)
        if (place := place_in(window.pid, directory)) is not None:
            behind.append(written_byte(directory) - place)
    took = time.monotonic() - began
    # Now and then the window opens the journal's beginning once more, for its list of runs.
    figures: dict[str, Any] = {"took_second": took, "window_behind_byte": float(np.percentile(behind, 95))}
    figures |= {f"{name}_byte_per_row": each.byte_per_row(WARM_UP_ROWS) for name, each in growth.items()}
    figures |= {f"{name}_more_files": each.more_files(WARM_UP_ROWS) for name, each in growth.items()}
    figures |= {f"{name}_byte": each.resident[-1] for name, each in growth.items()}
    courses = {name: [each.rows, each.resident, each.files] for name, each in growth.items()}
    (tmp_path / "figures.json").write_text(json.dumps(figures | {"courses": courses}))
    assert run.returncode == 0, (tmp_path / "run.log").read_text()[-2000:]
    assert window.poll() is None, (tmp_path / "live.log").read_text()[-2000:]
    for name, each in growth.items():
        assert each.byte_per_row(WARM_UP_ROWS) < MOST_BYTE_PER_ROW, name
        assert each.more_files(WARM_UP_ROWS) <= 2, name
    assert len(behind) > len(growth["window"].rows) // 2, "the window follows the run"
    assert figures["window_behind_byte"] < MOST_BEHIND_BYTE
    with Store(data) as store:
        _is_whole(store, directory, service.pid)


def _has_ended_within(process: subprocess.Popen[bytes], second: float) -> bool:
    try:
        process.wait(second)
    except subprocess.TimeoutExpired:
        return False
    return True


def _is_whole(store: Store, run: Path, service_pid: int) -> None:
    """All of it is in journal and Tiled, and to read it whole costs the service no memory."""
    uid = run.name
    assert store.wait_until_shipped(uid, 600)
    assert len(list(run.glob("journal-*.jsonl"))) > 5, "it was rotated"
    found = verify_run(store, uid)
    assert found.differences == ()
    stop = store.client[uid].metadata["stop"]
    assert found.rows == {stream: rows for stream, rows in stop["num_events"].items() if rows}
    assert found.rows["timeseries"] >= LEAST_ROWS
    assert found.rows["impedance"] > CYCLES
    assert found.rows["environment"] > 0
    assert store.read(uid, "steps")["end_test_time_second"].max() >= LEAST_SECOND
    before = resident_byte(service_pid)
    read = store.client[uid]["timeseries"].read()
    assert read.sizes["time"] == found.rows["timeseries"]
    assert resident_byte(service_pid) - before < MOST_TO_READ_A_TABLE_BYTE
