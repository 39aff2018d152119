"""Who can reach a simulated bench: this machine, and nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from devices.sim.bench.client import ensure_bench
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from tests.listening import is_loopback, listening_at


@pytest.mark.parametrize("name", ["sim.yaml", "sim-press.yaml", "sim-keithley.yaml"])
def test_instruments_and_control_listen_on_loopback_and_nowhere_else(tmp_path: Path, name: str) -> None:
    cell = load_cell(packaged_config("cells/lic-ncm.yaml"))
    with ensure_bench(load_station(packaged_config(name)), tmp_path, cell=cell) as bench:
        [told] = tmp_path.rglob("bench.json")
        info = json.loads(told.read_text())
        there = listening_at(info["pid"])
        numbers = {int(re.findall(r":(\d+)", address)[-1]) for address in bench.addresses.values()}
        assert numbers | {info["port"]} <= {port for _, port in there}
        assert [address for address, _ in there if not is_loopback(address)] == []
        bench.stop()
