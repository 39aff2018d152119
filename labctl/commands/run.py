"""`labctl run`: a plan by name, its parameters from the command line, progress, orderly ends."""

from __future__ import annotations

import io
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from labctl.commands.chosen import chosen_cell, chosen_data, chosen_station, unrecorded_notes, write
from labctl.commands.detach import require_detachable, run_detached
from labctl.commands.interrupt import EndRequest
from labctl.errors import ConfigurationError
from labctl.plan_parameters import PlanParameter, parameters_of, refusal, unknown_parameter
from labctl.plugins import load_executor, load_plan
from labctl.runs.listing import summary_of
from labctl.session import Session, open_session

_YEAR_SECOND = 365.25 * 86_400.0
_LONGEST_SETTING = 80  # characters that are told of what was typed


def run_plan(
    plan_name: str,
    station_file: Path | None,
    cell_file: Path | None,
    settings: list[str],
    data: Path | None,
    request: EndRequest,
    *,
    dry_run: bool,
    fresh: bool,
    detach: bool = False,
    save_protocol: Path | None = None,
) -> int:
    """Run (or only check) a plan or a protocol file; the exit code. `save_protocol` writes what would run.

    `detach` checks it here and runs it in a process of its own. Once `request` was made nothing begins, and
    what goes on is ended in order.
    """
    if detach:
        require_detachable("labctl run", dry_run=dry_run)
    station = chosen_station(station_file)
    cell = chosen_cell(cell_file, station)
    if plan_name.endswith(".json"):
        plan, parameters = protocol_plan(Path(plan_name), settings), dict[str, Any]()
    else:
        plan = load_plan(plan_name)
        parameters = plan_parameters(plan, plan_name, settings)
    directory = chosen_data(data, station)
    if save_protocol is not None and not dry_run:
        raise ConfigurationError("labctl run", "--save-protocol", str(save_protocol), "needs --dry-run")
    with open_session(
        station,
        cell,
        directory,
        fresh_bench=fresh,
        connect=not (dry_run or detach),
        still_wanted=request.require_none,
    ) as session:
        measurement = bind_plan(plan, plan_name, session, parameters)
        if dry_run:
            write(f"{plan_name}: allowed on station {station.name} with cell {cell.id}; estimate:")
            write(measurement.describe())
            for remark in remarks_on(session, measurement):
                write(f"  {'remark':<12}{remark}")
            if save_protocol is not None:
                load_executor("save_protocol")(measurement.protocol, save_protocol)
                write(f"its protocol: {save_protocol}")
            return 0
        if not detach:
            return run_measurement(session, measurement, request)
    arguments = _in_full(plan_name, station_file, cell_file, settings, fresh=fresh)
    return run_detached(arguments, directory, station_file, request)


def _in_full(
    plan_name: str, station_file: Path | None, cell_file: Path | None, settings: list[str], *, fresh: bool
) -> list[str]:
    """The arguments of this `labctl run` for a process that works in another directory."""
    plan = str(Path(plan_name).resolve()) if plan_name.endswith(".json") else plan_name
    arguments = ["run", plan, *(["--fresh"] if fresh else [])]
    for option, path in (("--station", station_file), ("--cell", cell_file)):
        arguments += [option, str(path.resolve())] if path is not None else []
    return arguments + [word for setting in settings for word in ("--set", setting)]


def remarks_on(session: Session, measurement: Any) -> list[str]:
    """What a person should know of a run before it begins: of its currents, of the station, of its size."""
    return [
        *measurement.remarks,
        *unrecorded_notes(session.station),
        *remarks(measurement.estimate, session.data_directory),
    ]


def remarks(estimate: Any, directory: Path) -> list[str]:
    """What a person should know of a run that is allowed: that it takes years, or more disk than there is."""
    found = list[str]()
    if estimate.duration_second > _YEAR_SECOND:
        found.append(f"longer than a year: {estimate.duration_second / _YEAR_SECOND:.1f} years of cell time")
    there = next(each for each in (directory, *directory.parents) if each.exists())
    free_byte = shutil.disk_usage(there).free
    if estimate.disk_byte > free_byte:
        found.append(
            f"the disk of {directory} has {free_byte / 1e6:.0f} MB left, the journal needs "
            f"{estimate.disk_byte / 1e6:.0f} MB: a run that fills the disk is ended in order"
        )
    return found


