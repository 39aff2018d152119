"""From the RunEngine to stored rows and back, beside bluesky's TiledWriter and a stock Tiled server."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bluesky import Msg, RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from bluesky_tiled_plugins import TiledWriter

from benchmarks.stock_tiled import StockServer, stock_server
from benchmarks.table import Row
from devices.columns import ENVIRONMENT
from devices.flyer import DirectCurrentFlyer
from devices.program_record import LARGEST_PAGE_ROW
from devices.rows import RowDevice, row_device
from labctl.document_validation import install_compiled_validators
from labctl.journal import Journal
from labctl.store.client import Store
from labctl.store.nodes import plain_container
from labctl.store.service import ensure_service, stop_service

PAGES, SHIPPED_PAGES, EVENTS, FEW_EVENTS, LOOKS = 100, 1000, 3_000, 60, 5
_ONE, _TEN = "TiledWriter(batch_size=1)", "TiledWriter(batch_size=10000)"
_STOCK = "run.documents(), stock exporter"
Subscriber = Callable[[str, dict[str, Any]], None]


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
        return quantiles(self.stalls, n=100)[98]


def data_path() -> list[Row]:
    """The rows of the design that concern journal, store and replay."""
    install_compiled_validators()
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)  # a TiledWriter whose server dies has much to say
    with tempfile.TemporaryDirectory() as folder, stock_server(Path(folder)) as stock:
        return [*_written(stock), *_shipped_and_replayed(stock), *_stalls_when_tiled_dies(stock)]


def _written(stock: StockServer) -> list[Row]:
    pages, singles = _run(_pages, PAGES), _run(_events, EVENTS)
    batched = _run(_pages, PAGES, TiledWriter(stock.client(), batch_size=10_000))
    one_by_one = _run(_events, FEW_EVENTS, TiledWriter(stock.client(), batch_size=1))
    points, slow_points = (PAGES * LARGEST_PAGE_ROW / took for took, *_ in (pages, batched))
    documents, slow_documents = EVENTS / singles[0], FEW_EVENTS / one_by_one[0]
    page, slow_page = (median(timed.stalls) for _, timed, _ in (pages, batched))
    stall, slow_stall = singles[1].p99, one_by_one[1].p99
    return [
        Row("rows in pages to the synced journal", points, "points/s", _TEN, slow_points, ">= 150 000"),
        Row("single documents to the journal", documents, "documents/s", _ONE, slow_documents, ">= 3 000"),
        Row("RunEngine stall per document, p99", stall, "ms", _ONE, slow_stall, "<= 2 ms"),
        Row("RunEngine stall per page of 1 000 rows, median", page, "ms", _TEN, slow_page, "<= 2 ms"),
    ]


def _shipped_and_replayed(stock: StockServer) -> list[Row]:
    batched, _, uid = _run(_pages, PAGES, TiledWriter(stock.client(), batch_size=10_000))
    rows = PAGES * LARGEST_PAGE_ROW
    documents = rows / _seconds(lambda: _drain(stock.client()[uid].documents()))
    with tempfile.TemporaryDirectory() as folder:
        data, many = Path(folder), SHIPPED_PAGES * LARGEST_PAGE_ROW
        uid = _run(_pages, SHIPPED_PAGES, data=data)[2]
        with _service(data) as store:
            shipped = many / _seconds(lambda: store.wait_until_shipped(uid, 300))
            journal = many / _seconds(lambda: _drain(store.documents(uid, "journal")))
            tiled = many / _seconds(lambda: _drain(store.documents(uid, "tiled")))
            visible = median(_seconds_until_visible(store) for _ in range(LOOKS))
    return [
        Row("shipping a backlog of 10^6 rows", shipped, "rows/s", _TEN, rows / batched, ">= 100 000"),
        Row("row of a running run, journal to Tiled", visible, "s", "the flush period", 1.0, "<= 5 s"),
        Row("replay from Tiled", tiled, "points/s", _STOCK, documents, ">= 200 000"),
        Row("replay from the journal", journal, "points/s", _STOCK, documents, ">= 200 000"),
    ]


def _stalls_when_tiled_dies(stock: StockServer) -> list[Row]:
    """The longest stall of a run during which the server is killed."""
    with tempfile.TemporaryDirectory() as folder, _service(Path(folder)) as store:
        data = store.data_directory
        with_journal = _run(_dying(lambda: stop_service(data)), EVENTS, data=data)[1]
    with_writer = Timed(TiledWriter(stock.client(), batch_size=1))
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(with_writer)
    with suppress(Exception):  # it gives up, and the run fails
        engine(bpp.run_wrapper(_dying(stock.process.kill)(FEW_EVENTS)))
    longest, of_writer = max(with_journal.stalls), max(with_writer.stalls)
    return [Row("longest RunEngine stall when Tiled dies", longest, "ms", _ONE, of_writer, "<= 50 ms")]


def _run(
    body: Callable[[int], MsgGenerator[None]],
    count: int,
    subscriber: Subscriber | None = None,
    data: Path | None = None,
) -> tuple[float, Timed, str]:
    """A run with `body` in it: wall seconds until all is stored, stalls, uid."""
    with tempfile.TemporaryDirectory() as folder:
        journal = None if subscriber else Journal(data or Path(folder))
        timed = Timed(subscriber or journal)  # type: ignore[arg-type]  # one of them is there
        engine = RunEngine({}, context_managers=[])
        engine.subscribe(timed)
        plan = bpp.run_wrapper(body(count), md={"plan_name": "benchmark"})
        began = time.perf_counter()
        (uid,) = engine(plan)
        took = time.perf_counter() - began
        if journal is not None:
            journal.close()
    return took, timed, uid


def _pages(count: int) -> MsgGenerator[None]:
    """Pages of 1 000 rows of the full `timeseries` schema, as a cycler's flyer gives them."""
    flyer = DirectCurrentFlyer("", name="cycler_dc")
    yield from bps.declare_stream(flyer, name="timeseries", collect=True)  # type: ignore[arg-type]
    for page in range(count):
        for n in range(page * LARGEST_PAGE_ROW, (page + 1) * LARGEST_PAGE_ROW):
            flyer.rows.append((n * 0.01, n * 0.01, 3.2, 84e-6, 1, 0, "cc_charge", 0), 1.7e9 + n * 0.01)
        yield from bps.collect(flyer, name="timeseries", return_payload=False)  # type: ignore[arg-type]


