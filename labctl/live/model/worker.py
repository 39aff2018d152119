"""A worker thread for calculations that would block the window."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

_JOIN_TIMEOUT_SECOND = 2.0
_log = logging.getLogger(__name__)
Job = tuple[Callable[[], Any], Callable[[Any], None]]


class Worker:
    """Does jobs one after another in a thread of its own, the newest first.

    Args:
        threaded: False to do each job at once, in the thread that asks for it (for pictures).
    """

    def __init__(self, *, threaded: bool = True) -> None:
        self._threaded = threaded
        self._jobs: list[Job] = []
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Have `work` called; `done` gets its result when `deliver` is called, None if it failed."""
        with self._changed:
            self._jobs.append((work, done))
            if self._threaded and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="live-worker", daemon=True)
                self._thread.start()
            self._changed.notify()
        if not self._threaded:
            self._do(*self._jobs.pop())
            self.deliver()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._jobs)

    def deliver(self) -> None:
        """Hand over what is done, in the thread that calls this."""
        while self._done:
            done, result = self._done.popleft()
            done(result)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                job = self._jobs.pop()
            self._do(*job)

    def _do(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            result = work()
        except Exception:  # noqa: BLE001 - one pulse or spectrum that cannot be fitted must not end the others
            _log.exception("a fit of the live window failed")
            result = None
        self._done.append((done, result))

    def close(self) -> None:
        """End the thread after the job it is at."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_JOIN_TIMEOUT_SECOND)
