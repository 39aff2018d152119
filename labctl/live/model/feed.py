"""Documents from a thread of their own to the window, through a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labctl.documents import row_count
from labctl.errors import StoreError
from labctl.journal.format import Damage
from labctl.journal.reader import follow
from labctl.runs.directory import is_run_directory
from labctl.runs.summary import RunSummary

Document = tuple[str, dict[str, Any]]
Source = Callable[[threading.Event], Iterator[Document]]
_MOST_WAITING = 100_000  # rows, about 25 MB; bounds the memory of what was read and not yet taken
_WEIGHT_OF_DOCUMENT = 20  # what a document weighs beside its rows, in rows
_JOIN_TIMEOUT_SECOND = 2.0


class Feed:
    """Reads documents in a thread and hands them over when asked; a slow window slows only this reading.

    Args:
        source: Called in the thread with an event that is set when reading must end; gives the documents.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting: deque[Document] = deque()
        self._taken: deque[Document] = deque()  # of the thread that drains
        self._weight = 0
        self._room = threading.Condition()
        self._halt = threading.Event()
        self._exhausted = threading.Event()
        self._thread = threading.Thread(target=self._read, name="live-reader", daemon=True)
        self.error: Exception | None = None
        self._thread.start()

    def _read(self) -> None:
        try:
            for document in self._source(self._halt):
                if not self._put(document):
                    return
        except Exception as error:  # noqa: BLE001 - the thread has nobody to raise to: the window shows it
            self.error = error
        finally:
            self._exhausted.set()

    def _put(self, document: Document) -> bool:
        with self._room:
            self._room.wait_for(lambda: self._weight < _MOST_WAITING or self._halt.is_set())
            if self._halt.is_set():
                return False
            self._waiting.append(document)
            self._weight += _weight(document)
        return True

    def drain(self, sink: Callable[[str, dict[str, Any]], None], budget_second: float) -> int:
        """Hand waiting documents to `sink` for at most about `budget_second`; the number handed over."""
        end = time.perf_counter() + budget_second
        count = 0
        while time.perf_counter() < end and (self._taken or self._take()):
            sink(*self._taken.popleft())
            count += 1
        return count

    def _take(self) -> bool:
        """Take all that waits in one go: the threads meet at the lock once a portion, not per document."""
        with self._room:
            self._taken, self._waiting, self._weight = self._waiting, self._taken, 0
            self._room.notify()
        return bool(self._taken)

    @property
    def finished(self) -> bool:
        """Whether the source has ended and everything was handed over."""
        return self._exhausted.is_set() and not self._waiting and not self._taken

    def close(self) -> None:
        """End the reading."""
        self._halt.set()
        with self._room:
            self._room.notify()
        self._thread.join(_JOIN_TIMEOUT_SECOND)


class JournalSource:
    """A run's journal as a source of documents; counts damaged stretches."""

    def __init__(self, run_directory: Path) -> None:
        self._directory = run_directory
        self.damaged = 0

    def __call__(self, halt: threading.Event) -> Iterator[Document]:
        """The history, then what comes."""
        return follow(self._directory, live=True, stop=halt, on_damage=self._count)

    def now(self) -> Iterator[Document]:
        """What is there now."""
        return follow(self._directory, live=False, on_damage=self._count)

    def _count(self, _: Damage) -> None:
        self.damaged += 1


def _weight(document: Document) -> int:
    return _WEIGHT_OF_DOCUMENT + row_count(*document)


def documents_of(data_directory: Path, run: RunSummary) -> Iterator[Document]:
    """The documents of a run: from its journal, or from the document store where that is gone.

    Raises:
        LabctlError: Neither has it (any more).
    """
    if is_run_directory(run.directory):
        yield from follow(run.directory, live=False)
        return
    if not _has_store(data_directory):
        raise StoreError("its journal was removed, and there is no document store")
    from labctl.store.client.store import Store

    with Store(data_directory) as store:
        yield from store.documents(run.uid, source="tiled")


class StoreSource:
    """A run of the document store as a source of documents."""

    damaged = 0

    def __init__(self, data_directory: Path, run: RunSummary) -> None:
        self._data, self._run = data_directory, run

    def __call__(self, halt: threading.Event) -> Iterator[Document]:
        """All of it."""
        for document in documents_of(self._data, self._run):
            if halt.is_set():
                return
            yield document


def _has_store(data_directory: Path) -> bool:
    return (Path(data_directory) / "store").is_dir()