def _reading() -> RowDevice:
    row = row_device("environment", ENVIRONMENT)
    row.fill({spec.name: 25.0 for spec in ENVIRONMENT})
    return row


def _events(count: int) -> MsgGenerator[None]:
    row = _reading()
    for _ in range(count):
        yield from _event(row)


def _event(row: RowDevice) -> MsgGenerator[None]:
    yield Msg("create", None, name=row.name)
    yield Msg("read", row)
    yield Msg("save")


def _dying(kill: Callable[[], Any]) -> Callable[[int], MsgGenerator[None]]:
    def body(count: int) -> MsgGenerator[None]:
        row = _reading()
        for number in range(count):
            if number == count // 2:
                kill()
            yield from _event(row)

    return body


@contextmanager
def _service(data: Path) -> Iterator[Store]:
    ensure_service(data)
    try:
        with Store(data) as store:
            yield store
    finally:
        stop_service(data)


def _seconds_until_visible(store: Store) -> float:
    """From a row of a running run in the journal to the same row in Tiled."""
    journal = Journal(store.data_directory)
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(journal)
    row, took = _reading(), []

    def body() -> MsgGenerator[None]:
        yield from _event(row)
        uid = journal.run_uid
        _wait(lambda: _rows(store, uid) == 1)
        yield from _event(row)
        began = time.perf_counter()
        _wait(lambda: _rows(store, uid) == 2)
        took.append(time.perf_counter() - began)

    engine(bpp.run_wrapper(body()))
    journal.close()
    return took[0]


def _rows(store: Store, uid: str | None) -> int:
    with suppress(KeyError):
        node = plain_container(store.client)[uid].base["environment"].base["internal"]
        return len(node.read(["seq_num"]))
    return 0


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)  # noqa: TID251  a benchmark waits on the wall's clock


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _drain(documents: Iterator[Any]) -> None:
    for _ in documents:
        pass
