"""Going on with an interrupted run: what is done stays done, what was cut off is completed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bluesky.utils import RunEngineInterrupted

from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.commands.resume import ancestry_of, resume_measurement
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.journal.reader import follow
from labctl.runs.listing import find_run
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


def abort_when(session: Session, protocol: Protocol, ready: Any) -> None:
    """Run `protocol` and abort it, in order, as soon as `ready()` holds."""

    def run() -> None:
        with pytest.raises(RunEngineInterrupted):
            session.RE(run_protocol(session.cycler, protocol, cell=session.cell))

    thread = in_background(run)
    wait_until(ready, 60)
    session.RE.abort("a person") if session.RE.state == "paused" else session.RE.request_pause()
    wait_until(lambda: session.RE.state == "paused", 20)
    thread.join(20)
    session.RE.abort("a person")


def by_step(*runs: RunTables) -> dict[str, float]:
    """Charge moved (Ah) by protocol_step over all runs."""
    charges: dict[str, float] = {}
    for run in runs:
        steps = run.stream("steps")
        moved = steps["step_charging_capacity_ah"] + steps["step_discharging_capacity_ah"]
        for path, charge in zip(steps["protocol_step"], moved, strict=True):
            if not str(path).endswith((".resume", ".rest")):
                charges[str(path)] = charges.get(str(path), 0.0) + float(charge)
    return charges


def test_an_aborted_run_goes_on_where_it_was_and_adds_up(open_sim: Any) -> None:
    session = open_sim(speed=300.0)
    second_cycle = lambda: session.cycler.test_time_second() > 1700  # noqa: E731
    abort_when(session, CYCLES, second_cycle)
    parent = read(session)
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    child = read(session)
    assert child.start["parent_uid"] == parent.start["uid"] == child.start["campaign_uid"]
    assert child.start["parent_elapsed_s"] == pytest.approx(1700, abs=400)
    charges = by_step(parent, child)
    expected = {"0": 0.0}
    for number in range(3):
        expected |= {f"1[{number}].1": 0.14e-3, f"1[{number}].2": 0.0, f"1[{number}].3": 0.14e-3}
    assert list(charges) == list(expected)
    assert list(charges.values()) == pytest.approx(list(expected.values()), rel=0.01, abs=1e-9)
    assert (child.stop or {})["exit_status"] == "success"
    volts = [run.stream("timeseries")["voltage_volt"] for run in (parent, child)]
    assert abs(volts[1][0] - volts[0][-1]) > 0.05  # current flowed until it was aborted
    assert f"the last voltage before was {volts[0][-1]:.4g} V" in (child.stop or {})["reason"]
    with pytest.raises(ConfigurationError, match="nothing is left"):
        ancestry_of("last", session.data_directory)


def test_a_gapless_program_is_flagged_rested_after_and_not_continued(open_sim: Any) -> None:
    session = open_sim(speed=300.0)
    pulse = Gapless(techniques=(step(600), rest(600)))
    protocol = Protocol(name="pulses", items=(pulse, rest(50)))
    abort_when(session, protocol, lambda: session.cycler.test_time_second() > 300)
    session.bench.set_speed("max")
    session.RE(resume_measurement(session, ancestry_of("last", session.data_directory)))
    child = read(session).stream("steps")
    assert [str(p) for p in child["protocol_step"]] == ["0.resume", "0.rest", "1"]


def test_another_cell_and_a_cell_outside_its_window_are_refused(open_sim: Any, tmp_path: Path) -> None:
    session = open_sim(speed=300.0)
    abort_when(session, CYCLES, lambda: session.cycler.test_time_second() > 300)
    ancestry = ancestry_of("last", session.data_directory)
    other = open_sim(data=tmp_path / "other", cell=session.cell.model_copy(update={"id": "other"}))
    with pytest.raises(ConfigurationError, match=f"the run measured cell {session.cell.id}"):
        resume_measurement(other, ancestry)
    narrow = session.cell.model_copy(update={"voltage_max_volt": 2.5, "id": session.cell.id})
    session.cell = narrow
    session.bench.set_speed("max")
    with pytest.raises(Exception, match="not resumed: the open-circuit voltage is 3"):
        session.RE(resume_measurement(session, ancestry))
    assert not session.bench.cell_state()["circuit_closed"]
