"""Following a journal: every whole document from the start, then live, at constant memory."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from labctl.documents import Page, page_of
from labctl.errors import NewerFormatError
from labctl.formats import START_FIELD, is_newer, require_readable
from labctl.journal.document_checks import DocumentCheck, without_nonsense
from labctl.journal.format import (
    LINE_LIMIT_BYTE,
    LOCK_NAME,
    Damage,
    NanRestorer,
    decode,
    is_rows,
    segment_name,
    segments,
)
from labctl.platform import is_locked, open_regular
from labctl.schema import TIMESERIES

_BLOCK_BYTE = 1 << 18
_TAIL_LIMIT_BYTE = 8 << 20
_HEAD_LIMIT_BYTE = 4 << 20
_POINTS_STREAM = TIMESERIES.name


def first_document(directory: Path) -> dict[str, Any]:
    """The start document; if it is damaged, what is known without it; nothing if none was written yet.

    One of a newer format is given as it stands, unchecked.
    """
    path = segments(directory)[0]
    with io.BufferedReader(open_regular(path, follow=False)) as file:
        line = file.readline(LINE_LIMIT_BYTE + 1)  # and its newline
        file_time = os.fstat(file.fileno()).st_mtime
    try:
        record = decode(line.removesuffix(b"\n"))
        if record["name"] == "start":
            if not is_newer("journal", record["doc"].get(START_FIELD)):
                without_nonsense("start", record["doc"])
            return record["doc"]
    except ValueError:
        pass
    return {"time": file_time, "plan_name": "(start document damaged)"} if line else {}


def require_readable_run(directory: Path) -> None:
    """Go on only with a run that this labctl can read.

    Raises:
        NewerFormatError: Only a newer one can.
    """
    require_readable("journal", first_document(directory).get(START_FIELD), str(directory))


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
            if is_rows(line) and any(uid in line for uid in descriptors):
                try:
                    return _page(line).highest_seq_num
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                    continue
    return 0


def last_step(directory: Path) -> dict[str, Any] | None:
    """The last row of `steps`; None if there is none near the end.

    It is known by its columns, because descriptors stand anywhere.
    """
    for path in reversed(segments(directory)):
        for line in _lines_backwards(path):
            if is_rows(line) and b'"protocol_step":' in line and (row := _row(line)):
                return row
    return None


def is_paused(directory: Path) -> bool:
    """Whether the last thing that a run says, but for alarms, is that it is paused."""
    for line in _lines_backwards(segments(directory)[-1]):
        if not line.startswith(b'{"name":"descriptor"') and "action" not in (row := _row(line)):
            return row.get("interruption") == "pause"
    return False


def _row(line: bytes) -> dict[str, Any]:
    """The (last) row of a line; empty where it holds none, or is damaged."""
    try:
        return dict(_page(line).last_row)
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}


def _page(line: bytes) -> Page:
    """The rows of a line.

    Raises:
        ValueError: It is damaged, or holds none.
    """
    record = decode(line)
    page = page_of(record["name"], record["doc"])
    if page is None:
        raise ValueError(f"a {record['name']} document holds no rows")
    return page


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


_CHUNK_BYTE = 1 << 20
_log = logging.getLogger(__name__)


def follow(
    run_directory: Path,
    *,
    live: bool = True,
    poll_second: float = 0.1,
    stop: threading.Event | None = None,
    on_damage: Callable[[Damage], None] | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, document) of a run from its start document on.

    Raises NewerFormatError in place of the start document of a run that only a newer labctl can read.

    Args:
        run_directory: The directory that holds the journal's segments and `writer.lock`.
        live: Wait for more until the stop document has come, or until nobody holds `writer.lock` and the
            file has ended (an interrupted run). False: only what is there now.
        poll_second: Wall time between looks at the file while waiting.
        stop: Set it to end the iteration from outside.
        on_damage: Told of each damaged stretch, which is then skipped; default is a logged warning. A torn
            last line is no damage: it is skipped in silence.
    """
    tail, halt = Tail(run_directory, on_damage), stop or threading.Event()
    try:
        while not halt.is_set():
            # The lock is looked at before reading: all that was written while it was held is then read.
            more = live and tail.is_being_written()
            for name, doc in tail.available():
                yield name, doc
                if name == "stop" or halt.is_set():
                    return
            if not more:
                return
            halt.wait(poll_second)
    finally:
        tail.close()


