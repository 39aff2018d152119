"""The example of docs/how-to/read-runs-with-tiled.md, on a finished and a running run of a real station."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.core.techniques import ConstantCurrent
from devices.core.techniques import Impedance
from devices.core.techniques import Sampling
from labctl.session import Session
from labctl.store.client.store import Store
from labctl.store.server.service import ensure_service
from labctl.store.server.service import stop_service
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
from tests.helpers import in_background
from tests.helpers import wait_until

SCRIPT = Path(__file__).parents[2] / "docs" / "how-to" / "example" / "read_runs.py"


def described(data: Path, cell: str) -> dict[str, Any]:
    service = ensure_service(data)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), service.uri, cell],
        env={**os.environ, "TILED_API_KEY": service.api_key},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def spectrum_and_pulse(seconds: float) -> Protocol:
    return Protocol(
        name="spectrum and pulse",
        items=(
            Impedance(
                frequency_max_hertz=1e4, frequency_min_hertz=10, points_per_decade=5, amplitude_rms_volt=5e-3
            ),
            ConstantCurrent(
                current_ampere=84e-6, until_time_second=seconds, sampling=Sampling.every(1), tag="pulse"
            ),
        ),
    )


@pytest.mark.slow
def test_a_stock_script_reads_a_finished_and_a_running_run(
    open_sim: Callable[..., Session], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    ensure_service(data)
    session = open_sim(data=data, speed=2000.0)
    cell = session.cell

    def measure(seconds: float) -> str:
        (uid,) = session.RE(run_protocol(session.cycler, spectrum_and_pulse(seconds), cell=cell))
        return uid

    finished = measure(120.0)
    session.bench.set_speed(30.0)
    running = in_background(lambda: measure(600.0))
    with Store(data) as store:
        assert store.wait_until_shipped(finished, 60)
        wait_until(lambda: store.runs()[0].points > 50, 60)
        going = store.runs()[0].uid
        wait_until(lambda: going in store.client and "timeseries" in store.client[going], 30)
        told = described(data, cell.id)
    session.bench.set_speed("max")
    running.join(60)
    assert not running.is_alive()
    stop_service(data)
    assert list(told) == [finished, going]
    assert [told[uid]["running"] for uid in told] == [False, True]
    for uid in told:
        assert told[uid]["plan"] == "spectrum and pulse"
        assert told[uid]["samples"] > 20
        assert 2.0 < told[uid]["last_voltage_volt"] < 4.0
        assert told[uid]["last_step_type"] == "cc_charge"
        assert told[uid]["frequencies_hertz"][0] == pytest.approx(1e4)
        assert len(told[uid]["frequencies_hertz"]) == 16
        assert told[uid]["largest_impedance_ohm"] > 1
        assert told[uid]["documents"][0] == "start"
        assert told[uid]["documents"].count("descriptor") >= 2
        assert told[uid]["validated"]
    assert told[finished]["documents"][-1] == "stop"
    assert "stop" not in told[going]["documents"]
