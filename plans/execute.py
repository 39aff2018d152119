"""The one executor: turns a protocol into messages, rows of `steps`, and an open circuit at the end."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator, RequestAbort, RequestStop

from devices.columns import ENVIRONMENT, STEPS
from devices.protocols import Cycler, Environment
from devices.rows import RowDevice, row_device
from devices.techniques import OpenCircuit, Program, Sampling, StepResult
from labctl.cell import Cell
from plans.drain import collect, drain, settle
from plans.protocol import DryRun, Protocol, Stop, dry_run, walk

ENVIRONMENT_PERIOD_SECOND = 10.0  # of test time; looked at each time the streams are drained
REST_AFTER_INTERRUPTION = OpenCircuit(
    until_time_second=4 * 3600.0,
    until_drift_volt_per_hour=1e-3,
    sampling=Sampling.staged((1, 60), (60, None)),
)


def _step_row(result: StepResult, protocol_step: str, cycle_count: int) -> dict[str, Any]:
    row = result.model_dump()
    row["protocol_step"], row["cycle_count"] = protocol_step, cycle_count
    row["step_charging_capacity_ah"] = result.charging_capacity_ah
    row["step_discharging_capacity_ah"] = result.discharging_capacity_ah
    return row


class Measurement:
    """A protocol bound to a cycler and a cell, checked and ready: give it to the RunEngine.

    `estimate` tells what it will take; nothing has moved yet. `RE(measurement)` runs it, and
    `yield from measurement` makes it part of another plan; both give the uid of the run.
    """

    def __init__(
        self,
        cycler: Cycler,
        protocol: Protocol,
        estimate: DryRun,
        start: dict[str, Any],
        environment: Environment | None,
    ) -> None:
        self._environment = environment
        self.protocol = protocol
        self.estimate = estimate
        self._cycler = cycler
        self._start = start

    def __iter__(self) -> Generator[Msg, Any, str]:
        """The messages of one run."""
        execution = _Execution(self._cycler, self.protocol, self._environment)
        return bpp.contingency_wrapper(
            execution.measure(self._start), except_plan=execution.note_failure, final_plan=execution.finish
        )

    def __repr__(self) -> str:
        hours = self.estimate.duration_second / 3600.0
        return (
            f"<{self.protocol.name}: {self.estimate.steps} steps, at most {hours:.1f} h of cell time, "
            f"{self.estimate.points} points, {self.estimate.moved_charge_ah * 1e3:.3f} mAh moved>"
        )


def run_protocol(
    cycler: Cycler,
    protocol: Protocol,
    *,
    cell: Cell,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Check `protocol` against cell and instrument, and bind it to `cycler`.

    Every way out of the run ends with an open circuit and all rows collected. When the instrument fails or
    trips, the RunEngine raises FailedStatus; the instrument's own words are its cause and the stop reason.

    Args:
        cycler: any device of the `Cycler` protocol.
        protocol: what to measure.
        cell: the cell record; its limits hold, and it goes into the start document.
        environment: temperature and stack pressure, recorded every ENVIRONMENT_PERIOD_SECOND.
        metadata: further keys of the start document.

    Raises:
        ProtocolError: a step is outside the limits; nothing has moved.
    """
    estimate = dry_run(protocol, cell, check=cycler.check)
    described = cycler.metadata()
    devices = {"cycler": described}
    if environment is not None:
        devices["environment"] = environment.metadata()
    start = {
        "plan_name": protocol.name,
        "protocol": protocol.model_dump(mode="json"),
        "cell": cell.model_dump(mode="json"),
        "devices": devices,
        "limits": described["limits"],
        "estimate": estimate.as_estimate(),
        **(metadata or {}),
    }
    return Measurement(cycler, protocol, estimate, start, environment)


def _write(row: RowDevice) -> MsgGenerator[None]:
    yield from bps.create(name=row.name)
    yield from bps.read(row)  # type: ignore[arg-type]
    yield from bps.save()


