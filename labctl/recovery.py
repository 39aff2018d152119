"""Closing runs whose writer died: a synthetic stop document after the last whole line, nothing removed."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labctl.errors import JournalError
from labctl.journal_format import LOCK_NAME, encode, is_uid, segment_name, segments
from labctl.journal_reader import follow
from labctl.platform import FileLock, open_to_append, sync

_REASON = "interrupted: the process that wrote this run ended without a stop document"


@dataclass(frozen=True)
class Recovered:
    """A run that was closed: its uid, where it is, and its rows per stream."""

    uid: str
    directory: Path
    num_events: dict[str, int]


def run_directories(data_directory: Path) -> list[Path]:
    """All directories that may hold a run, newest day first."""
    return [run for run in run_names(data_directory) if is_run_directory(run)]


def run_names(data_directory: Path) -> list[Path]:
    """All paths that are named as runs are, newest day first; they were not looked at."""
    days = sorted((d for d in (data_directory / "runs").glob("*-*-*") if d.is_dir()), reverse=True)
    return [day / name for day in days for name in _names(day) if is_uid(name)]


def _names(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries)


def is_run_directory(directory: Path) -> bool:
    """True when the directory is named as a run and holds the beginning of a journal."""
    return is_uid(directory.name) and (directory / segment_name(0)).is_file()


def recover(data_directory: Path, reason: str = _REASON) -> list[Recovered]:
    """Close every run that has no stop document and no living writer.

    Args:
        data_directory: The data directory; its `runs/` are looked through.
        reason: What the stop document says.

    Returns:
        The runs that were closed now.
    """
    found = (recover_run(directory, reason) for directory in run_directories(Path(data_directory)))
    return [recovered for recovered in found if recovered is not None]


def recover_run(directory: Path, reason: str, found: Mapping[str, Any] | None = None) -> Recovered | None:
    """Close one run, if it has no stop document and no living writer; None if it was left alone.

    Args:
        directory: The run's.
        reason: What the stop document says.
        found: Further keys of the stop document, such as how the instrument was found afterwards.

    Raises:
        JournalError: It cannot be written.
    """
    if ends_with_stop(directory):
        return None
    lock = FileLock(directory / LOCK_NAME)
    if not lock.acquire():
        return None
    try:
        _end_line(segments(directory)[-1])
        uid, counts, stopped = _count(directory)
        if stopped or uid is None:
            return None
        stop = {
            "uid": str(uuid.uuid4()),
            "time": time.time(),
            "run_start": uid,
            "exit_status": "abort",
            "recovered": True,
            "reason": reason,
            "num_events": counts,
            **(found or {}),
        }
        _append(segments(directory)[-1], encode("stop", stop))
        return Recovered(uid, directory, counts)
    except OSError as error:
        raise JournalError(f"{directory}: the run cannot be closed: {error}") from error
    finally:
        lock.release()


def ends_with_stop(directory: Path) -> bool:
    """True when the journal's last line is a stop document (looked at cheaply, from the end)."""
    with segments(directory)[-1].open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16)))
        tail = file.read()
    return tail.endswith(b"\n") and tail[:-1].rsplit(b"\n", 1)[-1].startswith(b'{"name":"stop"')


def _count(directory: Path) -> tuple[str | None, dict[str, int], bool]:
    """The run's uid, rows per stream, and whether a stop document is there after all."""
    uid: str | None = None
    streams: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, doc in follow(directory, live=False):
        if name == "stop":
            return uid, counts, True
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a document that lacks what it must have
            if name == "start":
                uid = doc["uid"]
            elif name == "descriptor":
                streams[doc["uid"]] = doc["name"]
                counts.setdefault(doc["name"], 0)
            elif name in ("event", "event_page"):
                stream = streams[doc["descriptor"]]
                counts[stream] = max(counts[stream], int(np.max(doc["seq_num"], initial=0)))
    return uid, counts, False


def _end_line(path: Path) -> None:
    # A torn last line stays, and every reader skips it; one that lacks only its end is whole again.
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")
    if torn:
        _append(path, b"\n")


def _append(path: Path, data: bytes) -> None:
    fd = open_to_append(path)
    try:
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(fd, os.fstat(fd).st_size)  # the space that the dead writer had set aside
        sync(fd)
    finally:
        os.close(fd)
