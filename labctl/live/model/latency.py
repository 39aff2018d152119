"""How the window itself does: how late it is, and which frames it left out."""

from __future__ import annotations

import time
from collections import deque
from statistics import median

from labctl.live.model.run_model import RunModel
from labctl.live.text import grouped

FRAME_SECOND = 0.05  # at most 20 repaints a second
_LAGS_REMEMBERED = 20
_OPENING_SECOND = 2.0  # after that a run is expected to be shown smoothly


class Health:
    """Tell it of every frame.

    Attributes:
        dropped_frames: Frames that should have been and were not, other than while a run was opened.
    """

    def __init__(self) -> None:
        self.dropped_frames = 0
        self._lags: deque[float] = deque(maxlen=_LAGS_REMEMBERED)
        self.open()

    def open(self) -> None:
        """Another run is opened."""
        self._lags.clear()
        self._opened_second = time.monotonic()
        self._ticked_second: float | None = None
        self._newest_unix_second: float | None = None

    def tick(self, now_second: float, *, busy: bool) -> None:
        """It is time for a frame (monotonic clock); `busy` while nobody waits for one."""
        busy = busy or now_second < self._opened_second + _OPENING_SECOND
        before, self._ticked_second = self._ticked_second, None if busy else now_second
        if before is not None and not busy:
            self.dropped_frames += max(round((now_second - before) / FRAME_SECOND) - 1, 0)

    def take(self, model: RunModel, now_unix_second: float, *, history: bool) -> None:
        """How long the newest rows took from being written to being here; not of what was written before."""
        newest, before = model.last_data_unix_second, self._newest_unix_second
        if newest != before and newest is not None:
            self._newest_unix_second = newest
            if before is not None and not history and model.stop is None:
                self._lags.append(max(now_unix_second - newest, 0.0))

    def text(self, model: RunModel, *, history: bool) -> str:
        """All of it in words, "" while there is nothing to tell."""
        told = []
        if history:
            told.append(f"reading history: {grouped(model.timeseries.rows_fed)} points")
        elif self._lags and model.stop is None:
            told.append(f"lag {median(self._lags):.2g} s")
        if self.dropped_frames:
            told.append(f"{grouped(self.dropped_frames)} frame{'s' * (self.dropped_frames > 1)} dropped")
        return " · ".join(told)
