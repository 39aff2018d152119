"""A run that a person stops before its protocol's end is stopped, not finished, and goes on when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bluesky.utils import RunEngineInterrupted

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.commands.resume import ancestry_of, resume_measurement
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.journal.format import encode
from labctl.journal.reader import follow
from labctl.live.model.run_model import RunModel
from labctl.live.model.status import describe
from labctl.runs.listing import find_run, list_runs
from labctl.runs.query import RunQuery
from labctl.session import Session
from plans.executor.measurement import run_protocol
from plans.protocol.protocol import Gapless, Loop, Mark, Protocol
from tests.helpers import in_background, wait_until

EVERY = Sampling.every(10)
CURRENT = 840e-6  # C/2


def step(seconds: float, sign: int = 1) -> ConstantCurrent:
    return ConstantCurrent(current_ampere=sign * CURRENT, until_time_second=seconds, sampling=EVERY)


def rest(seconds: float) -> OpenCircuit:
    return OpenCircuit(until_time_second=seconds, sampling=EVERY)


CYCLES = Protocol(
    name="cycles", items=(rest(30), Loop(repeat=3, body=(Mark(), step(600), rest(60), step(600, -1))))
)


def read(session: Session, uid: str = "last") -> RunTables:
    return tables(follow(find_run(session.data_directory, uid).directory, live=False))


def in_step(session: Session, path: str) -> bool:
    """Whether current flows in the step after the one at `path`."""
    if not list_runs(session.data_directory):
        return False
    over = read(session).stream("steps").get("protocol_step", ())
    return len(over) > 0 and str(over[-1]) == path and bool(session.bench.cell_state()["circuit_closed"])


def stop_in(session: Session, protocol: Protocol, after: str, *, paused: bool = False) -> None:
    """Run `protocol` and stop it in the step after that at path `after`, at once or by way of a pause."""

    def run() -> None:
        with pytest.raises(RunEngineInterrupted):
            session.RE(run_protocol(session.cycler, protocol, cell=session.cell))

    thread = in_background(run)
    wait_until(lambda: in_step(session, after), 60)
    if paused:
        session.RE.request_pause()
        thread.join(20)
        assert find_run(session.data_directory, "last").status == "paused"
    session.RE.stop()
    thread.join(20)


def charge_by_step(*runs: RunTables) -> dict[str, float]:
    """Charge moved (Ah) by protocol_step over all runs."""
    charges: dict[str, float] = {}
    for run in runs:
        steps = run.stream("steps")
        moved = steps["step_charging_capacity_ah"] + steps["step_discharging_capacity_ah"]
        for path, charge in zip(map(str, steps["protocol_step"]), moved, strict=True):
            if not path.endswith(".resume"):
                charges[path] = charges.get(path, 0.0) + float(charge)
    return charges


def as_before(session: Session) -> None:
    """Give the newest run the stop document that earlier versions have written of it."""
    run = find_run(session.data_directory, "last")
    (path,) = run.directory.glob("journal-*")
    *lines, last = path.read_bytes().splitlines(keepends=True)
    assert last.startswith(b'{"name":"stop"')
    stop = read(session).stop or {}
    old = {key: value for key, value in stop.items() if key not in ("stopped", "protocol_completed")}
    old = {**old, "exit_status": "success", "reason": ""}
    path.write_bytes(b"".join([*lines, encode("stop", old)]))


@pytest.mark.parametrize("paused", [False, True])
def test_a_stopped_run_says_where_and_goes_on_with_what_is_left(open_sim: Any, paused: bool) -> None:
    session = open_sim(speed=300.0)
    stop_in(session, CYCLES, after="1[1].2", paused=paused)
    parent, found = read(session), find_run(session.data_directory, "last")
    assert (found.status, found.reason) == ("stopped", "stopped at step 7 of 10")
    assert (parent.stop or {})["exit_status"] == "abort"
    assert (parent.stop or {})["stopped"] is True
    assert not session.bench.cell_state()["circuit_closed"]
    assert list_runs(session.data_directory, query=RunQuery(status="stopped")) == [found]
    assert list_runs(session.data_directory, query=RunQuery(status="finished")) == []
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    child = read(session)
    assert child.start["parent_uid"] == parent.start["uid"]
    expected = {"0": 0.0}
    for number in range(3):
        expected |= {f"1[{number}].1": 0.14e-3, f"1[{number}].2": 0.0, f"1[{number}].3": 0.14e-3}
    charges = charge_by_step(parent, child)
    assert list(charges) == list(expected)
    assert list(charges.values()) == pytest.approx(list(expected.values()), rel=0.01, abs=1e-9)
    assert (child.stop or {})["protocol_completed"] is True
    assert find_run(session.data_directory, "last").status == "finished"
    with pytest.raises(ConfigurationError, match="it has finished: nothing is left"):
        ancestry_of("last", session.data_directory)


def test_a_resumed_run_that_is_stopped_counts_the_steps_of_the_whole_protocol(open_sim: Any) -> None:
    session = open_sim(speed=300.0)
    stop_in(session, CYCLES, after="1[0].2")
    assert find_run(session.data_directory, "last").reason == "stopped at step 4 of 10"
    again = resume_measurement(session, ancestry_of("last", session.data_directory))

    def run() -> None:
        with pytest.raises(RunEngineInterrupted):
            session.RE(again)

    thread = in_background(run)
    wait_until(lambda: in_step(session, "1[1].2"), 60)
    session.RE.stop()
    thread.join(20)
    assert find_run(session.data_directory, "last").reason.startswith("stopped at step 7 of 10; continued at")
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    assert find_run(session.data_directory, "last").status == "finished"


@pytest.mark.parametrize("paused", [False, True])
def test_a_stopped_run_of_an_earlier_version_is_seen_and_goes_on(open_sim: Any, paused: bool) -> None:
    session = open_sim(speed=300.0)
    stop_in(session, CYCLES, after="1[0].2", paused=paused)
    as_before(session)
    assert (read(session).stop or {})["exit_status"] == "success"
    assert find_run(session.data_directory, "last").status == "stopped"
    assert [run.status for run in list_runs(session.data_directory)] == ["stopped"]
    model = RunModel()
    for name, doc in follow(find_run(session.data_directory, "last").directory, live=False):
        model.feed(name, doc)
    assert describe(model, now_unix_second=0.0).state == "stopped"
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    assert find_run(session.data_directory, "last").status == "finished"


def test_a_finished_run_of_an_earlier_version_stays_finished(open_sim: Any) -> None:
    session = open_sim()
    session.RE(run_protocol(session.cycler, CYCLES, cell=session.cell))
    as_before(session)
    assert find_run(session.data_directory, "last").status == "finished"
    with pytest.raises(ConfigurationError, match="nothing of its protocol is left"):
        resume_measurement(session, ancestry_of("last", session.data_directory))


def test_a_pulse_that_was_stopped_is_flagged_and_the_next_follows(open_sim: Any, tmp_path: Path) -> None:
    session = open_sim(speed=300.0)
    pulse = Gapless(techniques=(step(600), rest(600)))
    stop_in(session, Protocol(name="pulses", items=(rest(20), pulse, rest(50))), after="0")
    assert find_run(session.data_directory, "last").reason == "stopped at step 2 of 4"
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    child = read(session).stream("steps")
    assert [str(p) for p in child["protocol_step"]] == ["1.resume", "1.rest", "2"]


def test_a_paused_run_is_listed_as_paused_and_as_running_when_it_goes_on(open_sim: Any) -> None:
    session = open_sim(speed=100.0)
    data = session.data_directory

    def run() -> None:
        with pytest.raises(RunEngineInterrupted):
            session.RE(run_protocol(session.cycler, CYCLES, cell=session.cell))

    thread = in_background(run)
    wait_until(lambda: in_step(session, "0"), 60)
    assert [found.status for found in list_runs(data)] == ["running"]
    session.RE.request_pause()
    thread.join(20)
    assert [found.status for found in list_runs(data)] == ["paused"]
    session.journal.alarm(kind="gap", source="test", value=0.0, limit=0.0, action="none")
    assert find_run(data, "last").status == "paused", "an alarm is no sign of life"
    assert [f.uid for f in list_runs(data, query=RunQuery(status="paused"))] == [find_run(data, "last").uid]
    with pytest.raises(ConfigurationError, match=r"it is paused, not ended: RE\.resume\(\) continues it"):
        ancestry_of("last", data)
    session.bench.set_speed("max")
    goes_on = in_background(session.RE.resume)
    wait_until(lambda: find_run(data, "last").status != "paused")
    assert find_run(data, "last").status in ("running", "finished")
    goes_on.join(60)
    assert find_run(data, "last").status == "finished"
