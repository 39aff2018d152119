"""`labctl run`: a plan by name, its parameters from the command line, progress, orderly ends."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from labctl.commands.common import chosen_cell, chosen_data, chosen_station, write
from labctl.errors import ConfigurationError
from labctl.plan_parameters import PlanParameter, parameters_of
from labctl.plan_refusals import refusal, unknown_parameter
from labctl.plugins import load_executor, load_plan
from labctl.session import Session, open_session

_YEAR_SECOND = 365.25 * 86_400.0
_LONGEST_SETTING = 80  # characters that are told of what was typed


def run_plan(
    plan_name: str,
    station_file: Path | None,
    cell_file: Path | None,
    settings: list[str],
    data: Path | None,
    *,
    dry_run: bool,
    fresh: bool,
    save_protocol: Path | None = None,
) -> int:
    """Run (or only check) a plan or a protocol file; the exit code. `save_protocol` writes what would run."""
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
    with open_session(station, cell, directory, fresh_bench=fresh, connect=not dry_run) as session:
        measurement = bind_plan(plan, plan_name, session, parameters)
        if dry_run:
            write(f"{plan_name}: allowed on station {station.name} with cell {cell.id}; what it will take:")
            write(measurement.describe())
            for remark in remarks(measurement.estimate, directory):
                write(f"  {'remark':<12}{remark}")
            if save_protocol is not None:
                load_executor("save_protocol")(measurement.protocol, save_protocol)
                write(f"its protocol: {save_protocol}")
            return 0
        return run_measurement(session, measurement)


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
        allowed = f"a list goes in brackets: --set {parameter.name}=[{value}]"
        raise ConfigurationError(where, f"--set {setting}", None, allowed)
    return value if isinstance(value, list) or value is None else [value]


def bind_plan(plan: Callable[..., Any], plan_name: str, session: Session, parameters: dict[str, Any]) -> Any:
    """Call the plan function; what it refuses is told in one line."""
    try:
        return plan(session.cycler, cell=session.cell, environment=session.environment, **parameters)
    except ValidationError as error:
        told = refusal(error, plan, assigned="--set {}={}")
        raise ConfigurationError(f"labctl run {plan_name}", told, None, "nothing has moved") from error


def run_measurement(session: Session, measurement: Any) -> int:
    """Run with a progress bar; SIGINT and SIGTERM abort in order. The exit code."""
    from bluesky.utils import FailedStatus, RunEngineInterrupted

    from labctl.commands.progress_bar import progress_bar
    from labctl.interrupt import abort_on_signal
    from labctl.store.service import start_service_in_background

    start_service_in_background(session.data_directory, session.station)
    with quiet_run_engine(), abort_on_signal(session.RE) as request, progress_bar(session) as done:
        try:
            session.RE(measurement)
        except FailedStatus as error:
            cause = error.__cause__ or error
            done(f"run {session.journal.run_uid} failed: {cause}")
            return 1
        except RunEngineInterrupted:
            done(f"run {session.journal.run_uid} ended early: {request.reason or 'interrupted'}")
            return 1
    place = "" if session.data_directory == chosen_data(None) else f" --data {session.data_directory}"
    uid = session.journal.run_uid
    write(f"run {uid} finished; see it again: labctl replay {uid}{place}")
    return 0


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
