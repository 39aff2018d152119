"""The newest part of a journal: last values, recent voltage, and their age."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from labctl.documents import Page, page_of
from labctl.journal.reader import Tail
from labctl.live.model.decimation import telling_rows
from labctl.schema import CURRENT, STEP_TIME, STEP_TYPE, TEST_TIME, VOLTAGE

_LAST_BYTE = 256 * 1024  # so much of a journal is read at first, however long it is
_MOST_SAMPLES = 512
_GAPS_REMEMBERED = 32


@dataclass(frozen=True)
class ChannelReading:
    """The newest part of a run.

    Attributes:
        times_second: `test_time_second` of recent samples.
        volts: Their voltages, V.
        current_ampere: The last current, > 0 charges; None before the first sample.
        peak_ampere: Largest magnitude of the current among what was read.
        step_type: Of the last sample, "" before the first.
        last_data_unix_second: Wall time of the last sample.
        longest_gap_second: Longest wall time between recent arrivals of data.
        paused: Whether the run says that it is paused.
        tripped: Whether a trip was reported that nobody has acknowledged.
    """

    times_second: tuple[float, ...] = ()
    volts: tuple[float, ...] = ()
    current_ampere: float | None = None
    peak_ampere: float = 0.0
    step_type: str = ""
    last_data_unix_second: float | None = None
    longest_gap_second: float = 0.0
    paused: bool = False
    tripped: bool = False

    @property
    def volt(self) -> float | None:
        """The last voltage, V."""
        return self.volts[-1] if self.volts else None


class NewestReader:
    """Reads the end of one run's journal, then what is added; memory is bounded.

    Rows are told apart by their columns, because the descriptors stand at the journal's beginning.
    """

    def __init__(self, run_directory: Path) -> None:
        self._tail = Tail(run_directory, on_damage=lambda _: None, last_byte=_LAST_BYTE)
        self._times: list[float] = []
        self._volts: list[float] = []
        self._gaps: deque[float] = deque(maxlen=_GAPS_REMEMBERED)
        self._reading = ChannelReading()

    def read(self) -> ChannelReading:
        """What the journal says now."""
        for name, doc in self._tail.available():
            if (page := page_of(name, doc)) is not None:
                self._take(page)
        self._tail.close()
        return self._reading

    def _take(self, page: Page) -> None:
        data = page.data
        if VOLTAGE in data and STEP_TIME in data:
            self._take_samples(data, page.last_time)
        elif data.get("interruption"):
            self._reading = replace(self._reading, paused=data["interruption"][-1] == "pause")
        elif "action" in data and "kind" in data:
            for kind in map(str, data["kind"]):
                if kind.startswith(("trip", "acknowledge")):
                    self._reading = replace(self._reading, tripped=kind.startswith("trip"))

    def _take_samples(self, data: Mapping[str, Any], when: float | None) -> None:
        if not data[VOLTAGE]:
            return
        self._times += _numbers(data[TEST_TIME])
        self._volts += _numbers(data[VOLTAGE])
        if len(self._volts) > _MOST_SAMPLES:
            kept = telling_rows(np.array(self._volts), _MOST_SAMPLES // 8)
            self._times = [self._times[row] for row in kept]
            self._volts = [self._volts[row] for row in kept]
        currents = _numbers(data[CURRENT])
        before = self._reading.last_data_unix_second
        if when is not None and before is not None:
            self._gaps.append(when - before)
        self._reading = replace(
            self._reading,
            times_second=tuple(self._times),
            volts=tuple(self._volts),
            current_ampere=currents[-1],
            peak_ampere=max([self._reading.peak_ampere, *(abs(one) for one in currents if isfinite(one))]),
            step_type=str(data[STEP_TYPE][-1]) if data.get(STEP_TYPE) else "",
            last_data_unix_second=when,
            longest_gap_second=max(self._gaps, default=0.0),
        )


def _numbers(values: Iterable[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]
