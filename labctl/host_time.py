"""Time during which this process ran, and gaps in it: a machine that slept, a process that was stopped.

Instruments go on while their host does not look. Whoever waits for an answer counts the time during which the
process could look (`awake_second`), so that a host that slept is never taken for an instrument that was
silent. A gap is reported once, to everybody who asked for it by `report_gaps`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")
GAP_SECOND = 1.5  # a busy machine lets a thread wait for tenths of a second
_BEAT_SECOND = 0.1
_LONGEST_BEAT_SECOND = 0.3  # of a longer pause so much counts as awake; of a gap nothing
_SLICE_SECOND = 0.2


def elapsed_second() -> float:
    """Seconds since an arbitrary origin; never goes back, and includes the time a machine was suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux: time.monotonic() stands still during a suspend
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class HostGap:
    """A stretch of time (s since 1970, and its length in s) during which this process did not run."""

    began_unix_second: float
    ended_unix_second: float
    length_second: float

    def as_alarm(self) -> dict[str, Any]:
        """Kind, source, value, limit and action of its row in the `alarms` stream."""
        began, ended = (
            datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds")
            for second in (self.began_unix_second, self.ended_unix_second)
        )
        return {
            "kind": "gap",
            "source": "host",
            "value": self.length_second,
            "limit": GAP_SECOND,
            "action": f"labctl did not run from {began} to {ended} "
            f"({self.length_second:.1f} s: suspended, stopped or overloaded); "
            "programs on the instruments continue",
        }


OnGap = Callable[[HostGap], object]


class HostTime:
    """Watches one process; `elapsed` is the clock that never stands still (s).

    Every call is a look at the clock, and so is every beat of a thread of its own: a pause between two looks
    that is longer than GAP_SECOND is a gap.
    """

    def __init__(self, elapsed: Callable[[], float] = elapsed_second) -> None:
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._last: float | None = None
        self._awake_second = 0.0
        self._gaps = 0
        self._listeners: list[OnGap] = []

    def awake_second(self) -> float:
        """Seconds this process has run, since an arbitrary origin."""
        return self.look()[0]

    def look(self) -> tuple[float, int]:
        """Seconds this process has run, and how many gaps there were until now."""
        gap = None
        with self._lock:
            if self._last is None:
                self._last = self._elapsed()
                threading.Thread(target=self._beat, name="host-time", daemon=True).start()
            now = self._elapsed()
            pause, self._last = now - self._last, now
            if pause <= GAP_SECOND:
                self._awake_second += min(pause, _LONGEST_BEAT_SECOND)
            else:
                self._gaps += 1
                unix_second = time.time()
                gap = HostGap(unix_second - pause, unix_second, pause)
            found, listeners = (self._awake_second, self._gaps), list(self._listeners)
        if gap is not None and listeners:  # in a thread of its own: a listener may wait, or write to a disk
            threading.Thread(target=_tell, args=(listeners, gap), name="host-gap", daemon=True).start()
        return found

    def _beat(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(_BEAT_SECOND)
            self.look()

    @contextmanager
    def report_gaps(self, listener: OnGap) -> Iterator[None]:
        """Within this context `listener` is called with every gap, in a thread of its own."""
        self.look()
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def done_within(self, future: Future[Any], awake_second: float) -> bool:
        """Wait for `future`; whether it is done. Only time during which this process ran counts."""
        deadline = self.awake_second() + awake_second
        while not future.done():
            left = deadline - self.awake_second()
            if left <= 0:
                return future.done()
            wait_for_futures([future], min(left, _SLICE_SECOND))
        return True

    def result_within(self, future: Future[T], awake_second: float) -> T:
        """The result of `future`, as `done_within` waits for it.

        Raises:
            concurrent.futures.TimeoutError: it is not done.
        """
        if not self.done_within(future, awake_second):
            raise FutureTimeoutError
        return future.result()


def _tell(listeners: list[OnGap], gap: HostGap) -> None:
    for listener in listeners:
        listener(gap)


HOST = HostTime()
"""Of this process: whether it runs is a fact of the process, as time.monotonic() is."""
