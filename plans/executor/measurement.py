"""The executor: a protocol, checked and bound to a cycler, ready for the RunEngine."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

from bluesky import Msg
from bluesky import preprocessors as bpp

from devices.core.protocols import Cycler, Environment
from labctl.errors import JournalError, ProtocolError
from labctl.journal.format import encode
from labctl.records.cell import Cell
from plans.executor import environment_steps
from plans.executor.already_done import NOTHING_DONE, Resumption
from plans.executor.dry_run import dry_run, visits
from plans.executor.estimate import DryRun, describe
from plans.executor.run import Execution
from plans.protocol.protocol import Protocol


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
        resumption: Resumption = NOTHING_DONE,
    ) -> None:
        self.protocol, self.resumption = protocol, resumption
        self.estimate = estimate
        self.metadata = start
        self._cycler, self._environment = cycler, environment

    def __iter__(self) -> Generator[Msg, Any, str]:
        """The messages of one run."""
        execution = Execution(
            self._cycler,
            self.protocol,
            self._environment,
            self.resumption,
            estimated_steps=self.estimate.steps,
        )
        return bpp.contingency_wrapper(
            execution.measure(self.metadata), except_plan=execution.note_failure, final_plan=execution.finish
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of it before it begins, a sentence each."""
        return tuple(self.metadata.get("remarks", ()))

    def describe(self) -> str:
        """What it will take: steps, duration, points, charge, energy, currents, temperatures, pressures."""
        return describe(self.estimate)

    def with_metadata(self, **keys: Any) -> Measurement:
        """The same measurement with further keys in its start document.

        Raises:
            ProtocolError: they are more than a journal takes.
        """
        start = {**self.metadata, **keys}
        _refuse_what_no_journal_takes(start)
        return Measurement(
            self._cycler, self.protocol, self.estimate, start, self._environment, self.resumption
        )

    def __repr__(self) -> str:
        hours = self.estimate.duration_second / 3600.0
        return (
            f"<{self.protocol.name}: {self.estimate.steps} steps, about {hours:.1f} h of cell time, "
            f"{self.estimate.points} points, {self.estimate.moved_charge_ah * 1e3:.3f} mAh moved, "
            f"at most {self.estimate.largest_current_ampere * 1e3:.3g} mA>"
        )


def run_protocol(
    cycler: Cycler,
    protocol: Protocol,
    *,
    cell: Cell,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
    resumption: Resumption = NOTHING_DONE,
) -> Measurement:
    """Check `protocol` against cell, instrument and station, and bind it to `cycler`.

    Every way out of the run ends with an open circuit and all rows collected. When the instrument fails or
    trips, the RunEngine raises FailedStatus; the instrument's own words are its cause and the stop reason.
    Temperature and stack pressure stay as they are then; a ramp that was under way is held.

    Args:
        cycler: any device of the `Cycler` protocol.
        protocol: what to measure.
        cell: the cell record; its limits hold, and it goes into the start document.
        environment: temperature and stack pressure: recorded, and set where the protocol says so.
        metadata: further keys of the start document.
        resumption: what an interrupted run has done of the same protocol already.

    Raises:
        ProtocolError: a step is outside the limits, or protocol and metadata are more than a journal takes;
            nothing has moved.
    """
    remark = protocol.remark_on(cell)
    protocol = protocol.resolved(cell)
    check_environment = None
    if environment is None:
        _refuse_environment_steps(protocol, cell)
    else:
        check_environment = partial(environment_steps.check, environment)
    estimate = dry_run(protocol, cell, check=cycler.check, check_environment=check_environment)
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
        **({"remarks": [remark]} if remark else {}),
        **resumption.metadata,
        **(metadata or {}),
    }
    _refuse_what_no_journal_takes(start)
    return Measurement(cycler, protocol, estimate, start, environment, resumption)


def _refuse_what_no_journal_takes(start: dict[str, Any]) -> None:
    """The journal would refuse it as well, but with the circuit in use already."""
    try:
        encode("start", start)
    except JournalError as error:
        raise ProtocolError(str(error)) from error


def _refuse_environment_steps(protocol: Protocol, cell: Cell) -> None:
    for visit in visits(protocol, cell):
        if visit.environment is not None:
            raise ProtocolError(
                f"step {visit.path}: {visit.environment.kind}: the station has no heated pressure cell "
                "(a device with the role environment)"
            )
