"""One run of a protocol as messages for the RunEngine: programs, environment steps, rows, an orderly end."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.utils import FailedStatus, MsgGenerator, RequestAbort, RequestStop

from devices.core.columns import RowDevice, row_device
from devices.core.protocols import Cycler, Environment, StreamFlyer
from devices.core.techniques import OpenCircuit, Program, Sampling, StepResult
from labctl.journal.run_end import stopped_reason
from labctl.schema import (
    CYCLE_COUNT,
    ENVIRONMENT,
    IMPEDANCE,
    PROTOCOL_STEP,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEPS,
    TEST_TIME,
    TIMESERIES,
)
from plans.executor.already_done import NOTHING_DONE, Resumption, continues
from plans.executor.drain import collect, drain, settle
from plans.executor.environment_steps import ENVIRONMENT_PERIOD_SECOND, abandon, begin, settle_environment
from plans.protocol.protocol import Protocol
from plans.protocol.walk import ProtocolWalk, Visit, next_visit

REST_AFTER_INTERRUPTION = OpenCircuit(
    until_time_second=4 * 3600.0,
    until_drift_volt_per_hour=1e-3,
    sampling=Sampling.staged((1, 60), (60, None)),
)


class Execution:
    """State of one run: how many steps there were, and what is still to be written."""

    def __init__(
        self,
        cycler: Cycler,
        protocol: Protocol,
        environment: Environment | None,
        resumption: Resumption = NOTHING_DONE,
        *,
        estimated_steps: int,
    ) -> None:
        self._cycler, self._environment = cycler, environment
        self._estimated_steps = estimated_steps
        self._limits = protocol.limits
        self._course = ProtocolWalk(protocol)
        self._resumption = resumption
        self._step_row = row_device(STEPS)
        self._environment_row = row_device(ENVIRONMENT)
        self._environment_due_second = 0.0
        self._flyers = {TIMESERIES.name: cycler.dc, IMPEDANCE.name: cycler.eis}
        self._declared: dict[str, StreamFlyer] = {}
        self._next_step_count = 1
        self._next_spectrum_count = 1
        self._path, self._steps_passed = "", 0  # of the protocol's present visit; its steps before that
        self._visit: Visit | None = None
        self._rows_written = 0
        self._steps_over = 0  # of the present program, before its streams were last collected
        self._environment_moves: Any = None
        self._run_open = False
        self._completed = self._stopped = False
        self._failure: str | None = None
        self._uid = ""

    def measure(self, start: dict[str, Any]) -> MsgGenerator[str]:
        """The run, from its start document to the last step."""
        self._cycler.start_run()
        yield Msg("rewindable", None, False)
        start = {**start, "clock_second": self._cycler.clock_second()}  # of test time 0
        self._uid = yield from bps.open_run(start)
        self._run_open = True
        for stream, flyer in self._flyers.items():
            yield from bps.declare_stream(flyer, name=stream, collect=True)  # type: ignore[arg-type]
            self._declared[stream] = flyer
        yield from bps.stage(self._cycler)  # type: ignore[arg-type]
        yield from self._walk()
        self._completed = True
        return self._uid

    def _walk(self) -> MsgGenerator[None]:
        progress = self._course.walk()
        visit = next(progress, None)
        resumed = self._resumption is NOTHING_DONE
        while visit is not None:
            self._path = visit.path
            outcome = None if resumed else self._resumption.outcome(visit)
            if outcome is None:
                yield from bps.checkpoint()  # only here, with the circuit open
                outcome = yield from (self._perform(visit) if resumed else self._take_up(visit))
                resumed = True
            self._steps_passed += len(visit.techniques) or 1
            visit = next_visit(progress, outcome)

    def _perform(self, visit: Visit) -> MsgGenerator[list[StepResult]]:
        if visit.environment is not None:
            return [(yield from self._run_environment(visit))]
        yield from self._run_program(visit, visit.techniques)
        results = list(self._cycler.results)
        if results and not results[-1].finished and not continues(visit):
            yield from self._rest_after(visit)
        return results

    def _rest_after(self, visit: Visit) -> MsgGenerator[None]:
        rest = Visit(f"{visit.path}.rest", (REST_AFTER_INTERRUPTION,), visit.cycle_count)
        yield from self._run_program(rest, rest.techniques)

    # ---- programs
    def _run_program(self, visit: Visit, techniques: Sequence[Any]) -> MsgGenerator[None]:
        self._visit, self._rows_written, self._steps_over = visit, 0, 0
        program = Program(
            techniques=tuple(techniques),
            first_step_count=self._next_step_count,
            first_spectrum_count=self._next_spectrum_count,
            cycle_count=visit.cycle_count,
            limits=self._limits,
        )
        yield from settle((yield from bps.prepare(self._cycler, program, wait=False)))  # type: ignore[arg-type]
        yield from self._record_environment()
        yield from settle((yield from bps.kickoff(self._cycler.dc, wait=False)))  # type: ignore[arg-type]
        yield from drain(self._flyers, self._record_progress)
        yield from self._write_rows()

    def _record_progress(self) -> MsgGenerator[None]:
        """Between two collections: rows of steps whose samples have all been collected, environment."""
        yield from self._write_rows(self._steps_over)
        self._steps_over = len(self._cycler.results)
        yield from self._record_environment()

    def _write_rows(self, most: int | None = None) -> MsgGenerator[None]:
        """Rows of `steps` for the (first `most`) results of the present program that have none yet."""
        if self._visit is None or not self._visit.techniques:
            return
        for result in self._cycler.results[self._rows_written : most]:
            self._rows_written += 1
            self._next_step_count = result.step_count + 1
            self._next_spectrum_count += result.step_type in ("peis", "geis")
            path = self._visit.technique_path(result.technique_index)
            yield from self._write_step(result, path, self._visit.cycle_count)

    def _write_step(self, result: StepResult, path: str, cycle_count: int) -> MsgGenerator[None]:
        row = result.model_dump()
        row[PROTOCOL_STEP], row[CYCLE_COUNT] = path, cycle_count
        row[STEP_CHARGING_CAPACITY] = result.charging_capacity_ah
        row[STEP_DISCHARGING_CAPACITY] = result.discharging_capacity_ah
        self._step_row.fill(row)
        yield from _write(self._step_row)

    # ---- temperature and stack pressure
    def _run_environment(self, visit: Visit) -> MsgGenerator[StepResult]:
        """Bring temperature or pressure there; a pause lets the controller go on, the circuit is open."""
        if self._environment is None or visit.environment is None:
            raise RuntimeError(f"step {visit.path}: no environment")  # refused by run_protocol
        self._visit = visit
        yield from self._record_environment()
        began = self._cycler.test_time_second()
        self._environment_moves = begin(self._environment, visit.environment)
        yield from settle_environment(self._environment_moves, self._record_environment)
        self._environment_moves = None
        result = StepResult(
            technique_index=0,
            step_count=self._next_step_count,
            step_type="environment",
            start_test_time_second=began,
            end_test_time_second=self._cycler.test_time_second(),
            end_reason="complete",
            charging_capacity_ah=0.0,
            discharging_capacity_ah=0.0,
            end_voltage_volt=nan,
            end_current_ampere=0.0,
        )
        self._next_step_count += 1
        yield from self._write_step(result, visit.path, visit.cycle_count)
        return result

    def _record_environment(self) -> MsgGenerator[None]:
        """A row of `environment` when one is due."""
        if self._environment is None:
            return
        now = self._cycler.test_time_second()
        if now < self._environment_due_second:
            return
        self._environment_due_second = now + ENVIRONMENT_PERIOD_SECOND
        self._environment_row.fill({TEST_TIME: now, **self._environment.environment()})
        yield from _write(self._environment_row)

    # ---- going on with an interrupted run
    def _take_up(self, visit: Visit) -> MsgGenerator[list[StepResult]]:
        """Go on with `visit`, which was interrupted: die and press as before, a sound cell, what is left."""
        known = self._resumption
        for result in known.unwritten:  # first of all: nobody else knows it
            row = result.model_copy(update={STEP_COUNT: self._next_step_count})
            self._next_step_count += 1
            yield from self._write_step(row, visit.technique_path(result.technique_index), visit.cycle_count)
        for step in known.environment:
            yield from self._run_environment(Visit(f"{visit.path}.resume", (), visit.cycle_count, step))
        check = Visit(f"{visit.path}.resume", (known.check,), visit.cycle_count)
        yield from self._run_program(check, check.techniques)
        known.require_sound_cell(self._cycler.results)
        if remark := known.remark(self._cycler.results):
            self._course.notes.append(remark)
        if known.left is None:
            return (yield from self._perform(visit))
        if not known.left:
            if not continues(visit):
                yield from self._rest_after(visit)
            return list(known.partial)
        yield from self._run_program(visit, known.left)
        return [*known.partial, *self._cycler.results]

    # ---- ends
    def note_failure(self, error: Exception) -> MsgGenerator[None]:
        """Remember, in the instrument's own words, what ended the run."""
        self._stopped = isinstance(error, RequestStop)
        if not isinstance(error, RequestAbort | RequestStop):
            cause = error.__cause__ if isinstance(error, FailedStatus) and error.__cause__ else error
            self._failure = str(cause) or type(cause).__name__
        yield from bps.null()

    def finish(self) -> MsgGenerator[None]:
        """Open the circuit first, then collect what has arrived, then unstage and close the run."""
        self._cycler.stop()
        abandon(self._environment, self._environment_moves)
        if not self._run_open:
            return
        yield from collect(self._declared)  # fewer, where the run was ended as it began
        yield from self._write_rows()
        yield from bps.unstage(self._cycler)  # type: ignore[arg-type]
        self._run_open = False
        if self._completed:
            yield from bps.close_run(exit_status="success", reason="; ".join(self._course.notes))
        elif self._failure is not None:
            yield from bps.close_run(exit_status="fail", reason=self._failure)
        elif self._stopped:  # which the RunEngine would call a success
            reasons = [self._stopped_at(), *self._course.notes]
            yield from bps.close_run(exit_status="abort", reason="; ".join(reasons))
        # aborted: the RunEngine closes the run and knows why

    def _stopped_at(self) -> str:
        """At which step of the protocol it was stopped."""
        visit, within = self._visit, 0
        if visit is not None and visit.techniques and visit.path == self._path:
            over = sum(result.finished for result in self._cycler.results)
            within = min(over, len(visit.techniques) - 1)
        return stopped_reason(self._steps_passed + 1 + within, self._estimated_steps)


def _write(row: RowDevice) -> MsgGenerator[None]:
    yield from bps.create(name=row.name)
    yield from bps.read(row)  # type: ignore[arg-type]
    yield from bps.save()
