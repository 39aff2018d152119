"""The pulses of a GITT, fitted in a worker thread when they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live.model.worker import Worker
from labctl.schema import (
    END_REASON,
    END_TEST_TIME,
    START_TEST_TIME,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TYPE,
    TIMESERIES,
)

if TYPE_CHECKING:
    from labctl.analysis.gitt.stream import FittedPulse, GittStream, PulseWindow, Transients
    from labctl.documents import Column


_STEP_COLUMNS = {
    STEP_COUNT,
    STEP_TYPE,
    END_REASON,
    START_TEST_TIME,
    END_TEST_TIME,
    STEP_CHARGING_CAPACITY,
    STEP_DISCHARGING_CAPACITY,
}
_AT_ONCE = 3  # jobs given to the worker; what waits here can still be overtaken by a newer pulse
_MOST_ROWS_WAITING = 2_000_000  # about 100 MB
_MOST_ROWS_SHOWN = 1500


class Pulses:
    """Fitted pulses of one run by step count; feed it as `GittStream`.

    Args:
        start: The run's start document.
        wanted: False for a run that has none: nothing is kept then.
        most_rows_waiting: Samples that may wait for a fit; beyond, reading waits for one.

    Attributes:
        fitted: What is known of each pulse that has ended, in their order.
        version: Grows with every pulse that was fitted.
    """

    def __init__(
        self, start: Mapping[str, Any], *, wanted: bool, most_rows_waiting: int = _MOST_ROWS_WAITING
    ) -> None:
        self._most_rows_waiting = most_rows_waiting
        self._start, self._wanted = start, wanted
        self._stream: GittStream | None = None
        self._waiting: list[PulseWindow] = []
        self._newest = 0
        self._rows_waiting = self._with_worker = 0
        self.fitted: dict[int, FittedPulse] = {}
        self.version = 0

    def take_samples(self, columns: Mapping[str, Column]) -> None:
        """Take rows of `timeseries`."""
        if not self._wanted:
            return
        if self._stream is None:
            from labctl.analysis.gitt.stream import GittStream

            self._stream = GittStream(self._start)
        self._stream.take_samples(columns)

    def take_temperature(self, test_time_second: float, celsius: float) -> None:
        """Take a temperature of the cell."""
        if self._stream is not None:
            self._stream.take_temperature(test_time_second, celsius)

    def take_step(self, row: Mapping[str, Any]) -> None:
        """Take a row of `steps`; a foreign journal's may lack what a fit needs."""
        if self._stream is None or not row.keys() >= _STEP_COLUMNS:
            return
        window = self._stream.take_step(row)
        if window is None:
            return
        self._waiting.append(window)
        self._newest = window.newest
        self._rows_waiting += _rows(window)
        while self._rows_waiting > self._most_rows_waiting:
            oldest = self._waiting.pop(0)
            self._rows_waiting -= _rows(oldest)
            self._keep(oldest.fit(with_newest=oldest.newest == self._newest))

    @property
    def waiting(self) -> int:
        """Pulses that are known and not fitted yet."""
        return len(self._waiting) + self._with_worker

    def pursue(self, worker: Worker) -> None:
        """Give the worker something to do, if there is anything."""
        while self._waiting and self._with_worker < _AT_ONCE:
            window = self._waiting.pop()
            self._rows_waiting -= _rows(window)
            self._with_worker += 1
            with_newest = window.newest == self._newest
            worker.submit(lambda w=window, n=with_newest: w.fit(with_newest=n), self._done)

    def _done(self, fitted: tuple[FittedPulse, ...] | None) -> None:
        self._with_worker -= 1
        self._keep(fitted or ())

    def _keep(self, fitted: tuple[FittedPulse, ...]) -> None:
        for found in fitted:
            known = self.fitted.get(found.pulse.step_count)
            if known is None or not found.last:  # a fit without its second neighbour never replaces one with
                self.fitted[found.pulse.step_count] = replace(found, transients=_thinned(found.transients))
        self.fitted = dict(sorted(self.fitted.items()))
        self.version += 1


def _rows(window: PulseWindow) -> int:
    return len(window.tables.stream(TIMESERIES.name).get(STEP_COUNT, ()))


def _thinned(curves: Transients) -> Transients:
    count = len(curves.time_second)
    if count <= _MOST_ROWS_SHOWN:
        return curves
    rows = np.unique(np.linspace(0, count - 1, _MOST_ROWS_SHOWN).astype(int))
    parts = (curves.time_second, curves.voltage_volt, curves.fitted_volt)
    time, voltage, fitted = (part[rows] for part in parts)
    return replace(curves, time_second=time, voltage_volt=voltage, fitted_volt=fitted)
