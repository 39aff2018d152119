"""`labctl run`: a plan by name, its parameters from the command line, progress, orderly ends."""

from __future__ import annotations

import inspect
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from labctl.commands.common import chosen_cell, chosen_data, chosen_station, write
from labctl.commands.plans import GIVEN_BY_LABCTL
from labctl.errors import ConfigurationError
from labctl.plugins import load_executor, load_plan
from labctl.session import Session, open_session


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
            write(f"{plan_name}: allowed on station {station.name} with cell {cell.id}")
            write(measurement.describe())
            if save_protocol is not None:
                load_executor("save_protocol")(measurement.protocol, save_protocol)
                write(f"its protocol: {save_protocol}")
            return 0
        return run_measurement(session, measurement)


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
    """NAME=VALUE pairs as keyword arguments; values are read as YAML scalars.

    Raises:
        ConfigurationError: not a pair, or not a parameter of the plan.
    """
    allowed = [name for name in inspect.signature(plan).parameters if name not in GIVEN_BY_LABCTL]
    parameters: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in allowed:
            raise ConfigurationError(
                f"labctl run {plan_name}",
                "--set",
                setting,
                f"allowed is NAME=VALUE with {', '.join(allowed)}",
            )
        try:
            parameters[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f"labctl run {plan_name}", f"--set {name}", text, "not a value"
            ) from error
    return parameters


def bind_plan(plan: Callable[..., Any], plan_name: str, session: Session, parameters: dict[str, Any]) -> Any:
    """Call the plan function; what it refuses becomes one line per fault."""
    try:
        return plan(session.cycler, cell=session.cell, environment=session.environment, **parameters)
    except ValidationError as error:
        lines = [
            f"--set {'.'.join(str(part) for part in fault['loc'][:1])} = {fault['input']!r}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise ConfigurationError(
            f"labctl run {plan_name}", "; ".join(lines), None, "nothing has moved"
        ) from error


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
