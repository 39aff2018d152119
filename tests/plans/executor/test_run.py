"""The executor on the simulated bench: rows, interruptions, and an open circuit on every way out."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from devices.core.techniques import ConstantCurrent, ConstantVoltage, OpenCircuit, Sampling
from labctl.errors import JournalError, ProtocolError
from labctl.runs.listing import list_runs
from labctl.session import Session
from plans.executor.measurement import run_protocol
from plans.gitt import gitt
from plans.protocol.protocol import Gapless, Mark, Protocol
from tests.helpers import Documents, in_background, wait_until

EVERY_SECOND = Sampling.every(1)
MICROAMPERE = 84e-6  # C/20 of the example pellet
PACE = 100.0  # cell seconds per wall second: slow enough to interrupt, fast enough to wait for
OPEN_WITHIN_SECOND = 2.0


def pulse(seconds: float, **changes: Any) -> ConstantCurrent:
    return ConstantCurrent(
        current_ampere=MICROAMPERE, until_time_second=seconds, sampling=EVERY_SECOND, **changes
    )


def rest(seconds: float) -> OpenCircuit:
    return OpenCircuit(until_time_second=seconds, sampling=EVERY_SECOND)


LONG_PULSE = Protocol(name="one pulse", items=(pulse(600),))
PULSE_AND_REST = Protocol(
    name="two gapless pulses",
    items=(Gapless(techniques=(pulse(600), rest(60))), Gapless(techniques=(pulse(20), rest(20)))),
)


def circuit_closed(session: Session) -> bool:
    return bool(session.bench.cell_state()["circuit_closed"])


def seconds_until_open(session: Session, act: Callable[[], Any]) -> float:
    """Wall time from the call of `act` until the bench itself says the circuit is open."""
    began = time.monotonic()
    acting = in_background(act)
    wait_until(lambda: not circuit_closed(session), 10)
    took = time.monotonic() - began
    acting.join(20)
    return took


def run_until_closed(session: Session, plan: Any) -> Any:
    """Start `plan` in the background and wait until current flows."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            session.RE(plan)
            outcome.append(None)
        except (RunEngineInterrupted, FailedStatus, ValueError) as error:
            outcome.append(error)

    thread = in_background(run)
    wait_until(lambda: circuit_closed(session))
    wait_until(lambda: session.cycler.current.get() == pytest.approx(MICROAMPERE, rel=0.05))
    return thread, outcome


def assert_unique_and_ordered(documents: Documents) -> None:
    rows = documents.stream("timeseries")
    assert rows["seq_num"] == list(range(1, len(rows["seq_num"]) + 1))
    times = rows["test_time_second"]
    assert all(b > a for a, b in pairwise(times))


