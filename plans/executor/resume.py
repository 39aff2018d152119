"""Going on with an interrupted run: from its journal to what is left of its protocol.

What is over and what is left is in `plans.executor.history`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from devices.core.protocols import Cycler, Environment
from devices.core.techniques import StepResult
from labctl.documents import RunTables
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.executor.already_done import Resumption
from plans.executor.history import Found, History, left_of
from plans.executor.measurement import Measurement, run_protocol
from plans.protocol.protocol import EnvironmentStep, Protocol
from plans.protocol.walk import ProtocolWalk, next_visit


def resume(
    cycler: Cycler,
    *,
    ancestry: Sequence[RunTables],
    cell: Cell,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """What is left of an interrupted run, as a measurement of its own.

    Before anything else it brings die and press where the protocol had them, measures the open-circuit
    voltage for 10 s, and refuses to go on if that is outside the cell's window.

    Args:
        cycler: the potentiostat.
        ancestry: the runs of this protocol so far, the first one first, the interrupted one last.
        cell: the cell record.
        environment: temperature and stack pressure.
        metadata: further keys of the start document.

    Raises:
        ConfigurationError: the run cannot be resumed: no protocol, another cell, or nothing is left.
        ProtocolError: a step is outside the limits of station, cell or instrument; nothing has moved.
    """
    start = ancestry[-1].start
    protocol = _protocol_of(start)
    _require_same_cell(start, cell)
    found = Found(cycler.found_clock_second, cycler.found_running)
    resumption = _resumption(protocol, History.of(ancestry, found), cell)
    given = {key: start[key] for key in _CARRIED_OVER if key in start}
    return run_protocol(
        cycler,
        protocol,
        cell=cell,
        environment=environment,
        metadata={**given, **_found_metadata(found), **(metadata or {})},
        resumption=resumption,
    )


def _found_metadata(found: Found) -> dict[str, Any]:
    """For whoever resumes this run, should it be cut off before it has written what it found."""
    return {"found_clock_second": found.clock_second, "found_running": found.running}


_CARRIED_OVER = ("plan_parameters", "tags", "operator", "note")


def _protocol_of(start: Mapping[str, Any]) -> Protocol:
    try:
        return Protocol.model_validate(start["protocol"])
    except (KeyError, ValidationError) as error:
        raise ConfigurationError(
            f"run {start.get('uid')}",
            "protocol",
            None,
            f"it carries no protocol that can be resumed ({error})",
        ) from None


def _require_same_cell(start: Mapping[str, Any], cell: Cell) -> None:
    was = start.get("cell", {}).get("id")
    if was != cell.id:
        raise ConfigurationError(f"run {start.get('uid')}", "cell", cell.id, f"the run measured cell {was}")


def _resumption(protocol: Protocol, history: History, cell: Cell) -> Resumption:
    done: dict[str, Sequence[StepResult]] = {}
    set_last: dict[str, EnvironmentStep] = {}
    progress = ProtocolWalk(protocol).walk()
    visit = next(progress, None)
    while visit is not None and (results := history.finished(visit)) is not None:
        done[visit.path] = results
        if visit.environment is not None:
            set_last[visit.environment.kind] = visit.environment
        visit = next_visit(progress, results)
    start = history.last.start
    if visit is None:
        raise ConfigurationError(f"run {start.get('uid')}", "resume", None, "nothing of its protocol is left")
    partial, unwritten = history.begun(visit)
    return Resumption(
        at=visit.path,
        metadata={
            "parent_uid": start["uid"],
            "campaign_uid": start.get("campaign_uid") or history.first.start["uid"],
            "parent_elapsed_s": history.elapsed_second,
        },
        done=done,
        environment=tuple(set_last.values()),
        partial=partial,
        left=left_of(visit, partial),
        unwritten=unwritten,
        limits=cell.limits,
        last_voltage_volt=history.last_voltage_volt,
    )
