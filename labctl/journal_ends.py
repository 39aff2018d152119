"""The two ends of a journal, read without what is between: start document, stop document, last rows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labctl.files import open_regular
from labctl.journal_documents import without_nonsense
from labctl.journal_format import LINE_LIMIT_BYTE, decode, segments
from labctl.progress import last_row

_BLOCK_BYTE = 1 << 18
_TAIL_LIMIT_BYTE = 8 << 20
_HEAD_LIMIT_BYTE = 4 << 20
_POINTS_STREAM = "timeseries"


def first_document(directory: Path) -> dict[str, Any]:
    """The start document; if it is damaged, what is known without it; nothing if none was written yet."""
    path = segments(directory)[0]
    with io.BufferedReader(open_regular(path, follow=False)) as file:
        line = file.readline(LINE_LIMIT_BYTE + 1)  # and its newline
        file_time = os.fstat(file.fileno()).st_mtime
    try:
        record = decode(line.removesuffix(b"\n"))
        if record["name"] == "start":
            without_nonsense("start", record["doc"])
            return record["doc"]
    except ValueError:
        pass
    return {"time": file_time, "plan_name": "(start document damaged)"} if line else {}


def stop_document(directory: Path) -> dict[str, Any] | None:
    """The stop document, if the journal's last whole line is one."""
    line = next(_lines_backwards(segments(directory)[-1]), b"")
    if not line.startswith(b'{"name":"stop"'):
        return None
    try:
        doc = decode(line)["doc"]
        without_nonsense("stop", doc)
    except ValueError:
        return None
    return doc


def count_points(directory: Path) -> int:
    """The seq_num of the last `timeseries` row, from the head (its descriptor) and the tail."""
    descriptors = _point_descriptors(directory)
    if not descriptors:
        return 0
    for path in reversed(segments(directory)):
        for line in _lines_backwards(path):
            if line.startswith(b'{"name":"event') and any(uid in line for uid in descriptors):
                try:
                    numbers = decode(line)["doc"]["seq_num"]
                    return int(max(numbers, default=0) if isinstance(numbers, list) else numbers)
                except (ValueError, KeyError, TypeError, OverflowError):
                    continue
    return 0


def last_step(directory: Path) -> dict[str, Any] | None:
    """The last row of `steps`; None if there is none near the end.

    It is known by its columns, because descriptors stand anywhere.
    """
    for path in reversed(segments(directory)):
        for line in _lines_backwards(path):
            if line.startswith(b'{"name":"event') and b'"protocol_step":' in line and (row := _row(line)):
                return row
    return None


def is_paused(directory: Path) -> bool:
    """Whether the last thing that a run says, but for alarms, is that it is paused."""
    for line in _lines_backwards(segments(directory)[-1]):
        if not line.startswith(b'{"name":"descriptor"') and "action" not in (row := _row(line)):
            return row.get("interruption") == "pause"
    return False


def _row(line: bytes) -> dict[str, Any]:
    """The (last) row of an event or event page; empty where it is none, or damaged."""
    try:
        record = decode(line)
        return dict(last_row(record["doc"])) if record["name"].startswith("event") else {}
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}


def _point_descriptors(directory: Path) -> list[bytes]:
    found = []
    with io.BufferedReader(open_regular(segments(directory)[0], follow=False)) as file:
        limit_byte = len(file.readline(LINE_LIMIT_BYTE + 1)) + _HEAD_LIMIT_BYTE  # behind the start document
        while file.tell() < limit_byte and (line := file.readline(LINE_LIMIT_BYTE + 1)):
            if not line.startswith(b'{"name":"descriptor"'):
                continue
            try:
                doc = decode(line.removesuffix(b"\n"))["doc"]
            except ValueError:
                continue
            if doc.get("name") == _POINTS_STREAM and isinstance(doc.get("uid"), str):
                found.append(doc["uid"].encode())
    return found


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Whole lines from the end of a file, newest first, up to 8 MB back; a torn last line is left out."""
    with io.BufferedReader(open_regular(path, follow=False)) as file:
        position = end = file.seek(0, os.SEEK_END)
        tail, torn = b"", True  # what stands after the last newline is torn, or nothing
        while position > 0 and end - position < _TAIL_LIMIT_BYTE:
            step = min(_BLOCK_BYTE, position)
            position -= step
            file.seek(position)
            first, *lines = (file.read(step) + tail).split(b"\n")
            if lines and torn:
                lines, torn = lines[:-1], False
            yield from reversed(lines)
            tail = first
        if position == 0 and not torn:
            yield tail
