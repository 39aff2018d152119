"""The one executor: turns a protocol into messages, rows of `steps`, and an open circuit at the end."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator, RequestAbort, RequestStop
from ophyd import Component, Device

from devices.columns import STEPS, Column
from devices.protocols import Cycler
from devices.techniques import OpenCircuit, Program, Sampling, StepResult
from labctl.cell import Cell
from plans.drain import collect, drain, settle
from plans.protocol import DryRun, Protocol, Stop, dry_run, walk

REST_AFTER_INTERRUPTION = OpenCircuit(
    until_time_second=4 * 3600.0,
    until_drift_volt_per_hour=1e-3,
    sampling=Sampling.staged((1, 60), (60, None)),
)


class StepRow(Device):
    """One row of the `steps` stream; its signals carry the column names as they are."""

    locals().update({spec.name: Component(Column, spec=spec, kind="normal") for spec in STEPS})

    def __init__(self, *, name: str = "steps") -> None:
        super().__init__("", name=name)
        for spec in STEPS:
            getattr(self, spec.name).name = spec.name

    def fill(self, result: StepResult, protocol_step: str, cycle_count: int) -> None:
        """Take over one result."""
        row = {
            "protocol_step": protocol_step,
            "cycle_count": cycle_count,
            "step_charging_capacity_ah": result.charging_capacity_ah,
            "step_discharging_capacity_ah": result.discharging_capacity_ah,
        }
        for spec in STEPS:
            value = row[spec.name] if spec.name in row else getattr(result, spec.name)
            getattr(self, spec.name).put(value)


class Measurement:
    """A protocol bound to a cycler and a cell, checked and ready: give it to the RunEngine.

    `estimate` tells what it will take; nothing has moved yet. `RE(measurement)` runs it, and
    `yield from measurement` makes it part of another plan; both give the uid of the run.
    """

    def __init__(self, cycler: Cycler, protocol: Protocol, estimate: DryRun, start: dict[str, Any]) -> None:
        self.protocol = protocol
        self.estimate = estimate
        self._cycler = cycler
        self._start = start

    def __iter__(self) -> Generator[Msg, Any, str]:
        """The messages of one run."""
        execution = _Execution(self._cycler, self.protocol)
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
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Check `protocol` against cell and instrument, and bind it to `cycler`.

    Every way out of the run ends with an open circuit and all rows collected. When the instrument fails or
    trips, the RunEngine raises FailedStatus; the instrument's own words are its cause and the stop reason.

    Args:
        cycler: any device of the `Cycler` protocol.
        protocol: what to measure.
        cell: the cell record; its limits hold, and it goes into the start document.
        metadata: further keys of the start document.

    Raises:
        ProtocolError: a step is outside the limits; nothing has moved.
    """
    estimate = dry_run(protocol, cell, check=cycler.check)
    described = cycler.metadata()
    start = {
        "plan_name": protocol.name,
        "protocol": protocol.model_dump(mode="json"),
        "cell": cell.model_dump(mode="json"),
        "devices": {"cycler": described},
        "limits": described["limits"],
        "estimate": estimate.as_estimate(),
        **(metadata or {}),
    }
    return Measurement(cycler, protocol, estimate, start)


class _Execution:
    """State of one run of the executor: how many steps there were, and what is still to be written."""

    def __init__(self, cycler: Cycler, protocol: Protocol) -> None:
        self._cycler = cycler
        self._protocol = protocol
        self._row = StepRow()
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
        yield from drain(self._flyers)
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
            self._row.fill(result, path, self._stop.cycle_count)
            yield from bps.create(name="steps")
            yield from bps.read(self._row)  # type: ignore[arg-type]
            yield from bps.save()

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
