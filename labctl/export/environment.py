"""Temperature and pressure at the times of samples, only where they were read near by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.bdf import ENVIRONMENT_COLUMNS
from labctl.schema import TEST_TIME

Array = NDArray[np.float64]
NEAR_SECOND = 60.0  # readings closer together than this are always joined by a line
NEAR_SPACINGS = 3.0  # ... and those closer than this many of the run's usual spacings


@dataclass(frozen=True)
class EnvironmentReadings:
    """The `environment` rows of a run, in order of test time.

    Between two readings that are at most `near_second` apart values lie on the straight line; elsewhere they
    are NaN: before the first, after the last, in a gap, beside a reading that was not valid.
    """

    time_second: Array
    columns: Mapping[str, Array]
    near_second: float

    @classmethod
    def from_columns(cls, stream: Mapping[str, NDArray]) -> EnvironmentReadings:
        """From the columns of the stream; empty if the run has none."""
        time = np.asarray(stream.get(TEST_TIME, ()), dtype=np.float64)
        order = np.argsort(time, kind="stable")
        order = order[np.isfinite(time[order])]
        time = time[order]
        spacing = np.diff(time)
        usual = float(np.median(spacing)) if spacing.size else 0.0
        columns = {
            name: np.asarray(stream[name], np.float64)[order]
            for name in ENVIRONMENT_COLUMNS
            if name in stream
        }
        return cls(time, columns, max(NEAR_SECOND, NEAR_SPACINGS * usual))

    def at(self, name: str, time_second: Array) -> Array:
        """The column `name` at the times `time_second`."""
        times, values = self.time_second, self.columns[name]
        after = np.searchsorted(times, time_second, side="left")
        found = np.full(len(time_second), np.nan)
        exact = _same(times, after, time_second)
        found[exact] = values[after[exact]]
        between = ~exact & (after > 0) & (after < len(times))
        between[between] &= (times[after[between]] - times[after[between] - 1]) <= self.near_second
        right = after[between]
        left = right - 1
        share = (time_second[between] - times[left]) / (times[right] - times[left])
        found[between] = values[left] + share * (values[right] - values[left])
        return found


def _same(times: Array, index: NDArray[np.intp], time_second: Array) -> NDArray[np.bool_]:
    inside = index < len(times)
    inside[inside] = times[index[inside]] == time_second[inside]
    return inside
