"""Which runs there are: read from the first line and the end of each journal, never the whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from labctl.errors import ConfigurationError
from labctl.journal_format import LINE_LIMIT_BYTE, LOCK_NAME, decode, segments
from labctl.platform import is_locked
from labctl.recovery import run_directories

Status = Literal["running", "finished", "failed", "aborted", "interrupted"]
_STATUS: dict[str, Status] = {"success": "finished", "fail": "failed", "abort": "aborted"}
_BLOCK_BYTE = 1 << 18
_TAIL_LIMIT_BYTE = 8 << 20
_HEAD_LIMIT_BYTE = 4 << 20
_POINTS_STREAM = "timeseries"
_LAST = re.compile(r"last(?:-(\d{1,6}))?")
_PREFIX = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


@dataclass(frozen=True)
class RunSummary:
    """One run at a glance.

    Attributes:
        uid: The run's full uid.
        directory: Where its journal is.
        start_unix_second: Wall time of the start document, seconds since 1970.
        plan_name: The plan, or "" if the start document names none.
        cell_id: Id of the cell, or "".
        station: Name of the station, or "".
        status: "running" while its writer lives, "interrupted" when it died without a stop document, else
            what the stop document says.
        points: Rows of `timeseries`; while there is no stop document, up to the last row written.
        reason: The stop document's reason, or "".
    """

    uid: str
    directory: Path
    start_unix_second: float
    plan_name: str
    cell_id: str
    station: str
    status: Status
    points: int
    reason: str

    @property
    def start_time(self) -> datetime:
        """Wall time of the start, UTC."""
        return datetime.fromtimestamp(self.start_unix_second, UTC)


def list_runs(data_directory: Path, limit: int | None = None) -> list[RunSummary]:
    """The runs of a data directory, newest first, at most `limit` of them."""
    starts = _starts(Path(data_directory), limit)
    return [_summary(directory, start) for _, directory, start in starts[:limit]]


def find_run(data_directory: Path, reference: str) -> RunSummary:
    """The run that `reference` names: a uid, the beginning of one, `last`, or `last-1` for the one before.

    Raises:
        ConfigurationError: No run, or more than one, goes by that name.
    """
    data = Path(data_directory)
    last = _LAST.fullmatch(reference)
    if last is not None:
        return _nth_last(data, reference, int(last[1] or 0))
    if _PREFIX.fullmatch(reference) is None:
        raise _refused(data, reference, "a uid or its beginning, `last`, or `last-1` and so on")
    found = [d for d in run_directories(data) if d.name.startswith(reference)]
    exact = [d for d in found if d.name == reference]
    candidates = exact or found
    if not candidates:
        raise _refused(
            data, reference, f"no such run; {len(run_directories(data))} runs are there, see `labctl runs`"
        )
    if len(candidates) > 1:
        names = ", ".join(d.name[: len(reference) + 4] for d in candidates[:6])
        raise _refused(data, reference, f"{len(candidates)} runs begin so ({names}); give more letters")
    return _summary(candidates[0], _first_document(candidates[0]))


def _nth_last(data: Path, reference: str, back: int) -> RunSummary:
    starts = _starts(data, back + 1)
    if back >= len(starts):
        raise _refused(data, reference, f"only {len(starts)} runs are there")
    return _summary(starts[back][1], starts[back][2])


def _refused(data: Path, reference: str, allowed: str) -> ConfigurationError:
    return ConfigurationError(str(data), "run", reference, allowed)


def _starts(data: Path, limit: int | None) -> list[tuple[float, Path, dict[str, Any]]]:
    """Start time, directory and start document, newest first; whole days, at least `limit` runs."""
    found: list[tuple[float, Path, dict[str, Any]]] = []
    day = ""
    for directory in run_directories(data):
        if directory.parent.name != day and limit is not None and len(found) >= limit:
            break
        day = directory.parent.name
        if start := _first_document(directory):
            found.append((float(start["time"]), directory, start))
    return sorted(found, key=lambda item: item[0], reverse=True)


def _first_document(directory: Path) -> dict[str, Any]:
    """The start document; if it is damaged, what is known without it; nothing if none was written yet."""
    path = segments(directory)[0]
    with path.open("rb") as file:
        line = file.readline(LINE_LIMIT_BYTE)
        file_time = os.fstat(file.fileno()).st_mtime
    try:
        record = decode(line.removesuffix(b"\n"))
        if record["name"] == "start" and isinstance(record["doc"].get("time"), int | float):
            return record["doc"]
    except ValueError:
        pass
    return {"time": file_time, "plan_name": "(start document damaged)"} if line else {}


def _summary(directory: Path, start: dict[str, Any]) -> RunSummary:
    alive = is_locked(directory / LOCK_NAME)  # before the end is looked for: a run may end in between
    stop = _last_document(directory)
    if stop is not None:
        status = _STATUS.get(stop.get("exit_status", ""), "failed")
    else:
        status = "running" if alive else "interrupted"
    counted = (stop or {}).get("num_events", {}).get(_POINTS_STREAM)
    cell, station = start.get("cell"), start.get("station")
    return RunSummary(
        uid=directory.name,
        directory=directory,
        start_unix_second=float(start.get("time", 0.0)),
        plan_name=str(start.get("plan_name", "")),
        cell_id=str(cell.get("id", "") if isinstance(cell, dict) else cell or ""),
        station=str(station.get("name", "") if isinstance(station, dict) else station or ""),
        status=status,
        points=_count_points(directory) if counted is None and stop is None else int(counted or 0),
        reason=str((stop or {}).get("reason", "")),
    )


def _last_document(directory: Path) -> dict[str, Any] | None:
    """The stop document, if the journal's last whole line is one."""
    line = next(_lines_backwards(segments(directory)[-1]), b"")
    if not line.startswith(b'{"name":"stop"'):
        return None
    try:
        return decode(line)["doc"]
    except ValueError:
        return None


def _count_points(directory: Path) -> int:
    """The seq_num of the last `timeseries` row, from the head (its descriptor) and the tail."""
    descriptors = _point_descriptors(directory)
    if not descriptors:
        return 0
    for path in reversed(segments(directory)):
        for line in _lines_backwards(path):
            if line.startswith(b'{"name":"event') and any(uid in line for uid in descriptors):
                try:
                    numbers = decode(line)["doc"]["seq_num"]
                except (ValueError, KeyError):
                    continue
                return max(numbers, default=0) if isinstance(numbers, list) else int(numbers)
    return 0


def _point_descriptors(directory: Path) -> list[bytes]:
    found = []
    with segments(directory)[0].open("rb") as file:
        while file.tell() < _HEAD_LIMIT_BYTE and (line := file.readline(LINE_LIMIT_BYTE)):
            if not line.startswith(b'{"name":"descriptor"'):
                continue
            try:
                doc = decode(line.removesuffix(b"\n"))["doc"]
            except ValueError:
                continue
            if doc.get("name") == _POINTS_STREAM:
                found.append(doc["uid"].encode())
    return found


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Whole lines from the end of a file, newest first, up to 8 MB back; a torn last line is left out."""
    with path.open("rb") as file:
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
