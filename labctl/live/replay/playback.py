"""A stored run again: its documents let go at the pace of a clock that can be paused, hurried and set."""

from __future__ import annotations

import contextlib
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from labctl.documents import Page, page_of
from labctl.live.model.feed import Document, Feed
from labctl.schema import END_TEST_TIME, TEST_TIME

_TICK_SECOND = 0.05  # rows that are due within one tick of wall time are let go together
_POLL_SECOND = 0.05  # how late a waiting reader notices that nobody listens any more
_JOIN_TIMEOUT_SECOND = 2.0


class ReplayClock:
    """The run's time in a replay, in s. Any thread may ask, wait for it, and change it.

    Args:
        speed: Run time per wall time, > 0; None for as fast as the rows can be read.
    """

    def __init__(self, speed: float | None) -> None:
        self._changed = threading.Condition()
        self._speed = speed
        self._playing = True
        self._set_at_second, self._set_at_wall = 0.0, time.monotonic()
        self._let_go_second = 0.0

    @property
    def speed(self) -> float | None:
        """Run time per wall time; None for as fast as the rows can be read."""
        return self._speed

    @property
    def playing(self) -> bool:
        """Whether time passes."""
        return self._playing

    @property
    def now_second(self) -> float:
        """The run's time: no later row is let go."""
        with self._changed:
            return self._now()

    def _now(self) -> float:
        if not self._playing:
            return self._set_at_second
        if self._speed is None:
            return inf
        return self._set_at_second + (time.monotonic() - self._set_at_wall) * self._speed

    def set_speed(self, speed: float | None) -> None:
        """Go on at another speed."""
        with self._changed:
            self._settle()
            self._speed = speed

    def play(self, playing: bool = True) -> None:
        """Let time pass, or stand still (at the last row that was let go, if that was ahead of time)."""
        with self._changed:
            self._settle()
            if not playing:
                self._set_at_second = max(self._set_at_second, self._let_go_second)
            self._playing = playing

    def set_to(self, second: float) -> bool:
        """Set the run's time; rows up to there that were not let go yet are due at once.

        Returns:
            Whether later rows were let go already, so that the run must be read from its beginning again.
        """
        with self._changed:
            back = second < self._let_go_second
            self._settle()
            self._set_at_second = self._let_go_second = max(second, 0.0)
            return back

    def _settle(self) -> None:
        """Begin anew at the present moment, so that what changes now changes nothing before."""
        now = self._now()
        self._set_at_second = self._let_go_second if now == inf else now
        self._set_at_wall = time.monotonic()
        self._changed.notify_all()

    def wait_for(self, times_second: Sequence[float], halt: threading.Event) -> int:
        """Wait until the first of some rows is due.

        Returns:
            The number of rows that are due then, or within a tick; 0 if `halt` was set before.
        """
        with self._changed:
            while not halt.is_set():
                left = times_second[0] - self._now()
                if left <= 0:
                    return self._let_go(times_second)
                wall = left / self._speed if self._playing and self._speed else inf
                self._changed.wait(min(wall, _POLL_SECOND))
        return 0

    def _let_go(self, times_second: Sequence[float]) -> int:
        ahead = _TICK_SECOND * (self._speed or 0.0) if self._playing else 0.0
        count = bisect_right(times_second, self._now() + ahead)
        self._let_go_second = max(times_second[count - 1], self._let_go_second)
        return count


def paced(documents: Iterable[Document], clock: ReplayClock, halt: threading.Event) -> Iterator[Document]:
    """Yield documents when the clock has come to their `test_time_second`; pages are cut where they wait.

    Args:
        documents: The documents of one run in order.
        clock: The run's time.
        halt: Ends the iteration when set.
    """
    for name, doc in documents:
        page = page_of(name, doc)
        times = None if page is None else _times(page)
        if page is None or times is None:
            yield name, doc
            continue
        first = 0
        while first < len(times):
            count = clock.wait_for(times[first:], halt)
            if not count:
                return
            yield page.between(first, first + count) if count < len(times) else (name, doc)
            first += count


def _times(page: Page) -> list[float] | None:
    """Times of the rows in s; None for what has none, which goes through at once."""
    column = page.column(TEST_TIME)
    if not column:
        return None
    times = np.asarray(column, dtype=float)
    return np.maximum.accumulate(np.nan_to_num(times, nan=0.0)).tolist()


class Playback:
    """One stored run, shown again.

    Args:
        documents: Gives the run's documents in order, from the first one at each call.
        speed: Run time per wall time, > 0; None for as fast as the rows can be read.
        title: What is replayed, in words.
        live: Of a run that is still going: gives the same documents, and then what comes until it ends or the
            event is set.
    """

    def __init__(
        self,
        documents: Callable[[], Iterator[Document]],
        speed: float | None,
        title: str,
        live: Callable[[threading.Event], Iterator[Document]] | None = None,
    ) -> None:
        self.title = title
        self.clock = ReplayClock(speed)
        self.outline: Outline | None = None
        self._documents, self._live = documents, live
        self._halt = threading.Event()
        self._reader = threading.Thread(target=self._read_outline, name="replay-outline", daemon=True)
        self._reader.start()

    def feed(self) -> Feed:
        """Read the run from its beginning, at the pace of the clock."""
        return Feed(lambda halt: paced(self._all(halt), self.clock, halt))

    def _all(self, halt: threading.Event) -> Iterator[Document]:
        return self._live(halt) if self._live is not None else self._documents()

    def _read_outline(self) -> None:
        with contextlib.suppress(Exception):  # the feed reads the same documents and tells what is wrong
            self.outline = read_outline(self._documents(), self._halt)
            if self._live is not None and self.outline is not None:
                self._lengthen(self.outline, self._live(self._halt))

    def _lengthen(self, known: Outline, documents: Iterator[Document]) -> None:
        """Let the outline grow with the run."""
        measured = _Measured()
        for name, doc in documents:
            measured.add(name, doc)
            if measured.last_second > known.duration_second:
                self.outline = measured.outline

    def close(self) -> None:
        """End the reading of the outline."""
        self._halt.set()
        self._reader.join(_JOIN_TIMEOUT_SECOND)


@dataclass(frozen=True)
class Outline:
    """How long a run is, and where its steps end; in s of `test_time_second`."""

    duration_second: float
    step_ends_second: tuple[float, ...]


class _Measured:
    """The outline of the documents so far."""

    def __init__(self) -> None:
        self.last_second = 0.0
        self._ends: list[float] = []

    def add(self, name: str, doc: dict[str, Any]) -> None:
        """Take in a document."""
        page = page_of(name, doc)
        if page is None:
            return
        if times := _times(page):
            self.last_second = max(self.last_second, times[-1])
        self._ends += page.column(END_TEST_TIME) or ()

    @property
    def outline(self) -> Outline:
        """As far as is known."""
        return Outline(self.last_second, tuple(sorted(end for end in self._ends if isfinite(end))))


def read_outline(documents: Iterable[Document], halt: threading.Event) -> Outline | None:
    """The outline of a run from all of its documents; None when `halt` was set meanwhile."""
    measured = _Measured()
    for name, doc in documents:
        if halt.is_set():
            return None
        measured.add(name, doc)
    return measured.outline
