"""Closing runs whose writer died: a synthetic stop document after the last whole line, nothing removed."""

from __future__ import annotations

import errno
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    days = sorted((d for d in (data_directory / "runs").glob("*-*-*") if d.is_dir()), reverse=True)
    return [run for day in days for run in sorted(day.iterdir()) if is_run_directory(run)]


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
    found = (_recover_run(directory, reason) for directory in run_directories(Path(data_directory)))
    return [recovered for recovered in found if recovered is not None]


def _recover_run(directory: Path, reason: str) -> Recovered | None:
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
            "reason": reason,
            "num_events": counts,
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
    uid, streams, counts = None, {}, {}
    for name, doc in follow(directory, live=False):
        if name == "start":
            uid = doc["uid"]
        elif name == "descriptor":
            streams[doc["uid"]] = doc["name"]
            counts.setdefault(doc["name"], 0)
        elif name in ("event", "event_page"):
            stream = streams.get(doc["descriptor"])
            if stream is not None:
                counts[stream] = max(counts[stream], _last_seq_num(doc))
        elif name == "stop":
            return uid, counts, True
    return uid, counts, False


def _last_seq_num(doc: dict[str, Any]) -> int:
    numbers = doc["seq_num"]
    return max(numbers, default=0) if isinstance(numbers, list) else numbers


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
        sync(fd)
    finally:
        os.close(fd)
