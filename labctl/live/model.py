"""What a window knows of one run, gathered from its documents; no user interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from labctl.live.series import MAX_ROWS, Series
from labctl.progress import Progress, last_row, last_time

CURVES = ("voltage_volt", "current_ampere")
_GAPS_REMEMBERED = 32


class RunModel:
    """Curves, last values, steps and progress of one run; feed it the run's documents in order.

    Attributes:
        start: The start document, or None before it came.
        stop: The stop document, or None.
        timeseries: Voltage (V) and current (A, > 0 charges) over `test_time_second`.
        steps: One row per finished step, as in the stream `steps`.
        last: Last row of each stream, by the stream's name.
        alarms: Number of rows of the stream `alarms`.
        paused: Whether the run says that it is paused.
        last_data_unix_second: Wall time of the newest row of `timeseries`.
        longest_gap_second: Longest wall time between recent arrivals of data.
        progress: How far the run is.
        version: Grows with every document.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.start: dict[str, Any] | None = None
        self.stop: dict[str, Any] | None = None
        self.timeseries = Series(CURVES, max_rows)
        self.steps: list[dict[str, Any]] = []
        self.last: dict[str, Mapping[str, Any]] = {}
        self.alarms = 0
        self.paused = False
        self.last_data_unix_second: float | None = None
        self.progress = Progress()
        self.version = 0
        self._streams: dict[str, str] = {}
        self._gaps: deque[float] = deque(maxlen=_GAPS_REMEMBERED)

    def feed(self, name: str, doc: dict[str, Any]) -> None:
        """Take the next document."""
        self.version += 1
        if name in ("event", "event_page"):
            self._take_rows(name, doc)
            return
        self.progress.feed(name, doc)
        if name == "start":
            self.start = doc
        elif name == "descriptor":
            self._streams[str(doc.get("uid"))] = str(doc.get("name"))
        elif name == "stop":
            self.stop = doc

    def _take_rows(self, name: str, doc: dict[str, Any]) -> None:
        stream = self._streams.get(str(doc.get("descriptor")), "")
        row = last_row(doc)
        if not row:
            return
        self.last[stream] = row
        if stream == "timeseries":
            self._take_samples(doc, row)
        elif stream == "steps":
            self.progress.feed(name, doc)
            self.steps.extend(_rows(doc))
        elif stream == "alarms":
            self.alarms += _count(doc)
        elif stream == "interruptions":
            self.paused = row.get("interruption") == "pause"

    def _take_samples(self, doc: dict[str, Any], row: Mapping[str, Any]) -> None:
        when = last_time(doc)
        self.progress.take_sample(row, when)
        data = doc["data"]
        if not isinstance(doc.get("seq_num"), list):
            data = {key: [value] for key, value in data.items()}
        self.timeseries.add(data.get("test_time_second", []), data)
        if when is None:
            return
        if self.last_data_unix_second is not None:
            self._gaps.append(when - self.last_data_unix_second)
        self.last_data_unix_second = when

    @property
    def longest_gap_second(self) -> float:
        """Longest wall time between recent arrivals of data, 0 if there were none."""
        return max(self._gaps, default=0.0)

    @property
    def uid(self) -> str:
        """The run's uid, "" before its start document."""
        return str(self.start.get("uid", "")) if self.start else ""

    @property
    def plan_name(self) -> str:
        """The plan's name, "" if unknown."""
        return str(self.start.get("plan_name", "")) if self.start else ""

    @property
    def station(self) -> str:
        """The station's name, "" if unknown."""
        return _name(self.start.get("station"), "name") if self.start else ""

    @property
    def cell_id(self) -> str:
        """The cell's id, "" if unknown."""
        return _name(self.start.get("cell"), "id") if self.start else ""

    @property
    def coating(self) -> str:
        """The coating in words, e.g. "Li3InCl6 3 wt%" or "uncoated"; "" where the cell does not tell."""
        cell = self.start.get("cell") if self.start else None
        if not isinstance(cell, Mapping) or "coating" not in cell:
            return ""
        coating = cell["coating"]
        if not isinstance(coating, Mapping):
            return str(coating) if coating else "uncoated"
        percent = coating.get("mass_percent")
        share = f" {percent:g} wt%" if isinstance(percent, int | float) else ""
        return f"{coating.get('material', 'coated')}{share}"


def _name(record: Any, key: str) -> str:
    if isinstance(record, Mapping):
        return str(record.get(key, ""))
    return str(record or "")


def _count(doc: Mapping[str, Any]) -> int:
    number = doc.get("seq_num")
    return len(number) if isinstance(number, list) else 1


def _rows(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = doc["data"]
    if not isinstance(doc.get("seq_num"), list):
        return [dict(data)]
    return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
