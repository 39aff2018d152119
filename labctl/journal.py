"""The journal: the RunEngine's only strict subscriber, which writes down every document as it comes.

A run is `runs/<UTC date>/<uid>/journal-0000.jsonl`, `-0001`, ... with one checked line per document (see
`labctl.journal_format`). Everything else (live panels, document store, replay, recovery) reads those files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.errors import JournalError
from labctl.journal_alarms import AlarmStream, alarm_row
from labctl.journal_format import LOCK_NAME, Damage, encode, is_uid, segment_name
from labctl.journal_reader import follow
from labctl.platform import FileLock, open_to_append, sync, sync_directory
from labctl.recovery import Recovered, recover

__all__ = ["Damage", "Journal", "Recovered", "follow", "recover"]

SEGMENT_LIMIT_BYTE = 64 * 1024 * 1024
SYNC_PERIOD_SECOND = 1.0
_RESERVE_BYTE = 1 << 20
_RESERVE_NAME = "reserve"


class Journal:
    """Subscribe it to a RunEngine: `RE.subscribe(journal)`; an error here ends the run in order.

    Documents are on the medium within a second of being written; start, stop, `steps` and `alarms` documents
    before the call returns. One journal writes one run at a time.

    Args:
        data_directory: Runs are written below `runs/` of it.
        test_time: Gives the `test_time_second` of an alarm; without it alarms of a run carry NaN.
        segment_limit_byte: A segment is left for the next one before it grows beyond this.
        sync_period_second: How long a document may stay off the medium.
    """

    def __init__(
        self,
        data_directory: Path,
        *,
        test_time: Callable[[], float] | None = None,
        segment_limit_byte: int = SEGMENT_LIMIT_BYTE,
        sync_period_second: float = SYNC_PERIOD_SECOND,
    ) -> None:
        self._data = Path(data_directory)
        self._segment_limit_byte, self._sync_period_second = segment_limit_byte, sync_period_second
        self._test_time = test_time or (lambda: float("nan"))
        self._lock = threading.RLock()
        self._segment: _Segment | None = None
        self._alarms: AlarmStream | None = None
        self._synced_streams: set[str] = set()
        self._failure: OSError | None = None
        self._failure_told = False
        self._syncer: threading.Thread | None = None
        self._closed = threading.Event()
        self.run_directory: Path | None = None
        self.run_uid: str | None = None

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Write one document.

        Raises:
            JournalError: It cannot be written, or an earlier one could not be brought to the medium.
        """
        with self._lock:
            if name == "start":
                self._start(doc)
            elif name == "stop":
                self._stop(doc)
            else:
                self._write(name, encode(name, doc), now=self._at_once(name, doc))
                self._raise_failure()

    def _at_once(self, name: str, doc: dict[str, Any]) -> bool:
        if name == "descriptor" and doc.get("name") == "steps":
            self._synced_streams.add(doc["uid"])
        return name in ("event", "event_page") and doc.get("descriptor") in self._synced_streams

    def _start(self, doc: dict[str, Any]) -> None:
        if self._closed.is_set():
            raise JournalError("the journal is closed; make another one for another run")
        if self._segment is not None:
            raise JournalError(f"run {self.run_uid} is still open; a journal writes one run at a time")
        if not is_uid(doc.get("uid")):
            raise JournalError(f"start document: uid {doc.get('uid')!r}: 4 to 64 letters, digits or hyphens")
        clock = {"unix_second": time.time(), "monotonic_second": time.monotonic()}
        line = encode("start", doc, clock=clock)
        day = datetime.fromtimestamp(doc["time"], UTC).strftime("%Y-%m-%d")
        directory = self._data / "runs" / day / doc["uid"]
        try:
            directory.mkdir(parents=True)
            self._segment = _Segment(directory)
        except OSError as error:
            raise JournalError(f"{directory}: a run cannot be begun: {error}") from error
        self.run_directory, self.run_uid = directory, doc["uid"]
        self._alarms, self._synced_streams = AlarmStream(doc["uid"]), set()
        self._failure, self._failure_told = None, False
        self._write("start", line, now=True)
        self._start_syncing()

    def _stop(self, doc: dict[str, Any]) -> None:
        try:
            if self._alarms is not None and self._alarms.count:
                counts = {**doc.get("num_events", {}), "alarms": self._alarms.count}
                doc = {**doc, "num_events": counts}
            self._write("stop", encode("stop", doc), now=True)
        finally:
            self._end_run()
        if not self._failure_told:
            self._raise_failure()

    def _write(self, name: str, line: bytes, now: bool) -> None:
        if self._segment is None:
            raise JournalError(f"{name} document outside a run: no start document came before it")
        try:
            self._segment = self._segment.with_room_for(len(line), self._segment_limit_byte)
            self._segment.write(line)
            if now:
                self._segment.sync()
        except OSError as error:
            self._failure, self._failure_told = error, True
            raise JournalError(
                f"{self._segment.path}: the {name} document cannot be written: {error}"
            ) from error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._failure_told = True
            raise JournalError(f"{self.run_directory}: the journal is not safe: {self._failure}")

    def _start_syncing(self) -> None:
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_forever, name="journal-sync", daemon=True)
            self._syncer.start()

    def _sync_forever(self) -> None:
        while not self._closed.wait(self._sync_period_second):
            with self._lock:
                segment = self._segment
                fd = segment.take_unsynced() if segment is not None else None
            if fd is None:
                continue
            try:
                sync(fd)  # outside the lock: a slow disk must not stall the RunEngine
            except OSError as error:
                self._failure = error
            finally:
                os.close(fd)

    def alarm(self, *, kind: str, source: str, value: float, limit: float, action: str) -> None:
        """Write a row of the `alarms` stream, at once and from any thread.

        Outside a run the row goes to `alarms.jsonl` of the data directory.

        Args:
            kind: What happened, such as "over_voltage", "gap", "acknowledged".
            source: The channel or device it concerns.
            value: The reading, in SI units of the source; NaN if there is none.
            limit: The limit it passed, in the same unit; NaN if there is none.
            action: What was done about it.
        """
        row = alarm_row(self._test_time(), kind, source, value, limit, action)
        with self._lock:
            if self._segment is not None and self._alarms is not None:
                for name, doc in self._alarms.documents(row):
                    self._write(name, encode(name, doc), now=name == "event")
                return
        self._alarm_outside(row)

    def _alarm_outside(self, row: dict[str, Any]) -> None:
        path = self._data / "alarms.jsonl"
        line = encode("alarm", {"uid": str(uuid.uuid4()), "time": time.time(), "data": row})
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            fd = open_to_append(path)
            try:
                os.write(fd, line)
                sync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise JournalError(f"{path}: the alarm cannot be written: {error}") from error

    def _end_run(self) -> None:
        if self._segment is not None:
            self._segment.close()
        self._segment = self._alarms = None

    def close(self) -> None:
        """Stop syncing and let go of the run; a run without stop document is then "interrupted"."""
        self._closed.set()
        with self._lock:
            if self._segment is not None:
                with contextlib.suppress(OSError):
                    self._segment.sync()
            self._end_run()
        if self._syncer is not None:
            self._syncer.join()


