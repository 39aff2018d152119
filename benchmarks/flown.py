"""Runs whose rows are ready: what the RunEngine and the storage behind it take of them, and no instrument."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import event_model
from bluesky import Msg, RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator

from benchmarks.others.points import COLUMNS, point
from devices.core.columns import RowDevice, row_device
from devices.core.flyer import DirectCurrentFlyer
from devices.core.program import LARGEST_PAGE_ROW
from labctl.journal.validation import install_compiled_validators
from labctl.journal.writer import Journal
from labctl.schema import TIMESERIES

Subscriber = Callable[[str, dict[str, Any]], None]
Body = Callable[[], MsgGenerator[None]]
_STOCK_VALIDATORS = dict(event_model.schema_validators)  # as they are before labctl's stand before them


class Timed:
    """A subscriber that notes how long the RunEngine waits for another one (ms)."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self.stalls: list[float] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        began = time.perf_counter()
        try:
            self._subscriber(name, doc)
        finally:
            self.stalls.append((time.perf_counter() - began) * 1e3)

    @property
    def p99(self) -> float:
        """99th percentile (ms)."""
        return quantiles(self.stalls, n=100, method="inclusive")[98]


@dataclass(frozen=True)
class Flown:
    """A run that is over: wall time until all was stored, how long each document took, and its uid."""

    second: float
    timed: Timed
    uid: str


def journalled(body: Body, data: Path | None = None) -> Flown:
    """A run as labctl does it; the journal is synced when it returns. Without `data` nothing is kept."""
    install_compiled_validators()
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(data or Path(folder))
        try:
            return _fly(body, journal)
        finally:
            journal.close()


def stock(body: Body, subscriber: Subscriber | None = None) -> Flown:
    """A run with bluesky as it comes, and `subscriber` (or nobody) behind it."""
    with stock_validators():
        return _fly(body, subscriber or (lambda name, doc: None))


@contextmanager
def stock_validators() -> Iterator[None]:
    """Let event-model validate documents as it does by itself."""
    before = dict(event_model.schema_validators)
    event_model.schema_validators.update(_STOCK_VALIDATORS)
    try:
        yield
    finally:
        event_model.schema_validators.update(before)


def _fly(body: Body, subscriber: Subscriber) -> Flown:
    timed = Timed(subscriber)
    engine = RunEngine({}, context_managers=[])
    uids: list[str] = []
    engine.subscribe(lambda name, doc: uids.append(doc["uid"]), "start")
    engine.subscribe(timed)
    began = time.perf_counter()
    engine(bpp.run_wrapper(body(), md={"plan_name": "benchmark"}))
    return Flown(time.perf_counter() - began, timed, uids[0])


def pages(count: int) -> Body:
    """Pages of 1 000 rows of the full `timeseries` schema, as a cycler's flyer gives them."""

    def body() -> MsgGenerator[None]:
        flyer = DirectCurrentFlyer("", name="cycler_dc")
        yield from bps.declare_stream(flyer, name="timeseries", collect=True)  # type: ignore[arg-type]
        for page in range(count):
            for number in range(page * LARGEST_PAGE_ROW, (page + 1) * LARGEST_PAGE_ROW):
                flyer.rows.append(point(number), 1.7e9 + number * 0.01)
            yield from bps.collect(flyer, name="timeseries", return_payload=False)  # type: ignore[arg-type]

    return body


def events(count: int, at_half: Callable[[], Any] = lambda: None) -> Body:
    """Rows of the full `timeseries` schema, one event each; `at_half` is called when half are through."""

    def body() -> MsgGenerator[None]:
        row = reading()
        for number in range(count):
            if number == count // 2:
                at_half()
            yield from event(row)

    return body


def reading() -> RowDevice:
    """A device with one row of `timeseries` to read."""
    row = row_device(TIMESERIES)
    row.fill(dict(zip(COLUMNS, point(1), strict=True)))
    return row


def event(row: RowDevice) -> MsgGenerator[None]:
    """Messages as they are: each stub of bluesky formats a stack trace, which costs as much as the rest."""
    yield Msg("create", None, name=row.name)
    yield Msg("read", row)
    yield Msg("save")
