"""What every run of a program on an instrument shares: its record, its start, its end, and a wish to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from math import nan

from devices.program_record import ProgramRecord
from labctl.errors import TripError

OnReading = Callable[[float, float], None]
OnAlarm = Callable[..., None]


class ProgramRun:
    """One run of a program, followed by the reader thread; other threads only ask it to stop, and wait.

    Args:
        record: where its samples and steps go.
        on_reading: gets the newest voltage (V) and current (A).
        on_alarm: called with kind, source, value, limit, action.
    """

    def __init__(self, record: ProgramRecord, *, on_reading: OnReading, on_alarm: OnAlarm) -> None:
        self.record = record
        self.started: Future[None] = Future()
        self.ended = threading.Event()  # set when all output is in the record
        self._on_reading, self._on_alarm = on_reading, on_alarm
        self._stop_reason: str | None = None
        self._stop_asked = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it has ended or was asked to."""
        return self._stop_asked.is_set() or self.ended.is_set()

    def request_stop(self, reason: str) -> None:
        """End the program early; the open step gets `reason` as its end reason."""
        if self._stop_reason is None:
            self._stop_reason = reason
        self._stop_asked.set()

    def follow(self) -> None:
        """Take in all output; returns with the cell off, or raises DeviceError. If stopped, never starts."""
        raise NotImplementedError

    def close(self) -> None:
        """Whatever happened, nobody waits for start or end of this run any more."""
        if not self.started.done():
            self.started.set_result(None)
        self.ended.set()

    def _trip_at(self, limit: str, value: float, shown: str) -> TripError:
        """The alarm and the error of a program that has ended itself at a safety limit."""
        self._on_alarm(kind="trip", source=limit, value=value, limit=nan, action="circuit open")
        return TripError(f"{shown} passed the limit {limit}; the instrument has opened the circuit")