class _Segment:
    """The file that is being written, the run's lock, and a reserve that lets a run end on a full disk."""

    def __init__(self, directory: Path, number: int = 0, lock: FileLock | None = None) -> None:
        self._directory, self._number = directory, number
        self._lock = lock or FileLock(directory / LOCK_NAME)
        if not self._lock.acquire():
            raise OSError(errno.EBUSY, f"locked by process {self._lock.owner_pid()}")
        self.path = directory / segment_name(number)
        if number == 0:
            _reserve(directory / _RESERVE_NAME)
        self._fd = open_to_append(self.path, new=True)
        self._size = 0
        self._torn = self._unsynced = False
        sync_directory(directory)
        sync_directory(directory.parent)

    def with_room_for(self, length_byte: int, limit_byte: int) -> _Segment:
        """This segment, or the next one when this is full."""
        if self._size == 0 or self._size + length_byte <= limit_byte:
            return self
        self.sync()
        following = _Segment(self._directory, self._number + 1, self._lock)
        os.close(self._fd)
        return following

    def write(self, line: bytes) -> None:
        """Append one line with one write; what a failed write left is closed off before the next."""
        data = b"\n" + line if self._torn else line
        self._unsynced = True
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                (self._directory / _RESERVE_NAME).unlink(missing_ok=True)
            raise
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            (self._directory / _RESERVE_NAME).unlink(missing_ok=True)
            raise OSError(
                errno.ENOSPC, f"{written} of {len(data)} bytes written: {os.strerror(errno.ENOSPC)}"
            )

    def sync(self) -> None:
        """Return once all that was written is on the medium."""
        self._unsynced = False
        sync(self._fd)

    def take_unsynced(self) -> int | None:
        """A duplicate of the file's descriptor if there is something to sync; the caller closes it."""
        if not self._unsynced:
            return None
        self._unsynced = False
        return os.dup(self._fd)

    def close(self) -> None:
        """Close the file, free the reserve, release the run's lock."""
        os.close(self._fd)
        (self._directory / _RESERVE_NAME).unlink(missing_ok=True)
        self._lock.release()


def _reserve(path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(fd, 0, _RESERVE_BYTE)
    except OSError as error:
        path.unlink()
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
            raise
    finally:
        os.close(fd)