class Tail:
    """A place in a journal: gives the documents that have come since it was last asked.

    Args:
        run_directory: The directory that holds the journal's segments and `writer.lock`.
        on_damage: Told of each damaged stretch, which is then skipped; default is a logged warning.
        last_byte: Begin at most so many bytes before the end of what is written now; the line that is cut
            through is told as damage.
    """

    def __init__(
        self,
        run_directory: Path,
        on_damage: Callable[[Damage], None] | None = None,
        *,
        last_byte: int | None = None,
    ) -> None:
        self._directory = Path(run_directory)
        self._report = on_damage or _warn
        self._reader, self._restorer = LineReader(self._directory, last_byte), NanRestorer()
        self._check = DocumentCheck()
        self._newer: NewerFormatError | None = None

    def is_being_written(self) -> bool:
        """True while the run's writer lives."""
        return is_locked(self._directory / LOCK_NAME)

    def available(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (name, document) up to the end of what is written now.

        Raises:
            NewerFormatError: Only a newer labctl can read this run; each time it is asked for.
        """
        if self._newer is not None:
            raise self._newer
        for found in self._reader.available():
            if isinstance(found, Damage):
                self._report(found)
                continue
            file, offset, line = found
            document = None
            try:
                record = decode(line)
                document = record["name"], record["doc"]
                self._require_readable(record, file)
                taken_out = self._check.check(record["name"], record["doc"])
                self._restorer.restore(record["name"], record["doc"], line)
            except ValueError as error:
                self._report(Damage(file, offset, str(error), document))
                continue
            except (TypeError, AttributeError, KeyError, RecursionError) as error:
                reason = f"not a document as Bluesky makes them: {error}"
                self._report(Damage(file, offset, reason, document))
                continue
            for told in taken_out:
                self._report(Damage(file, offset, told))
            yield record["name"], record["doc"]

    def _require_readable(self, record: dict[str, Any], file: Path) -> None:
        if record["name"] != "start":
            return
        try:
            require_readable("journal", record["doc"].get(START_FIELD), str(file))
        except NewerFormatError as error:
            self._newer = error
            raise

    def close(self) -> None:
        """Close the file; a later `available` opens it again and goes on from the same place."""
        self._reader.close()


def _warn(damage: Damage) -> None:
    _log.warning("journal damaged, stretch skipped: %s", damage)


class LineReader:
    """Reads the whole lines of a run's segments as they come; lines above 32 MB are skipped."""

    def __init__(self, run_directory: Path, last_byte: int | None = None) -> None:
        self._directory = run_directory
        self._number = self._position = 0
        if last_byte is not None and (there := segments(run_directory)):
            self._number = len(there) - 1
            self._position = max(there[-1].stat().st_size - last_byte, 0)
        self._path = run_directory / segment_name(self._number)
        self._file: io.FileIO | None = None
        self._refused = False  # what goes by the segment's name is no regular file
        self._begin(self._position)

    def _begin(self, offset: int) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        self._offset = offset

    def close(self) -> None:
        """Close the file; a later `available` opens it again and goes on from the same place."""
        if self._file is not None:
            self._position = self._file.tell()
            self._file.close()
            self._file = None

    def available(self) -> Iterator[tuple[Path, int, bytes] | Damage]:
        """Yield (file, byte offset, line without newline) for what is complete now, and damage."""
        if self._file is None and not (yield from self._open()):
            return
        while True:
            if chunk := self._read():
                yield from self._split(chunk)
                continue
            if not os.path.lexists(self._directory / segment_name(self._number + 1)):
                return
            if chunk := self._read():  # written between our last look and the rotation
                yield from self._split(chunk)
                continue
            if self._length:
                yield Damage(self._path, self._offset, "the segment ends within a line")
            if not (yield from self._advance()):
                return

    def _open(self) -> Generator[Damage, None, bool]:
        """Open the segment; one that is none is told, once, and the journal ends before it."""
        if self._refused or not os.path.lexists(self._path):
            return False
        try:
            self._file = open_regular(self._path, follow=False)
        except OSError as error:
            self._refused = True
            yield Damage(self._path, 0, f"cannot be read: {error.strerror or error}")
            return False
        self._file.seek(self._position)
        return True

    def _read(self) -> bytes:
        return (self._file and self._file.read(_CHUNK_BYTE)) or b""

    def _advance(self) -> Generator[Damage, None, bool]:
        self.close()
        self._number, self._position = self._number + 1, 0
        self._path = self._directory / segment_name(self._number)
        self._begin(0)
        return (yield from self._open())

    def _split(self, chunk: bytes) -> Iterator[tuple[Path, int, bytes] | Damage]:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            if self._length > LINE_LIMIT_BYTE:
                yield Damage(
                    self._path, self._offset, f"a line of {self._length} bytes, allowed {LINE_LIMIT_BYTE}"
                )
            elif self._length:
                yield self._path, self._offset, b"".join(self._parts)
            start = end + 1
            self._begin(self._offset + self._length + 1)
        self._keep(chunk[start:])

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._length += len(piece)
            self._parts.append(piece)
            if self._length > LINE_LIMIT_BYTE:
                self._parts.clear()
