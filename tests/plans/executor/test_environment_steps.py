"""Temperature and stack pressure as steps: through the controllers' wires, recorded, held at every end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from devices.core.techniques import OpenCircuit, Sampling
from labctl.errors import ProtocolError
from labctl.records.cell import Cell
from labctl.records.limits import Limits
from labctl.records.station import load_station, packaged_config
from labctl.session import Session, open_session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol, SetPressure, SetTemperature, Soak
from tests.helpers import Documents, in_background, wait_until

REST = OpenCircuit(until_time_second=60, sampling=Sampling.every(10))


@pytest.fixture
def press(tmp_path: Path, coated_cell: Cell) -> Iterator[Session]:
    """The station with die, press and load cell."""
    station = load_station(packaged_config("sim-press.yaml"))
    with open_session(station, coated_cell, tmp_path / "data", fresh_bench=True) as session:
        yield session


def measurement(session: Session, *items: Any, limits: Limits | None = None) -> Any:
    protocol = Protocol(name="ladder", items=items, limits=limits)
    return run_protocol(session.cycler, protocol, cell=session.cell, environment=session.environment)


def test_temperature_and_pressure_are_reached_recorded_and_felt_by_the_cell(
    press: Session, documents: Documents
) -> None:
    press.RE.subscribe(documents)
    plan = measurement(
        press,
        SetTemperature(temperature_celsius=40, dwell_second=120),
        Soak(until_time_second=600),
        SetPressure(pressure_pa=30e6),
        REST,
    )
    assert plan.estimate.temperature_path[0][1] == 40
    assert plan.estimate.pressure_path[0][1] == 30e6
    press.RE(plan)
    steps, rows = documents.stream("steps"), documents.stream("environment")
    assert steps["protocol_step"] == ["0", "1", "2", "3"]
    assert steps["step_type"] == ["environment", "rest", "environment", "rest"]
    assert steps["end_reason"] == ["complete", "time", "complete", "time"]
    times = np.array(rows["test_time_second"])
    assert np.all(np.diff(times) > 0)
    in_soak = times > steps["end_test_time_second"][0]
    temperature = np.array(rows["temperature_t1_celsius"])
    assert np.all(np.abs(temperature[in_soak] - 40) < 1.0)
    assert temperature[0] == pytest.approx(25, abs=2)
    assert rows["surface_pressure_pa"][-1] == pytest.approx(30e6, rel=0.02)
    truth = press.bench.truth()
    assert truth["temperature_kelvin"] == pytest.approx(313.15, abs=1)
    assert truth["pressure_pa"] == pytest.approx(30e6, rel=0.03)


def test_what_die_station_or_cell_do_not_allow_is_refused_before_anything_moves(
    press: Session, tmp_path: Path
) -> None:
    for item, words in (
        (
            SetTemperature(temperature_celsius=90),
            r"step 1: temperature_celsius = 90: cell .* allows up to 60",
        ),
        (SetPressure(pressure_pa=500e6), r"step 1: pressure_pa = 5e\+08: the die of cell .* allows up to"),
    ):
        with pytest.raises(ProtocolError, match=words):
            measurement(press, REST, item)
    with pytest.raises(ProtocolError, match=r"step 0: temperature_celsius = 60: cell .* allows up to 50"):
        measurement(press, SetTemperature(temperature_celsius=60), limits=Limits(temperature_max_celsius=50))
    protocol = Protocol(name="p", items=(SetTemperature(temperature_celsius=40),))
    with pytest.raises(ProtocolError, match="step 0: set_temperature: the station has no heated"):
        run_protocol(press.cycler, protocol, cell=press.cell)
    assert press.environment is not None
    assert press.environment.temperature.eeprom_writes.get() == 0


def test_a_pause_lets_the_die_go_on_and_an_abort_holds_it(press: Session, documents: Documents) -> None:
    press.RE.subscribe(documents)
    press.bench.set_speed(100.0)
    plan = measurement(
        press, SetTemperature(temperature_celsius=60, ramp_kelvin_per_minute=2, dwell_second=60), REST
    )

    def run() -> None:
        with pytest.raises(RunEngineInterrupted):
            press.RE(plan)

    thread = in_background(run)
    wait_until(lambda: len(documents.stream("environment").get("seq_num", [])) > 3, 60)
    press.RE.request_pause()
    wait_until(lambda: press.RE.state == "paused", 20)
    thread.join(20)
    before = press.bench.truth()["temperature_kelvin"]
    wait_until(lambda: press.bench.truth()["temperature_kelvin"] > before + 0.5, 60)
    press.RE.abort("a person")
    assert documents.stop["exit_status"] == "abort"
    rows = documents.stream("environment")
    assert press.environment is not None
    environment = press.environment
    wait_until(lambda: environment.environment()["temperature_setpoint_celsius"] < 58, 20)
    assert len(rows["seq_num"]) == len(set(rows["seq_num"]))


def test_a_temperature_that_is_never_reached_fails_the_run_in_words(
    press: Session, documents: Documents
) -> None:
    press.RE.subscribe(documents)
    press.bench.inject("temperature", "sensor_break")
    with pytest.raises((FailedStatus, Exception), match="sensor"):
        press.RE(measurement(press, SetTemperature(temperature_celsius=40), REST))
    assert documents.stop["exit_status"] == "fail"
    assert "sensor" in documents.stop["reason"]