def test_a_gitt_gives_the_asked_samples_steps_and_charge(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    session.RE(gitt(session.cycler, cell=session.cell, pulses=2, rest_second=600, direction="charge"))
    rows, steps = documents.stream("timeseries"), documents.stream("steps")
    assert_unique_and_ordered(documents)
    assert steps["step_type"] == ["rest", "cc_charge", "rest", "cc_charge", "rest"]
    assert steps["protocol_step"] == ["0", "2[0].0.0", "2[0].0.1", "2[1].0.0", "2[1].0.1"]
    assert steps["end_reason"] == ["time"] * 5
    assert steps["cycle_count"] == [0, 1, 1, 1, 1]
    expected = session.cell.current("C/20") * 600 / 3600
    assert steps["step_charging_capacity_ah"][1] == pytest.approx(expected, rel=1e-3)
    assert steps["step_discharging_capacity_ah"] == [0.0] * 5
    pulse_rows = [t for t, n in zip(rows["step_time_second"], rows["step_count"], strict=True) if n == 2]
    assert len([t for t in pulse_rows if t <= 10.001]) == 51  # 0.1 s, then every 0.2 s
    assert pulse_rows[-1] == pytest.approx(600)
    assert set(rows["status"]) == {0}
    assert documents.stop["exit_status"] == "success"
    assert not circuit_closed(session)


def test_the_charge_in_the_rows_is_the_charge_in_the_cell(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    before = session.bench.cell_state()["charge_ah"]
    session.RE(run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    moved = session.bench.cell_state()["charge_ah"] - before
    assert documents.stream("steps")["step_charging_capacity_ah"] == [pytest.approx(moved, rel=1e-3)]


def test_the_same_seed_twice_gives_identical_rows(open_sim) -> None:
    seen = []
    for _ in range(2):
        session, documents = open_sim(seed=7), Documents()
        session.RE.subscribe(documents)
        session.RE(gitt(session.cycler, cell=session.cell, pulses=2, rest_second=300, direction="charge"))
        seen.append((documents.stream("timeseries"), documents.stream("steps")))
    assert seen[0] == seen[1]
    other, documents = open_sim(seed=8), Documents()
    other.RE.subscribe(documents)
    other.RE(gitt(other.cycler, cell=other.cell, pulses=2, rest_second=300, direction="charge"))
    assert documents.stream("timeseries")["voltage_volt"] != seen[0][0]["voltage_volt"]


def test_constant_voltage_ends_at_its_current_and_counts_its_charge(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    volt = session.cycler.measure_rest_voltage() + 0.03
    hold = ConstantVoltage(
        voltage_volt=round(volt, 4),
        direction="charge",
        until_current_below_ampere=20e-6,
        until_time_second=36_000,
        sampling=Sampling.staged((0.2, 10), (5, None)),
    )
    session.RE(run_protocol(session.cycler, Protocol(name="cv", items=(Mark(), hold)), cell=session.cell))
    rows, steps = documents.stream("timeseries"), documents.stream("steps")
    assert steps["end_reason"] == ["current_below"]
    assert rows["current_ampere"][0] > 5 * rows["current_ampere"][-1]
    assert rows["voltage_volt"][-1] == pytest.approx(round(volt, 4), abs=5e-4)
    moved = session.bench.cell_state()["charge_ah"]
    assert steps["step_charging_capacity_ah"][0] == pytest.approx(moved, rel=0.02)


def test_a_rest_ends_early_when_the_voltage_has_become_quiet(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    quiet = OpenCircuit(until_time_second=36_000, until_drift_volt_per_hour=1e-3, sampling=Sampling.every(10))
    protocol = Protocol(name="drift", items=(Gapless(techniques=(pulse(600), quiet)),))
    session.RE(run_protocol(session.cycler, protocol, cell=session.cell))
    steps = documents.stream("steps")
    assert steps["end_reason"] == ["time", "drift"]
    length = steps["end_test_time_second"][1] - steps["start_test_time_second"][1]
    assert 600 <= length < 36_000
    assert length % 600 == pytest.approx(0, abs=1e-6)  # whole windows of 10 min


def test_programs_follow_one_another_on_one_time_axis(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    protocol = Protocol(name="three", items=(rest(5), pulse(5), rest(5)))
    session.RE(run_protocol(session.cycler, protocol, cell=session.cell))
    steps = documents.stream("steps")
    begins, ends = steps["start_test_time_second"][1:], steps["end_test_time_second"][:2]
    gaps = [begin - end for begin, end in zip(begins, ends, strict=True)]
    assert gaps == [pytest.approx(1.0, abs=1e-6)] * 2  # the bench's pause between programs
    assert steps["start_test_time_second"][0] == 0.0


def test_pause_opens_the_circuit_and_resume_finishes_the_step_with_its_whole_charge(
    open_sim, documents: Documents
) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    thread, outcome = run_until_closed(session, run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    assert seconds_until_open(session, session.RE.request_pause) < OPEN_WITHIN_SECOND
    thread.join(20)
    assert isinstance(outcome[0], RunEngineInterrupted)
    paused_at = session.bench.cell_state()["charge_ah"]
    assert 0 < paused_at < MICROAMPERE * 600 / 3600
    assert session.bench.cell_state()["charge_ah"] == paused_at  # nothing flows while paused
    session.bench.set_speed("max")
    session.RE.resume()
    steps = documents.stream("steps")
    assert steps["end_reason"] == ["paused", "time"]
    assert steps["protocol_step"] == ["0", "0"]
    assert steps["step_count"] == [1, 2]
    assert sum(steps["step_charging_capacity_ah"]) == pytest.approx(MICROAMPERE * 600 / 3600, rel=1e-3)
    assert session.bench.cell_state()["charge_ah"] == pytest.approx(MICROAMPERE * 600 / 3600, rel=1e-3)
    assert_unique_and_ordered(documents)
    assert documents.stop["exit_status"] == "success"


def test_a_paused_pulse_and_rest_is_flagged_rested_after_and_not_repeated(
    open_sim, documents: Documents
) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    thread, _ = run_until_closed(session, run_protocol(session.cycler, PULSE_AND_REST, cell=session.cell))
    assert seconds_until_open(session, session.RE.request_pause) < OPEN_WITHIN_SECOND
    thread.join(20)
    session.bench.set_speed("max")
    session.RE.resume()
    steps = documents.stream("steps")
    assert steps["protocol_step"] == ["0.0", "0.rest", "1.0", "1.1"]
    assert steps["end_reason"][0] == "paused"
    assert steps["end_reason"][1] in ("drift", "time")
    assert steps["end_reason"][2:] == ["time", "time"]
    assert_unique_and_ordered(documents)


@pytest.mark.parametrize(
    ("protocol", "programs", "kickoffs", "steps"),
    [(LONG_PULSE, 2, 0, ["0", "0"]), (PULSE_AND_REST, 3, 2, ["0.0", "0.rest", "1.0", "1.1"])],
    ids=["what is left of a pulse", "a rest and the next pulse"],
)
def test_what_was_sent_before_a_pause_is_not_sent_again_after_it(
    open_sim, documents: Documents, protocol: Protocol, programs: int, kickoffs: int, steps: list[str]
) -> None:
    """The RunEngine would replay all messages since the last checkpoint, `kickoff` among them."""
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    sent: list[str] = []
    session.RE.msg_hook = lambda message: sent.append(message.command)
    thread, _ = run_until_closed(session, run_protocol(session.cycler, protocol, cell=session.cell))
    session.RE.request_pause()
    thread.join(20)
    before = len(sent)
    session.bench.set_speed("max")
    session.RE.resume()
    record = session.bench.record()
    starts = [entry for entry in record if entry["kind"] == "program" and entry["state"] == "start"]
    assert len(starts) == programs, "the instrument has been started so many times in all"
    closed = [entry["closed"] for entry in record if entry["kind"] == "circuit"]
    assert closed == [True, False, True, False], "current flowed before the pause and after it, and no more"
    assert sent[before:].count("kickoff") == kickoffs
    assert_unique_and_ordered(documents)
    assert documents.stream("steps")["protocol_step"] == steps


@pytest.mark.parametrize(("way", "exit_status"), [("abort", "abort"), ("stop", "abort"), ("halt", "abort")])
def test_ending_a_run_in_mid_pulse_opens_the_circuit_and_keeps_the_rows(
    open_sim, documents: Documents, way: str, exit_status: str
) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    thread, outcome = run_until_closed(session, run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    wait_until(lambda: bool(documents.stream("timeseries")["seq_num"]))  # `halt` drops what was not collected
    assert seconds_until_open(session, getattr(session.RE, way)) < OPEN_WITHIN_SECOND
    thread.join(20)
    assert outcome
    assert documents.stop["exit_status"] == exit_status
    rows = documents.stream("timeseries")
    assert rows["current_ampere"][-1] == pytest.approx(MICROAMPERE, rel=0.05)
    assert_unique_and_ordered(documents)
    if way != "halt":  # halt runs no clean-up of the plan, so it writes no row of steps
        steps = documents.stream("steps")
        assert steps["end_reason"] == ["stopped"]
        moved = session.bench.cell_state()["charge_ah"]
        assert steps["step_charging_capacity_ah"][0] == pytest.approx(moved, rel=1e-3)
    circuit = [entry["closed"] for entry in session.bench.record() if entry["kind"] == "circuit"]
    assert circuit == [True, False]


@pytest.mark.parametrize("way", ["abort", "stop", "halt"])
def test_ending_a_paused_run_leaves_the_circuit_open(open_sim, documents: Documents, way: str) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    thread, _ = run_until_closed(session, run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    wait_until(lambda: bool(documents.stream("timeseries")["seq_num"]))
    session.RE.request_pause()
    thread.join(20)
    getattr(session.RE, way)()
    assert not circuit_closed(session)
    assert documents.stop["run_start"] == documents.of("start")[-1]["uid"]
    assert_unique_and_ordered(documents)


def test_an_exception_in_the_plan_opens_the_circuit(open_sim, documents: Documents) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)

    measurement = iter(run_protocol(session.cycler, LONG_PULSE, cell=session.cell))

    def raising() -> Any:
        """Passes messages through and raises into the plan itself after the third collection."""
        answer, collected, thrown = None, 0, False
        message = next(measurement)
        while True:
            answer = yield message
            collected += message.command == "collect"
            if collected == 3 and not thrown:
                thrown = True
                message = measurement.throw(ValueError("a mistake in the plan"))
            else:
                message = measurement.send(answer)

    with pytest.raises(ValueError, match="a mistake in the plan"):
        session.RE(raising())
    assert not circuit_closed(session)
    assert documents.stop["exit_status"] == "fail"
    assert documents.stop["reason"] == "a mistake in the plan"
    assert documents.stream("steps")["end_reason"] == ["stopped"]


def test_a_limit_passed_between_sparse_samples_trips_on_the_instrument(
    open_sim, documents: Documents
) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    limit = round(session.cycler.measure_rest_voltage() + 0.05, 3)
    session.cycler.limits = session.cycler.limits.model_copy(update={"voltage_max_volt": limit})
    sparse = ConstantCurrent(current_ampere=2e-3, until_time_second=3600, sampling=Sampling.every(60))
    with pytest.raises(FailedStatus) as caught:
        session.RE(run_protocol(session.cycler, Protocol(name="trip", items=(sparse,)), cell=session.cell))
    assert "voltage_max" in str(caught.value.__cause__)
    assert documents.stop["exit_status"] == "fail"
    assert "passed the limit voltage_max" in documents.stop["reason"]
    assert documents.stream("steps")["end_reason"] == ["trip voltage_max"]
    rows = documents.stream("timeseries")
    assert rows["voltage_volt"][-1] > limit
    assert not circuit_closed(session)


def test_an_instrument_error_ends_the_run_in_its_own_words_with_the_cell_off(
    open_sim, documents: Documents
) -> None:
    session = open_sim(speed=PACE)
    session.RE.subscribe(documents)
    thread, outcome = run_until_closed(session, run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    session.bench.inject("cycler", "error", code=0x32)
    thread.join(20)
    assert isinstance(outcome[0], FailedStatus)
    assert "critical cell overload" in documents.stop["reason"]
    assert not circuit_closed(session)


def test_a_step_that_ends_at_the_very_limit_of_the_cell_is_no_trip(open_sim, documents: Documents) -> None:
    session = open_sim()
    session.RE.subscribe(documents)
    limit = round(session.cycler.measure_rest_voltage() + 0.05, 3)
    session.cycler.limits = session.cycler.limits.model_copy(update={"voltage_max_volt": limit})
    step = pulse(36_000, until_voltage_above_volt=limit)
    session.RE(run_protocol(session.cycler, Protocol(name="limit", items=(step,)), cell=session.cell))
    assert documents.stream("steps")["end_reason"] == ["voltage_above"]
    assert documents.stop["exit_status"] == "success"


# ---- what no journal can keep
def test_metadata_too_large_for_a_journal_are_refused_before_anything_moves(idle: Session) -> None:
    protocol = Protocol(name="rest", items=(OpenCircuit(until_time_second=10, sampling=EVERY_SECOND),))
    with pytest.raises(
        ProtocolError, match=r"start document: it has 39 MB, .*its largest part, log, has 39 MB"
    ):
        run_protocol(idle.cycler, protocol, cell=idle.cell, metadata={"log": "x" * 39_000_000})
    with pytest.raises(ProtocolError, match="start document: when: "):
        run_protocol(idle.cycler, protocol, cell=idle.cell, metadata={"when": object()})


def test_a_start_document_that_only_the_run_engine_makes_too_large_begins_no_run(open_sim) -> None:
    session = open_sim()
    protocol = Protocol(name="rest", items=(OpenCircuit(until_time_second=10, sampling=EVERY_SECOND),))
    measurement = run_protocol(session.cycler, protocol, cell=session.cell)
    with pytest.raises(JournalError, match="start document: it has 39 MB"):
        session.RE(measurement, log="x" * 39_000_000)
    assert not (session.data_directory / "runs").exists()
    assert not [entry for entry in session.bench.record() if entry["kind"] == "program"]
    session.RE(measurement)
    assert list_runs(session.data_directory)[0].status == "finished"


def test_an_abort_as_the_run_begins_is_no_failure(open_sim: Any, documents: Documents) -> None:
    """Between the start document and the streams: those that were not declared are not collected."""
    session = open_sim(speed=PACE)

    def abort_at_once(name: str, doc: dict[str, Any]) -> None:
        aborting = in_background(lambda: session.RE.abort("as it begins"))
        aborting.join(0.3)  # it waits for the RunEngine, which waits here

    session.RE.subscribe(documents)
    session.RE.subscribe(abort_at_once, "start")
    with pytest.raises(RunEngineInterrupted):
        session.RE(run_protocol(session.cycler, LONG_PULSE, cell=session.cell))
    assert (documents.stop["exit_status"], documents.stop["reason"]) == ("abort", "as it begins")
    assert not {"timeseries", "impedance"} & {found["name"] for found in documents.of("descriptor")}
    assert not circuit_closed(session)
