"""The journal: the RunEngine's only strict subscriber, which writes down every document as it comes.

A run is `runs/<UTC date>/<uid>/journal-0000.jsonl`, `-0001`, ... with one checked line per document (see
`labctl.journal.format`). Everything else (live panels, document store, replay, recovery) reads those files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.documents import Page
from labctl.errors import JournalError
from labctl.formats import FORMAT_NUMBER, START_FIELD
from labctl.journal.format import LOCK_NAME, Damage, encode, is_uid, segment_name
from labctl.journal.reader import follow
from labctl.journal.run_end import ending
from labctl.platform import FileLock, leads_out, open_to_append, reserve_behind, sync, sync_directory
from labctl.schema import (
    ALARM_ACTION,
    ALARM_KIND,
    ALARM_LIMIT,
    ALARM_SOURCE,
    ALARM_VALUE,
    ALARMS,
    STEPS,
    TEST_TIME,
    check_names,
)

_OBJECT = "journal"


def alarm_row(
    test_time_second: float, kind: str, source: str, value: float, limit: float, action: str
) -> dict[str, Any]:
    """The columns of one alarm; value and limit share the unit of the source."""
    return {
        TEST_TIME: float(test_time_second),
        ALARM_KIND: str(kind),
        ALARM_SOURCE: str(source),
        ALARM_VALUE: float(value),
        ALARM_LIMIT: float(limit),
        ALARM_ACTION: str(action),
    }


class AlarmStream:
    """Composes the documents of one run's alarms; `count` rows so far."""

    def __init__(self, run_uid: str) -> None:
        self._run_uid = run_uid
        self._descriptor_uid: str | None = None
        self.count = 0

    def documents(self, row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the descriptor, the first time, and the event of `row`."""
        now = time.time()
        if self._descriptor_uid is None:
            self._descriptor_uid = str(uuid.uuid4())
            yield "descriptor", self._descriptor(self._descriptor_uid, now)
        self.count += 1
        event = {
            "uid": str(uuid.uuid4()),
            "descriptor": self._descriptor_uid,
            "time": now,
            "seq_num": self.count,
            "data": row,
            "timestamps": dict.fromkeys(row, now),
            "filled": {},
        }
        yield "event", event

    def _descriptor(self, uid: str, now: float) -> dict[str, Any]:
        keys = {spec.name: {**spec.data_key("labctl"), "object_name": _OBJECT} for spec in ALARMS}
        return {
            "uid": uid,
            "run_start": self._run_uid,
            "time": now,
            "name": ALARMS.name,
            "data_keys": keys,
            "object_keys": {_OBJECT: list(keys)},
            "configuration": {_OBJECT: {"data": {}, "timestamps": {}, "data_keys": {}}},
            "hints": {_OBJECT: {"fields": []}},
        }


RESERVE_BYTE = 2 << 20
_STEP_BYTE = 1 << 20  # the reserve is moved on in steps of this


class Segments:
    """The segments of one run while it is written; holds the run's lock. Not thread-safe by itself.

    Behind what is written there is always a reserve of 2 MB. When the disk has no more to give, `is_full`
    becomes true while the reserve is still untouched: it takes what a run has to say while it ends.

    Args:
        directory: The run's directory, which exists.
        limit_byte: A segment is left for the next one before it grows beyond this.

    Raises:
        OSError: The disk is full, or the directory cannot be written.
    """

    def __init__(self, directory: Path, limit_byte: int) -> None:
        self._directory, self._limit_byte = directory, limit_byte
        self._lock = FileLock(directory / LOCK_NAME)
        if not self._lock.acquire():
            raise OSError(errno.EBUSY, f"locked by process {self._lock.owner_pid()}")
        self._unsynced: list[int] = []  # duplicates of full segments' descriptors
        self.is_full = False
        self._number = -1
        try:
            self._begin_next()
        except OSError:
            self._lock.release()
            raise
        sync_directory(directory.parent)

    def _begin_next(self) -> None:
        path = self._directory / segment_name(self._number + 1)
        fd = open_to_append(path, new=True)
        try:
            reserved = _reserve(fd, path, 0)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self.path, self._fd, self._reserved = path, fd, reserved
        self._number += 1
        self._size, self._torn, self._changed = 0, False, False
        sync_directory(self._directory)

    def write(self, line: bytes) -> None:
        """Append one line with one write; what a failed write left is closed off before the next.

        Raises:
            OSError: The line was not written, or not whole.
        """
        if self._size and self._size + len(line) > self._limit_byte and not self.is_full:
            self._rotate()
        data = b"\n" + line if self._torn else line
        self._changed = True
        written = os.write(self._fd, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes: {os.strerror(errno.ENOSPC)}")
        self._move_reserve()

    def _rotate(self) -> None:
        old, size = self._fd, self._size
        try:
            self._begin_next()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.is_full = True  # the old segment and its reserve serve to the end
            return
        os.ftruncate(old, size)
        self._unsynced.append(old)

    def _move_reserve(self) -> None:
        if self.is_full or self._size + RESERVE_BYTE <= self._reserved:
            return
        try:
            self._reserved = _reserve(self._fd, self.path, self._size)
        except OSError:
            self.is_full = True

    def take_unsynced(self) -> list[int]:
        """Descriptors of what is to be synced; the caller syncs and closes them."""
        taken, self._unsynced = self._unsynced, []
        if self._changed:
            self._changed = False
            taken.append(os.dup(self._fd))
        return taken

    def close(self) -> None:
        """Give the reserve back, close the files, release the run's lock."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)
        for fd in (*self._unsynced, self._fd):
            os.close(fd)
        self._unsynced = []
        self._lock.release()


def _reserve(fd: int, path: Path, size_byte: int) -> int:
    """Have the reserve and a step behind `size_byte`; the size up to which that will do."""
    wanted = RESERVE_BYTE + _STEP_BYTE
    if not reserve_behind(fd, size_byte, wanted) and shutil.disk_usage(path).free < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return size_byte + wanted


__all__ = ["Damage", "Journal", "follow"]

SEGMENT_LIMIT_BYTE = 64 * 1024 * 1024
SYNC_PERIOD_SECOND = 1.0
CLOCK_PERIOD_SECOND = 1.0
DISK_LOW_BYTE = 64 * 1024 * 1024
_DISK_PERIOD_SECOND = 10.0


class Journal:
    """Subscribe it to a RunEngine: `RE.subscribe(journal)`; an error here ends the run in order.

    Documents are on the medium within a second of being written; start, stop, `steps` and `alarms` documents
    before the call returns. One journal writes one run at a time. Lines carry both clocks, the wall's and the
    monotonic one, whenever a second has passed since the last that did. The start document gets the number
    of the journal's format (see `labctl.formats`).

    An alarm tells once in a run when less than 64 MB are free. When the disk is full, or the medium does not
    take what was written, this is told once, by an alarm and a JournalError, so that the run ends; what comes
    while it ends goes into a reserve and is accepted.

    Args:
        data_directory: Runs are written below `runs/` of it.
        test_time: Gives the `test_time_second` of an alarm; without it alarms of a run carry NaN.
        segment_limit_byte: A segment is left for the next one before it grows beyond this.
        sync_period_second: How long a document may stay off the medium.
        any_names: Accept data keys that the document store cannot take as columns.
    """

    def __init__(
        self,
        data_directory: Path,
        *,
        test_time: Callable[[], float] | None = None,
        segment_limit_byte: int = SEGMENT_LIMIT_BYTE,
        sync_period_second: float = SYNC_PERIOD_SECOND,
        any_names: bool = False,
    ) -> None:
        self._data, self._any_names = Path(data_directory), any_names
        self._segment_limit_byte, self._sync_period_second = segment_limit_byte, sync_period_second
        self._test_time = test_time or (lambda: float("nan"))
        self._lock = threading.RLock()  # writing
        self._syncing = threading.Lock()  # syncing; taken before the other one
        self._segments: Segments | None = None
        self._alarms: AlarmStream | None = None
        self._start_document: dict[str, Any] = {}
        self._last_step: dict[str, Any] | None = None  # row of the stream `steps`
        self._synced_streams: set[str] = set()
        self._failure: OSError | None = None
        self._failure_told = False
        self._disk_low_told = False
        self._next_look_at_disk = 0.0  # monotonic second
        self._clock_told = -CLOCK_PERIOD_SECOND  # monotonic second of the last line with both clocks
        self._syncer: threading.Thread | None = None
        self._closed = threading.Event()
        self.run_directory: Path | None = None
        self.run_uid: str | None = None

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Write one document.

        Raises:
            JournalError: It cannot be written, or not be read again, or it is a descriptor with a data key
                that can be no column, or the disk is full, or an earlier document could not be brought to
                the medium: these two are told once.
        """
        if name == "start":
            self._start(doc)
        elif name == "stop":
            self._stop(doc)
        else:
            if name == "descriptor" and not self._any_names:
                check_names(doc)
            self._write(name, self._line(name, doc))
            if self._at_once(name, doc):
                self._last_step = dict(Page(name, doc).last_row)
                self._sync()
            self._raise_failure()

    def _line(self, name: str, doc: dict[str, Any]) -> bytes:
        now = time.monotonic()
        if now - self._clock_told < CLOCK_PERIOD_SECOND and name not in ("start", "stop"):
            return encode(name, doc)
        self._clock_told = now
        return encode(name, doc, clock={"unix_second": time.time(), "monotonic_second": now})

    @property
    def is_open(self) -> bool:
        """Whether a run has begun and not ended; also while it is paused."""
        return self._segments is not None

    def _at_once(self, name: str, doc: dict[str, Any]) -> bool:
        if name == "descriptor" and doc.get("name") == STEPS.name:
            self._synced_streams.add(doc["uid"])
        return name in ("event", "event_page") and doc.get("descriptor") in self._synced_streams

    def _start(self, doc: dict[str, Any]) -> None:
        if self._closed.is_set():
            raise JournalError("the journal is closed; make another one for another run")
        if self._segments is not None:
            raise JournalError(f"run {self.run_uid} is still open; a journal writes one run at a time")
        if not is_uid(doc.get("uid")):
            raise JournalError(f"start document: uid {doc.get('uid')!r}: 4 to 64 letters, digits or hyphens")
        doc = {**doc, START_FIELD: FORMAT_NUMBER["journal"]}
        line = self._line("start", doc)
        day = datetime.fromtimestamp(doc["time"], UTC).strftime("%Y-%m-%d")
        directory = self._data / "runs" / day / doc["uid"]
        if leads_out(directory, self._data):
            raise JournalError(f"{directory}: a link leads out of the data directory, nothing is written")
        self._failure, self._failure_told, self._synced_streams = None, False, set()
        self._disk_low_told, self._next_look_at_disk = False, 0.0
        with self._lock:
            try:
                directory.mkdir(parents=True)
                self._segments = Segments(directory, self._segment_limit_byte)
            except OSError as error:
                raise JournalError(f"{directory}: a run cannot be begun: {error}") from error
            self.run_directory, self.run_uid = directory, doc["uid"]
            try:
                self._write("start", line)
            except JournalError:
                self._end_run()  # a run that has not begun will not be ended by a stop document
                raise
            self._alarms, self._start_document, self._last_step = AlarmStream(doc["uid"]), doc, None
        self._sync()
        self._start_syncing()

    def _stop(self, doc: dict[str, Any]) -> None:
        try:
            with self._lock:
                alarms, self._alarms = self._alarms, None  # nothing comes after the stop document
                if alarms is not None and alarms.count:
                    doc = {**doc, "num_events": {**doc.get("num_events", {}), ALARMS.name: alarms.count}}
                doc = {**doc, **ending(self._start_document, doc, self._last_step)}
                self._write("stop", self._line("stop", doc))
            self._sync()
        finally:
            self._end_run()
        self._raise_failure()

    def _write(self, name: str, line: bytes) -> None:
        with self._lock:
            if self._segments is None:
                raise JournalError(f"{name} document outside a run: no start document came before it")
            try:
                self._segments.write(line)
            except OSError as error:
                self._failure, self._failure_told = error, True
                raise JournalError(
                    f"{self._segments.path}: the {name} document cannot be written: {error}"
                ) from error
            if self._segments.is_full and self._failure is None:
                self._failure = OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} but a reserve")

    def _sync(self) -> None:
        """Return once all that was written is on the medium; writers are not kept waiting meanwhile."""
        with self._syncing:
            with self._lock:
                fds = self._segments.take_unsynced() if self._segments is not None else []
            try:
                for fd in fds:
                    sync(fd)
            except OSError as error:
                self._failure = error
            finally:
                for fd in fds:
                    os.close(fd)

    def _raise_failure(self) -> None:
        if self._failure is None or self._failure_told:
            return
        self._failure_told = True
        kind = "disk_full" if self._failure.errno in (errno.ENOSPC, errno.EDQUOT) else "journal_failure"
        with contextlib.suppress(JournalError):
            nan = float("nan")
            self.alarm(kind=kind, source="journal", value=nan, limit=nan, action="the run is ended")
        raise JournalError(f"{self.run_directory}: the journal is not safe: {self._failure}")

    def _start_syncing(self) -> None:
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_forever, name="journal-sync", daemon=True)
            self._syncer.start()

    def _sync_forever(self) -> None:
        while not self._closed.wait(self._sync_period_second):
            self._sync()
            self._watch_disk()

    def _watch_disk(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._alarms is None or self._disk_low_told or now < self._next_look_at_disk:
                return
            self._next_look_at_disk = now + _DISK_PERIOD_SECOND
        with contextlib.suppress(OSError, JournalError):
            free = shutil.disk_usage(self._data).free
            if free < DISK_LOW_BYTE:
                self._disk_low_told = True
                limit, action = float(DISK_LOW_BYTE), "none: make room, or the run will be ended"
                self.alarm(kind="disk_low", source="journal", value=float(free), limit=limit, action=action)

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
            inside = self._alarms is not None
            for name, doc in self._alarms.documents(row) if self._alarms is not None else ():
                self._write(name, self._line(name, doc))
        if inside:
            self._sync()
        else:
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
        with self._lock:
            if self._segments is not None:
                self._segments.close()
            self._segments = self._alarms = None

    def close(self) -> None:
        """Stop syncing and let go of the run; a run without stop document is then "interrupted"."""
        self._closed.set()
        self._sync()
        self._end_run()
        if self._syncer is not None:
            self._syncer.join()
