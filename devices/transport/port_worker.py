"""The one thread that uses a port: jobs are done one after another, callers never touch the wire."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], object], "Future[object]"]


class PortWorker:
    """A daemon thread with a queue, so that a hung instrument can never keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Queue `job`; its result or exception arrives in the future."""
        future: Future[T] = Future()
        self._jobs.put((job, future))  # type: ignore[arg-type]
        return future

    def close(self, timeout_second: float = 2.0) -> bool:
        """End the thread after the jobs queued so far; whether it has ended. May be called again."""
        self._jobs.put(None)
        self._thread.join(timeout_second)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to whoever asked
                future.set_exception(error)
