"""Closing runs whose writer died: a synthetic stop document after the last whole line, nothing removed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.documents import page_of
from labctl.errors import JournalError, NewerFormatError
from labctl.journal.format import LOCK_NAME, encode, segments
from labctl.journal.reader import follow, require_readable_run
from labctl.platform import FileLock, open_regular, open_to_append, sync
from labctl.runs.directory import run_directories

_log = logging.getLogger(__name__)
_REASON = "interrupted: the process that wrote this run ended without a stop document"


@dataclass(frozen=True)
class Recovered:
    """A run that was closed: its uid, where it is, and its rows per stream."""

    uid: str
    directory: Path
    num_events: dict[str, int]


def recover(data_directory: Path, reason: str = _REASON) -> list[Recovered]:
    """Close every run that has no stop document and no living writer; those of a newer format are left.

    Args:
        data_directory: The data directory; its `runs/` are looked through.
        reason: What the stop document says.

    Returns:
        The runs that were closed now.

    Raises:
        JournalError: At least one cannot be closed; all others are.
    """
    closed, failures = list[Recovered](), list[JournalError]()
    for directory in run_directories(Path(data_directory)):
        try:
            if (recovered := recover_run(directory, reason)) is not None:
                closed.append(recovered)
        except NewerFormatError as error:
            _log.warning("left as it is: %s", error)
        except JournalError as error:  # the others are closed all the same
            failures.append(error)
    if failures:
        others = f"; {len(failures) - 1} more cannot be closed" if len(failures) > 1 else ""
        others += f"; {len(closed)} others were closed" if closed else ""
        raise JournalError(f"{failures[0]}{others}") from failures[0]
    return closed


def recover_run(directory: Path, reason: str, found: Mapping[str, Any] | None = None) -> Recovered | None:
    """Close one run, if it has no stop document and no living writer; None if it was left alone.

    Args:
        directory: The run's.
        reason: What the stop document says.
        found: Further keys of the stop document, such as how the instrument was found afterwards.

    Raises:
        JournalError: It cannot be written.
        NewerFormatError: Only a newer labctl can read it, and close it.
    """
    lock = FileLock(directory / LOCK_NAME)
    try:
        if ends_with_stop(directory) or not lock.acquire():
            return None
        require_readable_run(directory)
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
    with open_regular(segments(directory)[-1], follow=False) as file:
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
            elif (page := page_of(name, doc)) is not None:
                stream = streams[page.descriptor]
                counts[stream] = max(counts[stream], page.highest_seq_num)
    return uid, counts, False


def _end_line(path: Path) -> None:
    # A torn last line stays, and every reader skips it; one that lacks only its end is whole again.
    with open_regular(path, follow=False) as file:
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
