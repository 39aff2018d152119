"""What `labctl run` says before and after a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devices.core.techniques import ConstantCurrent, Sampling
from labctl.commands.interrupt import EndRequest
from labctl.commands.run import run_measurement, run_plan
from labctl.records.cell import Cell
from labctl.records.station import load_station, packaged_config
from labctl.store.server.service import stop_service
from plans.executor.measurement import run_protocol
from plans.protocol.files import save_protocol
from plans.protocol.made_for import MadeFor
from plans.protocol.protocol import Protocol
from tests.helpers import in_background, wait_until

CHARGE = ConstantCurrent(current_ampere=84e-6, until_time_second=36_000, sampling=Sampling.every(1))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error", "; the circuit is open"),
        (
            "silent",
            "; the circuit may still be closed: open it with `labctl off STATION`",
        ),  # no answer to that
    ],
)
def test_a_failed_run_says_whether_the_circuit_was_seen_to_be_open(
    open_sim, capsys: pytest.CaptureFixture[str], fault: str, words: str
) -> None:
    session = open_sim(speed=50.0)
    measurement = run_protocol(session.cycler, Protocol(name="charge", items=(CHARGE,)), cell=session.cell)

    def disturb() -> None:
        wait_until(lambda: session.bench.cell_state()["circuit_closed"])
        session.bench.inject("cycler", fault)

    disturbing = in_background(disturb)
    try:
        assert run_measurement(session, measurement, EndRequest()) == 1
    finally:
        stop_service(session.data_directory)
    disturbing.join(10)
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith(words)
    assert not session.bench.cell_state()["circuit_closed"] or "may still be closed" in said
    session.bench.inject("cycler", "clear")


# ---- another cell's currents
def test_a_protocol_of_another_cell_is_told_in_a_dry_run_and_before_a_run(
    open_sim, tmp_path: Path, capsys: pytest.CaptureFixture[str], coated_cell: Cell
) -> None:
    half = coated_cell.model_copy(update={"id": "half", "active_material": _of_half_capacity(coated_cell)})
    step = CHARGE.model_copy(update={"until_time_second": 5.0})
    protocol = Protocol(name="charge", items=(step,), made_for=MadeFor.of(half))
    words = (
        "the protocol was made for cell half (1C = 0.84 mA); this cell, lic-ncm-1, has 1C = 1.68 mA: "
        "its currents are 0.5 of the rates meant"
    )
    save_protocol(protocol, tmp_path / "charge.json")
    name = str(tmp_path / "charge.json")
    asked = run_plan(name, None, None, [], tmp_path / "data", EndRequest(), dry_run=True, fresh=False)
    assert asked == 0
    assert f"  remark      {words}\n" in capsys.readouterr().out
    session = open_sim()
    try:
        measurement = run_protocol(session.cycler, protocol, cell=session.cell)
        assert run_measurement(session, measurement, EndRequest()) == 0
    finally:
        stop_service(session.data_directory)
    assert capsys.readouterr().err.startswith(f"note: {words}\n")


def _of_half_capacity(cell: Cell):
    assert cell.active_material is not None
    return cell.active_material.model_copy(
        update={"specific_capacity_mah_per_g": cell.active_material.specific_capacity_mah_per_g / 2}
    )


# ---- devices that no run records
def with_spare_gauges(folder: Path) -> Path:
    """The packaged press with a load cell and a gas controller that its heated cell does not use."""
    station = yaml.safe_load(packaged_config("sim-press.yaml").read_text())
    station["devices"] |= {"spare_gauge": {"driver": "mark10"}, "purge": {"driver": "alicat"}}
    path = folder / "spare.yaml"
    path.write_text(yaml.safe_dump(station, sort_keys=False))
    return path


@pytest.mark.parametrize("name", ["sim.yaml", "sim-press.yaml", "bench.example.yaml"])
def test_parts_of_the_heated_cell_are_recorded_through_it(name: str) -> None:
    assert load_station(packaged_config(name)).unrecorded == ()


def labctl(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "labctl", *arguments, "--data", str(data)],
        capture_output=True, text=True, timeout=100, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_a_device_that_no_run_records_is_named_by_check_dry_run_and_run(tmp_path: Path) -> None:
    station, data = str(with_spare_gauges(tmp_path)), tmp_path / "data"
    kept = "not recorded: a run keeps the readings of the cycler, and of the environment with what it uses"
    words = [f"spare_gauge: {kept}", f"purge: {kept}"]
    short = ["pulses=1", "pulse_second=10", "rest_second=10", "first_rest_second=10", "direction=charge"]
    run = ("run", "gitt", "--station", station, *(word for each in short for word in ("--set", each)))
    try:
        checked = labctl("check", station, data=data).stdout
        assert checked.splitlines()[-2:] == words
        assert checked.count("good, not recorded") == 2
        dry = labctl(*run, "--dry-run", data=data).stdout
        assert [f"  remark      {each}" for each in words] == dry.splitlines()[-2:]
        said = labctl(*run, data=data).stderr
        assert said.startswith("".join(f"note: {each}\n" for each in words))
    finally:
        labctl("sim", station, "--stop", data=data)
        labctl("store", "stop", data=data)
