"""Documents of a finished run at the pace of its own time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from labctl.live.reader import Document

_TICK_SECOND = 0.05  # rows that are due within one tick are let go together


def paced(documents: Iterable[Document], speed: float, halt: threading.Event) -> Iterator[Document]:
    """Yield documents when their `test_time_second` is due; pages are cut where they must wait.

    Args:
        documents: The documents of one run in order.
        speed: Run time per wall time, > 0.
        halt: Ends the iteration when set.
    """
    began: float | None = None
    for name, doc in documents:
        times = _times(name, doc)
        if times is None:
            yield name, doc
            continue
        if began is None:
            began = time.monotonic() - float(times[0]) / speed
        for part, due_second in _parts(doc, times, speed):
            if halt.wait(max(began + due_second - time.monotonic(), 0.0)):
                return
            yield name, part


def _times(name: str, doc: dict[str, Any]) -> np.ndarray | None:
    """Times of a page's rows in s; None for what has none, which goes through at once."""
    column = doc.get("data", {}).get("test_time_second")
    if name == "event_page" and column is not None and len(column):
        return np.maximum.accumulate(np.asarray(column, dtype=float))
    return None


def _parts(doc: dict[str, Any], times: np.ndarray, speed: float) -> Iterator[tuple[dict[str, Any], float]]:
    """Slices of a page, each with the wall time in s after the beginning at which it is due."""
    first = 0
    while first < len(times):
        due = float(times[first]) / speed
        end = max(int(np.searchsorted(times, (due + _TICK_SECOND) * speed)), first + 1)
        yield _cut(doc, first, end), due
        first = end


def _cut(doc: dict[str, Any], first: int, end: int) -> dict[str, Any]:
    """The rows [first, end) of an event page."""
    if first == 0 and end >= len(doc["data"]["test_time_second"]):
        return doc
    whole = {key: value for key, value in doc.items() if key not in ("data", "timestamps")}
    rows = {key: value[first:end] if isinstance(value, list) else value for key, value in whole.items()}
    for part in ("data", "timestamps"):
        rows[part] = {key: column[first:end] for key, column in doc.get(part, {}).items()}
    return rows
