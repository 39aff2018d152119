"""The potentiostat's driver on a bad wire: no wrong value, no hang, no uncaught exception, circuit open."""

from __future__ import annotations

import sys
import time
from math import isnan
from typing import Any

import pytest
from bluesky.utils import FailedStatus

from devices.core.columns import NO_VALUE
from devices.core.techniques import ConstantCurrent, ConstantVoltage, Impedance, Sampling
from devices.palmsens.driver import PalmSens
from devices.palmsens.methodscript import OVERLOAD
from labctl.errors import InstrumentError, PortInUseError, TransportError
from labctl.journal.reader import follow
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config
from labctl.runs.listing import list_runs
from labctl.session import Session, open_session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Protocol
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


def journalled_alarms(session: Session) -> dict[str, list[Any]]:
    """The stream `alarms` of the newest run: the journal writes it, not the RunEngine."""
    documents = Documents()
    for name, doc in follow(list_runs(session.data_directory)[0].directory, live=False):
        documents(name, doc)
    return documents.stream("alarms")


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
    assert [n for n, v in enumerate(rows["voltage_volt"]) if isnan(v)] == [*range(20, 25), *range(40, 45)]
    assert set(rows["current_ampere"]) == {84e-6}, "it was set, not measured"
    good = [status for status, v in zip(rows["status"], rows["voltage_volt"], strict=True) if not isnan(v)]
    assert set(good) == {0}
    assert rows["status"][20:25] == [NO_VALUE] * 5
    assert rows["status"][40:45] == [NO_VALUE | OVERLOAD] * 5
    charge = documents.stream("steps")["step_charging_capacity_ah"][0]
    assert charge == pytest.approx(84e-6 * 10 / 3600, rel=1e-3)
    alarms = journalled_alarms(session)
    assert alarms["kind"] == ["no_reading", "overload"], "one for each episode, none for each row"
    assert set(alarms["source"]) == {"cycler"}
    assert "no valid voltage from 2.1" in alarms["action"][0]
    assert "voltage overload; the instrument sent" in alarms["action"][1]
    assert alarms["value"][1] == pytest.approx(rows["voltage_volt"][39], abs=0.01)


def hold(session: Session, seconds: float) -> Protocol:
    """A little above the rest voltage, with samples of the current."""
    volt = session.bench.cell_state()["voltage_volt"] + 0.005
    step = ConstantVoltage(
        voltage_volt=round(volt, 3),
        direction="charge",
        until_time_second=seconds,
        sampling=Sampling.every(0.1),
    )
    return Protocol(name="hold", items=(step,))


def test_a_current_that_is_not_valid_is_bridged_in_the_capacity_and_that_is_told(
    open_sim, documents: Documents
) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    session.bench.inject("cycler", "overrange", after_lines=40, lines=10)
    session.RE(run_protocol(session.cycler, hold(session, 10.0), cell=session.cell))
    rows = documents.stream("timeseries")
    assert [n for n, i in enumerate(rows["current_ampere"]) if isnan(i)] == list(range(40, 50))
    assert rows["status"][40:50] == [NO_VALUE | OVERLOAD] * 10
    alarms = journalled_alarms(session)
    assert alarms["kind"] == ["overload", "capacity"]
    assert alarms["value"][1] == pytest.approx(1.1), "from the last valid sample to the next"
    assert "1.100 s of 10.000 s" in alarms["action"][1]
    charge = documents.stream("steps")["step_charging_capacity_ah"][0]
    assert charge == pytest.approx(session.bench.cell_state()["charge_ah"], rel=0.05)


def test_a_flickering_overload_is_one_alarm_until_it_has_been_away_for_a_while(
    open_sim, documents: Documents
) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    for after_lines in (20, 22, 25, 60):
        session.bench.inject("cycler", "overrange", after_lines=after_lines)
    short = DENSE.model_copy(update={"until_time_second": 10.0})
    session.RE(run_protocol(session.cycler, Protocol(name="short", items=(short,)), cell=session.cell))
    assert sum(map(isnan, documents.stream("timeseries")["voltage_volt"])) == 4
    assert journalled_alarms(session)["kind"] == ["overload", "overload"]


def test_a_step_without_any_valid_current_has_no_capacity_and_the_signal_no_reading(
    open_sim, documents: Documents
) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    session.bench.inject("cycler", "overrange", lines=0)
    session.RE(run_protocol(session.cycler, hold(session, 10.0), cell=session.cell))
    steps = documents.stream("steps")
    assert isnan(steps["step_charging_capacity_ah"][0])
    assert isnan(steps["end_current_ampere"][0])
    assert isnan(session.cycler.current.get())
    assert journalled_alarms(session)["kind"] == ["overload", "capacity"]
    with pytest.raises(InstrumentError, match="no valid voltage: voltage overload"):
        session.cycler.measure_rest_voltage()


@pytest.mark.parametrize(("fault", "bit"), [("nan", 0), ("overrange", OVERLOAD)])
def test_a_frequency_without_a_valid_impedance_is_nan_with_a_status_and_one_alarm(
    open_sim, documents: Documents, fault: str, bit: int
) -> None:
    session = open_sim(stoichiometry=0.5)
    session.RE.subscribe(documents)
    session.bench.inject("cycler", fault, after_lines=3, lines=2)
    spectrum = Impedance(amplitude_rms_volt=5e-3, frequency_max_hertz=1e5, frequency_min_hertz=10)
    session.RE(run_protocol(session.cycler, Protocol(name="eis", items=(spectrum,)), cell=session.cell))
    rows = documents.stream("impedance")
    assert len(rows["frequency_hertz"]) == spectrum.points
    for name in ("real_impedance_ohm", "imaginary_impedance_ohm", "voltage_volt", "current_ampere"):
        assert [n for n, value in enumerate(rows[name]) if isnan(value)] == [3, 4], name
    assert rows["status"][3:5] == [NO_VALUE | bit] * 2
    assert set(rows["status"][:3] + rows["status"][5:]) == {0}
    assert documents.stream("steps")["end_reason"] == ["complete"]
    assert journalled_alarms(session)["kind"][0] == ("overload" if bit else "no_reading")
    assert "no valid impedance, DC voltage, DC current" in journalled_alarms(session)["action"][0]
    assert journalled_alarms(session)["kind"][1:] == ["capacity"]


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
