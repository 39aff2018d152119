"""Time: the clock that is injected everywhere, and the keeper that gives a run its one time axis."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from labctl.errors import DeviceError


class Clock(Protocol):
    """Monotonic seconds, and waiting on them; a simulated station brings the bench's own."""

    def now(self) -> float:
        """Seconds since an arbitrary origin; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block for `seconds` of this clock's time."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock, for real stations."""

    def now(self) -> float:
        """Seconds of time.monotonic()."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block for `seconds` of wall time."""
        threading.Event().wait(seconds)


class TimeKeeper:
    """Gives all rows of one run their `test_time_second`: starts at 0, never goes back.

    The samples of a program get t0 + instrument time, where t0 is the last sample's test time plus the
    clock time gone by since that sample (at least 1 ms). Wall time never enters.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin a run: the next program starts at test time 0."""
        with self._lock:
            self._last_test_time_second = 0.0
            self._last_clock_second = self._clock.now()
            self._offset_second = self._last_clock_second  # clock time minus test time within this program
            self._empty, self._told = True, False

    def start_program(self) -> float:
        """Test time (s) of instrument time 0 of the program that starts now."""
        now = self._clock_now()
        with self._lock:
            shortest = 0.0 if self._empty else 1e-3
            t0 = self._elapsed(now, shortest) if self._told or not self._empty else 0.0
            self._empty = False
            self._last_test_time_second, self._last_clock_second = t0, now
            self._offset_second = now - t0
            return t0

    def note_sample(self, test_time_second: float) -> None:
        """Remember the newest sample of the running program."""
        with self._lock:
            self._last_test_time_second = max(self._last_test_time_second, test_time_second)
            self._last_clock_second = self._last_test_time_second + self._offset_second

    def now(self) -> float:
        """Test time (s) of something that happens now, such as an environment reading."""
        now = self._clock_now()
        with self._lock:
            self._told = True  # no program may begin before it
            return self._elapsed(now, at_least_second=0.0)

    def _clock_now(self) -> float:
        """A clock that died with its bench stands still: the last rows and alarms must still be written."""
        try:
            return self._clock.now()
        except DeviceError:
            return self._last_clock_second

    def _elapsed(self, clock_now_second: float, at_least_second: float) -> float:
        return self._last_test_time_second + max(clock_now_second - self._last_clock_second, at_least_second)
