"""`--detach`: a run in a process of its own, out of reach of a closed terminal or a dropped connection."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from labctl.commands.chosen import chosen_data, write
from labctl.commands.interrupt import EndRequest
from labctl.errors import ConfigurationError, EndedEarlyError, LabctlError
from labctl.journal.format import LOCK_NAME
from labctl.journal.reader import first_document
from labctl.platform import CAN_ASK_TO_END, has_ended, start_detached, write_private
from labctl.runs.directory import is_run_directory, run_names

LOGS = "logs"  # in the data directory
_LOOK_SECOND = 0.1
_END_SECOND = 30.0


def require_detachable(where: str, *, dry_run: bool) -> None:
    """Refuse what makes no sense, or could not be asked to end in order.

    Raises:
        ConfigurationError: a dry run, or a system without such a thing.
    """
    if dry_run:
        raise ConfigurationError(where, "--detach", None, "not with --dry-run, after which nothing runs")
    if not CAN_ASK_TO_END:
        allowed = "not on this system: a process without console could not be ended in order"
        raise ConfigurationError(where, "--detach", None, allowed)


def run_detached(arguments: list[str], data: Path, station_file: Path | None, request: EndRequest) -> int:
    """Start `labctl ARGUMENTS`, which was checked, in the background; wait until its run has begun.

    The process has a session of its own, no standard input, and writes what it says into a private log in
    the data directory.

    Args:
        arguments: without relative paths.
        data: the data directory.
        station_file: for what is told about stopping it.
        request: ends the process again while its run has not begun; a closed terminal does not.

    Returns:
        0 as soon as the run has its start document.

    Raises:
        EndedEarlyError: `request` was made.
        LabctlError: the process ended before its run began; the message is its own last line.
    """
    log = _new_log(data)
    known = set(run_names(data))
    pid = start_detached([sys.executable, "-P", "-m", "labctl", *arguments, "--data", str(data)], log)
    run = None
    while run is None:
        if request.reason is not None:
            _end(pid, request.reason)
        over = has_ended(pid, _LOOK_SECOND)  # first: it may begin and end a run in between
        run = _run_of(pid, data, known)
        if run is None and over:
            raise LabctlError(f"the run did not begin: {_last_line(log)} (see {log})")
    _tell(run.name, pid, data, station_file, log)
    return 0


def _new_log(data: Path) -> Path:
    logs = data / LOGS
    try:
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.log"
        write_private(log, b"")
    except OSError as error:
        raise ConfigurationError(
            "data directory", "path", str(data), f"cannot be written: {error}"
        ) from error
    return log


def _run_of(pid: int, data: Path, known: set[Path]) -> Path | None:
    """The run that process `pid` has begun since: its start document is there."""
    for directory in run_names(data):
        if directory not in known and is_run_directory(directory):
            with suppress(OSError):
                writer = (directory / LOCK_NAME).read_text(encoding="ascii").strip()
                if writer == str(pid) and first_document(directory):
                    return directory
    return None


def _end(pid: int, reason: str) -> NoReturn:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    ended = has_ended(pid, _END_SECOND)
    left = "and its process has ended" if ended else f"but its process {pid} has not ended yet"
    raise EndedEarlyError(f"the start of the run was {reason}, {left}; `labctl runs` shows if it had begun")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("labctl: ") if lines else "no output"


def _tell(uid: str, pid: int, data: Path, station_file: Path | None, log: Path) -> None:
    place = "" if data == chosen_data(None) else f" --data {data}"
    station = station_file or "STATION"
    write(f"run {uid} has begun, in the background as process {pid}")
    write(f"  watch    labctl live {uid[:8]}{place}")
    write(f"  look     labctl show {uid[:8]}{place}    labctl runs{place}")
    write(f"  stop     labctl off {station}    kill {pid}    (either ends the run in order, circuit open)")
    write(f"  output   {log}")