class _Execution:
    """State of one run of the executor: how many steps there were, and what is still to be written."""

    def __init__(self, cycler: Cycler, protocol: Protocol, environment: Environment | None) -> None:
        self._cycler = cycler
        self._protocol = protocol
        self._step_row = row_device("steps", STEPS)
        self._environment = environment
        self._environment_row = row_device("environment", ENVIRONMENT)
        self._environment_due_second = 0.0
        self._flyers = {"timeseries": cycler.dc, "impedance": cycler.eis}
        self._next_step_count = 1
        self._next_spectrum_count = 1
        self._stop: Stop | None = None
        self._rows_written = 0
        self._run_open = False
        self._completed = False
        self._failure: str | None = None
        self._uid = ""

    def measure(self, start: dict[str, Any]) -> MsgGenerator[str]:
        self._cycler.start_run()
        yield Msg("rewindable", None, False)
        self._uid = yield from bps.open_run(start)
        self._run_open = True
        for stream, flyer in self._flyers.items():
            yield from bps.declare_stream(flyer, name=stream, collect=True)  # type: ignore[arg-type]
        yield from bps.stage(self._cycler)  # type: ignore[arg-type]
        progress = walk(self._protocol)
        stop = next(progress, None)
        while stop is not None:
            yield from bps.checkpoint()  # only here, with the circuit open
            reasons = yield from self._run_stop(stop)
            try:
                stop = progress.send(reasons)
            except StopIteration:
                stop = None
        self._completed = True
        return self._uid

    def _run_stop(self, stop: Stop) -> MsgGenerator[list[str]]:
        """One program; a gapless one that was interrupted is followed by a rest to drift."""
        yield from self._run_program(stop)
        results = self._cycler.results
        if results and not results[-1].finished and len(stop.techniques) > 1:
            rest = Stop(f"{stop.path}.rest", (REST_AFTER_INTERRUPTION,), stop.cycle_count)
            yield from self._run_program(rest)
        return [result.end_reason for result in results]

    def _run_program(self, stop: Stop) -> MsgGenerator[None]:
        self._stop, self._rows_written = stop, 0
        program = Program(
            techniques=stop.techniques,
            first_step_count=self._next_step_count,
            first_spectrum_count=self._next_spectrum_count,
            cycle_count=stop.cycle_count,
        )
        yield from settle((yield from bps.prepare(self._cycler, program, wait=False)))  # type: ignore[arg-type]
        yield from settle((yield from bps.kickoff(self._cycler.dc, wait=False)))  # type: ignore[arg-type]
        yield from drain(self._flyers, self._record_environment)
        yield from self._write_rows()

    def _write_rows(self) -> MsgGenerator[None]:
        """Rows of `steps` for the results of the present program that have none yet."""
        if self._stop is None:
            return
        for result in self._cycler.results[self._rows_written :]:
            self._rows_written += 1
            self._next_step_count = result.step_count + 1
            self._next_spectrum_count += result.step_type in ("peis", "geis")
            path = self._stop.technique_path(result.technique_index)
            self._step_row.fill(_step_row(result, path, self._stop.cycle_count))
            yield from _write(self._step_row)

    def _record_environment(self) -> MsgGenerator[None]:
        """A row of `environment` when one is due."""
        now = self._cycler.test_time_second()
        if self._environment is None or now < self._environment_due_second:
            return
        self._environment_due_second = now + ENVIRONMENT_PERIOD_SECOND
        self._environment_row.fill({"test_time_second": now, **self._environment.environment()})
        yield from _write(self._environment_row)

    def note_failure(self, error: Exception) -> MsgGenerator[None]:
        if not isinstance(error, RequestAbort | RequestStop):
            cause = error.__cause__ if isinstance(error, FailedStatus) and error.__cause__ else error
            self._failure = str(cause) or type(cause).__name__
        yield from bps.null()

    def finish(self) -> MsgGenerator[None]:
        """Open the circuit first, then collect what has arrived, then unstage and close the run."""
        self._cycler.stop()
        if not self._run_open:
            return
        yield from collect(self._flyers)
        yield from self._write_rows()
        yield from bps.unstage(self._cycler)  # type: ignore[arg-type]
        self._run_open = False
        if self._completed:
            yield from bps.close_run()
        elif self._failure is not None:
            yield from bps.close_run(exit_status="fail", reason=self._failure)
        # aborted or stopped: the RunEngine closes the run and knows why
