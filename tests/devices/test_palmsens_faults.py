"""The potentiostat's driver on a bad wire: no wrong value, no hang, no uncaught exception, circuit open."""

from __future__ import annotations

import sys
import time

import pytest
from bluesky.utils import FailedStatus

from devices.palmsens import PalmSens
from devices.techniques import ConstantCurrent, Sampling
from labctl.config import load_cell, packaged_config
from labctl.errors import PortInUseError, TransportError
from labctl.session import open_session
from plans.execute import run_protocol
from plans.protocol import Protocol
from tests.conftest import simulated_station
from tests.helpers import Documents, in_background, wait_until

LINES = 2_000
DENSE = ConstantCurrent(current_ampere=84e-6, until_time_second=LINES / 10, sampling=Sampling.every(0.1))
PROTOCOL = Protocol(name="dense", items=(DENSE,))


@pytest.fixture(scope="module")
def clean_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[float, tuple[float, float]]:
    """What the program gives over a good wire."""
    station, cell = simulated_station(seed=11), load_cell(packaged_config("cells/lic-ncm.yaml"))
    with open_session(station, cell, tmp_path_factory.mktemp("clean"), fresh_bench=True) as session:
        documents = Documents()
        session.RE.subscribe(documents)
        session.RE(run_protocol(session.cycler, PROTOCOL, cell=session.cell))
    return by_time(documents)


def by_time(documents: Documents) -> dict[float, tuple[float, float]]:
    rows = documents.stream("timeseries")
    if len(rows["seq_num"]) == 0:
        return {}
    pairs = zip(rows["voltage_volt"], rows["current_ampere"], strict=True)
    return dict(zip(rows["step_time_second"], pairs, strict=True))


@pytest.mark.parametrize(
    ("fault", "arguments", "at_least"),
    [
        ("split", {"size": 3, "lines": 40}, LINES),
        ("merged", {"lines": 500}, LINES),
        ("garbage", {"count": 7, "lines": 15}, LINES - 15),
        ("truncated", {"lines": 15, "newline": True}, LINES - 15),
        ("truncated", {"lines": 15, "newline": False}, LINES - 40),
        ("slow", {"lines": 20, "delay_second": 0.05}, LINES),
    ],
)
def test_a_bad_wire_loses_lines_at_most_and_never_changes_a_value(
    open_sim, documents: Documents, clean_rows, fault: str, arguments: dict, at_least: int
) -> None:
    session = open_sim(seed=11)
    session.RE.subscribe(documents)
    session.bench.inject("cycler", fault, after_lines=500, **arguments)
    session.RE(run_protocol(session.cycler, PROTOCOL, cell=session.cell))
    seen = by_time(documents)
    assert len(clean_rows) == LINES
    assert len(seen) >= at_least
    assert all(clean_rows[moment] == values for moment, values in seen.items())
    assert documents.stop["exit_status"] == "success"


def test_endless_garbage_ends_the_run_with_an_open_circuit(open_sim, documents: Documents) -> None:
    session = open_sim(seed=11)
    session.RE.subscribe(documents)
    session.bench.inject("cycler", "truncated", after_lines=500, lines=0)
    clearing = in_background(lambda: (time.sleep(1.5), session.bench.inject("cycler", "clear")))  # noqa: TID251
    with pytest.raises(FailedStatus):
        session.RE(run_protocol(session.cycler, PROTOCOL, cell=session.cell))
    clearing.join(5)
    assert "damaged lines" in documents.stop["reason"]
    session.cycler.stop()
    assert not session.bench.cell_state()["circuit_closed"]


def test_a_lost_link_is_told_within_two_seconds_and_the_cell_is_opened_over_a_new_one(
    open_sim, documents: Documents
) -> None:
    session = open_sim(speed=100.0)
    session.RE.subscribe(documents)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            session.RE(run_protocol(session.cycler, PROTOCOL, cell=session.cell))
        except FailedStatus as error:
            failures.append(error)

    running = in_background(run)
    wait_until(lambda: session.bench.cell_state()["circuit_closed"])
    session.bench.inject("cycler", "drop_link")
    began = time.monotonic()
    running.join(20)
    assert time.monotonic() - began < 6
    assert isinstance(failures[0].__cause__, TransportError)
    assert "link lost" in documents.stop["reason"]
    wait_until(lambda: not session.bench.cell_state()["circuit_closed"], 5)
    session.bench.set_speed("max")
    short = DENSE.model_copy(update={"until_time_second": 5.0})
    session.RE(run_protocol(session.cycler, Protocol(name="again", items=(short,)), cell=session.cell))
    assert documents.stop["exit_status"] == "success"


@pytest.mark.slow
def test_an_instrument_that_falls_silent_is_noticed(open_sim, documents: Documents) -> None:
    session = open_sim(speed=50.0)
    session.RE.subscribe(documents)
    session.bench.inject("cycler", "silent", after_lines=30)
    with pytest.raises(FailedStatus) as caught:
        session.RE(run_protocol(session.cycler, PROTOCOL, cell=session.cell))
    assert "silent for" in str(caught.value.__cause__)
    assert "silent for" in documents.stop["reason"]
    session.bench.inject("cycler", "clear")
    wait_until(lambda: not session.bench.cell_state()["circuit_closed"])


def test_overload_and_missing_readings_are_marked_and_never_become_numbers(
    open_sim, documents: Documents
) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    session.bench.inject("cycler", "nan", after_lines=20, lines=5)
    session.bench.inject("cycler", "overrange", after_lines=40, lines=5)
    short = DENSE.model_copy(update={"until_time_second": 10.0})
    session.RE(run_protocol(session.cycler, Protocol(name="short", items=(short,)), cell=session.cell))
    rows = documents.stream("timeseries")
    assert sum(v != v for v in rows["voltage_volt"]) == 5
    assert sum(status & 2 > 0 for status in rows["status"]) == 5
    charge = documents.stream("steps")["step_charging_capacity_ah"][0]
    assert charge == pytest.approx(84e-6 * 10 / 3600, rel=1e-3)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals exist on POSIX only")
def test_the_same_driver_identifies_itself_over_a_pseudo_terminal_for_one_process(open_sim) -> None:
    session = open_sim()
    session.cycler.disconnect()
    path = session.bench.pty_path("cycler")
    driver = PalmSens(path, name="on_pty", clock=session.bench.clock)
    driver.connect()
    try:
        assert driver.identity is not None
        assert driver.identity.serial.startswith("ES4HR")
        assert 2 < driver.measure_rest_voltage() < 4
        with pytest.raises(PortInUseError):
            PalmSens(path, name="second", clock=session.bench.clock).connect()
    finally:
        driver.disconnect()
