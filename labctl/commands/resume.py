"""`labctl resume`: go on with an interrupted run, in a run of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.commands.chosen import chosen_data, chosen_station, write
from labctl.commands.detach import require_detachable, run_detached
from labctl.commands.interrupt import EndRequest
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.journal.reader import follow
from labctl.records.cell import Cell
from labctl.records.loader import validate_record
from labctl.records.station import Station
from labctl.runs.listing import find_run, list_runs
from labctl.runs.recovery import recover
from labctl.runs.summary import RunSummary
from labctl.session import Session, open_session

_MOST_GENERATIONS = 10_000


def resume_run(
    uid: str,
    station_file: Path | None,
    data: Path | None,
    request: EndRequest,
    *,
    dry_run: bool,
    auto: bool,
    detach: bool = False,
) -> int:
    """Resume a run on its station; the exit code.

    Args:
        uid: the run: a uid or its beginning, "last", "last-1".
        station_file: the station that measured it.
        data: the data directory.
        request: once it was made nothing begins, and what goes on is ended in order.
        dry_run: only check, and tell what is left.
        auto: for a start script: does nothing unless the station's last run was interrupted, and is refused
            unless the station says `auto_resume: true`.
        detach: check it here and run it in a process of its own.
    """
    from labctl.commands.run import run_measurement

    if detach:
        require_detachable("labctl resume", dry_run=dry_run)
    station = chosen_station(station_file)
    directory = chosen_data(data, station)
    if auto:
        found = interrupted_run(station, directory)
        if found is None:
            write(f"station {station.name}: its last run was not interrupted")
            return 0
        uid = found.uid
    ancestry = ancestry_of(uid, directory, close=not (dry_run or detach))
    _require_station(ancestry[-1], station)
    where = f"run {ancestry[-1].start['uid']}, start document, cell"
    cell = validate_record(ancestry[-1].start.get("cell") or {}, Cell, where=where)
    with open_session(
        station, cell, directory, connect=not (dry_run or detach), still_wanted=request.require_none
    ) as session:
        measurement = resume_measurement(session, ancestry)
        if other := _other_instrument(ancestry[-1], measurement.metadata):
            write(other)
        if dry_run:
            write(measurement.resumption.describe())
            return 0
        if not detach:
            return run_measurement(session, measurement, request)
    where = ["--station", str(station_file.resolve())] if station_file is not None else []
    arguments = ["resume", str(ancestry[-1].start["uid"]), *where]
    return run_detached(arguments, directory, station_file, request)


def interrupted_run(station: Station, directory: Path) -> RunSummary | None:
    """The station's newest run if it was cut off (not if somebody ended it).

    Raises:
        ConfigurationError: the station does not allow it, or the run cannot be read.
    """
    if not station.auto_resume:
        raise ConfigurationError(
            str(station.path or station.name), "auto_resume", False, "must be true for --auto"
        )
    newest = next((run for run in list_runs(directory) if run.station == station.name), None)
    if newest is not None and newest.status == "unreadable":
        raise ConfigurationError("labctl resume --auto", "run", newest.uid, newest.reason)
    return newest if newest is not None and newest.status == "interrupted" else None


def resume_measurement(session: Session, ancestry: list[RunTables]) -> Any:
    """What is left of a run, for the session's RunEngine."""
    from labctl.plugins import load_executor

    return load_executor("resume")(
        session.cycler,
        ancestry=ancestry,
        cell=session.cell,
        environment=session.environment,
    )


def ancestry_of(uid: str, directory: Path, *, close: bool = True) -> list[RunTables]:
    """The run and those it goes on from, the first one first; a run whose writer died is closed if asked for.

    Raises:
        ConfigurationError: the run goes on, has finished, or one of its ancestors is not there.
    """
    summary = find_run(directory, uid)
    if summary.has_writer:
        still = (
            "still running" if summary.status == "running" else "paused, not ended: RE.resume() continues it"
        )
        raise ConfigurationError("labctl resume", "run", summary.uid, f"it is {still}")
    if summary.status == "interrupted" and close:
        recover(directory)
    ancestry = [_tables_of(summary)]
    if summary.status == "finished" and not _may_have_been_stopped(ancestry[0]):
        raise ConfigurationError("labctl resume", "run", summary.uid, "it has finished: nothing is left")
    while (parent := ancestry[0].start.get("parent_uid")) and len(ancestry) < _MOST_GENERATIONS:
        ancestry.insert(0, _tables_of(find_run(directory, str(parent))))
    return ancestry


def _may_have_been_stopped(run: RunTables) -> bool:
    """Whether a run counts as finished only because nothing is known: the executor looks what is left."""
    return "protocol" in run.start and (run.stop or {}).get("protocol_completed") is not True


def _tables_of(summary: RunSummary) -> RunTables:
    return tables(follow(summary.directory, live=False))


def _require_station(run: RunTables, station: Station) -> None:
    was = run.start.get("station", {})
    name = was.get("name") if isinstance(was, dict) else was
    if name != station.name:
        raise ConfigurationError("labctl resume", "--station", station.name, f"the run was of station {name}")
    if isinstance(was, dict) and was.get("private_bench"):
        uid = run.start["uid"]
        raise ConfigurationError(
            "labctl resume", "run", uid, "its cell was on a private bench that has ended"
        )


def _other_instrument(run: RunTables, now: Mapping[str, Any]) -> str:
    """A line that says so if another instrument than that of the run would go on; "" if none is known."""

    def identity(start: Mapping[str, Any]) -> list[str]:
        cycler = (start.get("devices") or {}).get("cycler") or {}
        return [str(cycler[key]) for key in ("maker", "model", "serial") if cycler.get(key)]

    before, here = identity(run.start), identity(now)
    if not before or not here or before == here:
        return ""
    return f"note: the run was measured with {' '.join(before)}; {' '.join(here)} would continue it"