def protocol_plan(file: Path, settings: list[str]) -> Callable[..., Any]:
    """A protocol in a JSON file, as a plan without parameters.

    Raises:
        ConfigurationError: not readable, or not a protocol; names file, field, value and what is allowed.
    """
    if settings:
        raise ConfigurationError(f"labctl run {file}", "--set", settings[0], "a protocol has no parameters")
    protocol = load_executor("load_protocol")(file)
    run_protocol = load_executor("run_protocol")

    def plan(cycler: Any, **options: Any) -> Any:
        return run_protocol(cycler, protocol, **options)

    return plan


def plan_parameters(plan: Callable[..., Any], plan_name: str, settings: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs as keyword arguments; values are read as YAML. One value stands for a list of one.

    Raises:
        ConfigurationError: not a pair, or not a parameter of the plan.
    """
    known, where = parameters_of(plan), f"labctl run {plan_name}"
    parameters: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigurationError(where, f"--set {setting}", None, f"write NAME=VALUE; {_names(known)}")
        if name not in known:
            raise ConfigurationError(
                where, f"--set {setting}", None, unknown_parameter(name, plan_name, known)
            )
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            allowed = f"cannot be read; allowed is {known[name].allowed or 'a value'}"
            raise ConfigurationError(where, f"--set {_short(setting)}", None, allowed) from None
        parameters[name] = _as_list(where, setting, value, known[name]) if known[name].is_list else value
    return parameters


def _short(setting: str) -> str:
    return setting if len(setting) <= _LONGEST_SETTING else setting[: _LONGEST_SETTING - 3] + "..."


def _names(known: Mapping[str, PlanParameter]) -> str:
    return f"names are {', '.join(known)}"


def _as_list(where: str, setting: str, value: Any, parameter: PlanParameter) -> Any:
    if isinstance(value, str) and "," in value:
        allowed = f"write a list in brackets: --set {parameter.name}=[{value}]"
        raise ConfigurationError(where, f"--set {setting}", None, allowed)
    return value if isinstance(value, list) or value is None else [value]


def bind_plan(plan: Callable[..., Any], plan_name: str, session: Session, parameters: dict[str, Any]) -> Any:
    """Call the plan function; what it refuses is told in one line."""
    try:
        return plan(session.cycler, cell=session.cell, environment=session.environment, **parameters)
    except ValidationError as error:
        told = refusal(error, plan, assigned="--set {}={}")
        raise ConfigurationError(f"labctl run {plan_name}", told, None, "nothing has moved") from error


def run_measurement(session: Session, measurement: Any, request: EndRequest) -> int:
    """Run with a progress bar; `request` aborts the run in order. The exit code is what the run came to.

    Raises:
        EndedEarlyError: the request was made before the run began.
    """
    from bluesky.utils import FailedStatus, RunEngineInterrupted

    from labctl.commands.progress_bar import progress_bar
    from labctl.store.server.service import start_service_in_background

    for remark in remarks_on(session, measurement):
        sys.stderr.write(f"note: {remark}\n")
    start_service_in_background(session.data_directory, session.station)
    request.require_none()
    with quiet_run_engine(), request.aborting(session.RE), progress_bar(session) as done:
        try:
            session.RE(measurement)
        except FailedStatus as error:
            cause = error.__cause__ or error
            done(f"run {session.journal.run_uid} failed: {cause}; {session.circuit_state}")
            return 1
        except RunEngineInterrupted:
            if session.journal.run_directory is None:
                request.require_none()
            if not _has_finished(session):
                reason = request.reason or "interrupted"
                done(f"run {session.journal.run_uid} ended early: {reason}; {session.circuit_state}")
                return 1
    place = "" if session.data_directory == chosen_data(None) else f" --data {session.data_directory}"
    uid = session.journal.run_uid
    write(f"run {uid} finished; see it again: labctl replay {uid}{place}")
    return 0


def _has_finished(session: Session) -> bool:
    """Whether the run was over already when it was asked to end, as its stop document says."""
    directory = session.journal.run_directory
    return directory is not None and summary_of(directory).status == "finished"


@contextmanager
def quiet_run_engine() -> Iterator[None]:
    """The RunEngine prints states and logs failures with tracebacks; the command line says it once."""
    chatter = [logging.getLogger(name) for name in ("bluesky", "ophyd")]
    levels = [log.level for log in chatter]
    for log in chatter:
        log.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        for log, level in zip(chatter, levels, strict=True):
            log.setLevel(level)
