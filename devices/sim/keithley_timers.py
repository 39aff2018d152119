"""Trigger timers of an emulated Keithley unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf

_ROUNDING = 1e-6  # of a period


@dataclass
class Timer:
    """One timer. Its events are numbered from 1; `seen` is the last one that somebody has acted upon."""

    delay_second: float = 10e-6
    count: int = 1
    stimulus: str = "NONE"
    at_start: bool = False
    enabled: bool = False
    started_second: float | None = None
    seen: int = 0

    def start(self, now_second: float) -> None:
        """Its stimulus has come; a running timer goes on."""
        if self.enabled and (self.started_second is None or self.over(now_second)):
            self.started_second, self.seen = now_second, 0

    def stop(self) -> None:
        """Idle until its stimulus comes."""
        self.started_second, self.seen = None, 0

    def over(self, now_second: float) -> bool:
        """Whether no event comes any more."""
        return self.count > 0 and self.events_until(now_second) >= self.count

    def events_until(self, now_second: float) -> int:
        """How many events there were."""
        if self.started_second is None:
            return 0
        events = floor((now_second - self.started_second) / self.delay_second + _ROUNDING) + self.at_start
        return min(events, self.count) if self.count else events

    def time_of(self, event: int) -> float:
        """When an event comes; inf if it never does."""
        if self.started_second is None or (self.count and event > self.count):
            return inf
        return self.started_second + (event - self.at_start) * self.delay_second

    def pending(self, now_second: float) -> bool:
        """Whether an event has come that nobody has acted upon; several count as one."""
        return self.events_until(now_second) > self.seen

    def take(self, now_second: float) -> None:
        """Act upon all events so far."""
        self.seen = self.events_until(now_second)
