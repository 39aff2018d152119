"""From the RunEngine to the synced journal, beside bluesky's TiledWriter, QCoDeS and PyMeasure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median

from bluesky_tiled_plugins import TiledWriter

from benchmarks.flown import Flown, Timed, events, journalled, pages, stock
from benchmarks.others_environment import beside_other
from benchmarks.stock_tiled import StockServer, stock_server
from benchmarks.table import Beside, Goal, Row, beside
from devices.core.program import LARGEST_PAGE_ROW
from labctl.store.server.service import ensure_service, stop_service

PAGES, BARE_PAGES, WRITER_PAGES = 200, 30, 30
EVENTS, BARE_EVENTS, WRITER_EVENTS = 6_000, 2_000, 60
ROUNDS = 3
ONE, TEN = "bluesky + TiledWriter(batch_size=1)", "bluesky + TiledWriter(batch_size=10 000)"
BARE = "bare RunEngine of bluesky, nothing stored"
FlownOnce = Callable[[], Flown]


def acquisition() -> list[Row]:
    """Points and documents a second, and how long the RunEngine is held up by what stores them."""
    with tempfile.TemporaryDirectory() as folder, stock_server(Path(folder)) as server:
        one = cache(lambda: stock(events(WRITER_EVENTS), TiledWriter(server.client(), batch_size=1)))
        ten = cache(lambda: stock(pages(WRITER_PAGES), TiledWriter(server.client(), batch_size=10_000)))
        paged = _quickest(lambda: journalled(pages(PAGES)))
        single = _quickest(lambda: journalled(events(EVENTS)))
        return [*_rates(paged, single, one, ten), *_stalls(paged, single, one, ten), *_dying(server)]


def _quickest(fly: FlownOnce) -> Flown:
    return min((fly() for _ in range(ROUNDS)), key=lambda flown: flown.second)


def _rates(paged: Flown, single: Flown, one: FlownOnce, ten: FlownOnce) -> list[Row]:
    bare_pages = beside(
        f"{BARE}, event pages",
        lambda: _points(BARE_PAGES) / _quickest(lambda: stock(pages(BARE_PAGES))).second,
    )
    bare_events = beside(BARE, lambda: BARE_EVENTS / _quickest(lambda: stock(events(BARE_EVENTS))).second)
    of_one = beside(ONE, lambda: WRITER_EVENTS / one().second)
    of_ten = beside(TEN, lambda: _points(WRITER_PAGES) / ten().second)
    return [
        Row(
            "durable points, driver to synced journal, in pages",
            _points(PAGES) / paged.second,
            "points/s",
            "How many samples a second of all channels of a process can be on disk for good; a point has the "
            "eight columns of `timeseries`.",
            (of_one, of_ten, bare_pages, *_qcodes(), *_pymeasure()),
            Goal(least=150_000),
        ),
        Row(
            "single documents to the synced journal",
            EVENTS / single.second,
            "documents/s",
            "How many separate readings (a temperature, the end of a step) a run can take in a second.",
            (of_one, bare_events),
            Goal(least=3_000),
        ),
    ]


def _points(page_count: int) -> int:
    return page_count * LARGEST_PAGE_ROW


def _qcodes() -> list[Beside]:
    kinds = (
        ("one point a call", 10_000, 1, False),
        ("1 000 points a call", 50_000, 1_000, False),
        ("1 000 points a call as array blobs", 200_000, 1_000, True),
    )
    return [
        beside_other(
            f"QCoDeS to SQLite, {kind}",
            "qcodes_to_sqlite.py",
            {"points": points, "rows_per_call": rows, "as_arrays": as_arrays},
        )
        for kind, points, rows, as_arrays in kinds
    ]


def _pymeasure() -> list[Beside]:
    kinds = (("Worker and Results", "worker"), ("its CSV formatter and a file alone", "formatter"))
    return [
        beside_other(
            f"PyMeasure to CSV, {kind}, not synced",
            "pymeasure_to_csv.py",
            {"points": 200_000, "through": through},
        )
        for kind, through in kinds
    ]


def _stalls(paged: Flown, single: Flown, one: FlownOnce, ten: FlownOnce) -> list[Row]:
    return [
        Row(
            "RunEngine stall per document from storage, p99",
            single.timed.p99,
            "ms",
            "How long storing a reading holds up the measurement, at most, 99 times of 100.",
            (beside(ONE, lambda: one().timed.p99),),
            Goal(most=2),
        ),
        Row(
            "RunEngine stall per page of 1 000 points, median",
            median(paged.timed.stalls),
            "ms",
            "The same for a whole page of samples.",
            (beside(TEN, lambda: median(ten().timed.stalls)),),
            Goal(most=2),
        ),
    ]


def _dying(server: StockServer) -> list[Row]:
    """Runs during which the document store is killed."""
    ours = _with_service_dying()
    theirs = cache(lambda: _with_stock_dying(server))
    return [
        Row(
            "RunEngine stall when Tiled dies during the run, p99",
            ours.p99,
            "ms",
            "Whether a document store that is gone can be felt in the measurement.",
            (beside(ONE, lambda: theirs().p99),),
            Goal(most=2),
        ),
        Row(
            "longest RunEngine stall when Tiled dies during the run",
            max(ours.stalls),
            "ms",
            "The longest time in which the plan checks no limits because of the store.",
            (beside(ONE, lambda: max(theirs().stalls)),),
            Goal(most=50),
        ),
    ]


def _with_service_dying() -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        ensure_service(data)
        try:
            return journalled(events(EVENTS, at_half=lambda: stop_service(data)), data).timed
        finally:
            stop_service(data)


def _with_stock_dying(server: StockServer) -> Timed:
    writer = Timed(TiledWriter(server.client(), batch_size=1))
    with suppress(Exception):  # it gives up, and the run fails
        stock(events(WRITER_EVENTS, at_half=server.process.kill), writer)
    return writer
