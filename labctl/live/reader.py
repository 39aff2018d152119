"""Documents from a thread of their own to the window, through a bounded queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labctl.journal import Damage, follow

Document = tuple[str, dict[str, Any]]
Source = Callable[[threading.Event], Iterator[Document]]
_QUEUE_DOCUMENTS = 256  # bounds memory: a page has at most 1 000 rows
_PUT_TIMEOUT_SECOND = 0.1
_JOIN_TIMEOUT_SECOND = 2.0


class Feed:
    """Reads documents in a thread and hands them over when asked; a slow window slows only this reading.

    Args:
        source: Called in the thread with an event that is set when reading must end; gives the documents.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._queue: queue.Queue[Document] = queue.Queue(_QUEUE_DOCUMENTS)
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
        while not self._halt.is_set():
            try:
                self._queue.put(document, timeout=_PUT_TIMEOUT_SECOND)
            except queue.Full:
                continue
            return True
        return False

    def drain(self, sink: Callable[[str, dict[str, Any]], None], budget_second: float) -> bool:
        """Hand waiting documents to `sink` for at most about `budget_second`; True when more are waiting."""
        end = time.perf_counter() + budget_second
        while time.perf_counter() < end:
            try:
                name, doc = self._queue.get_nowait()
            except queue.Empty:
                return False
            sink(name, doc)
        return not self._queue.empty()

    @property
    def finished(self) -> bool:
        """Whether the source has ended and everything was handed over."""
        return self._exhausted.is_set() and self._queue.empty()

    def close(self) -> None:
        """End the reading."""
        self._halt.set()
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
