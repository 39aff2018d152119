"""From the journal to rows in Tiled and back, beside bluesky's TiledWriter and a stock Tiled server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

from bluesky import RunEngine
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from bluesky_tiled_plugins import TiledWriter

from benchmarks.acquisition import ONE, TEN
from benchmarks.flown import (
    Flown,
    Subscriber,
    event,
    events,
    journalled,
    pages,
    reading,
    stock,
    stock_validators,
)
from benchmarks.stock_tiled import stock_server
from benchmarks.table import Goal, Row, beside
from devices.core.program import LARGEST_PAGE_ROW
from labctl.journal.validation import install_compiled_validators
from labctl.journal.writer import Journal
from labctl.store.client.store import Source, Store
from labctl.store.connection import plain_container
from labctl.store.server.service import ensure_service, shipper_status, stop_service

PAGES, WRITER_PAGES, WRITER_EVENTS, LOOKS = 1000, 30, 60, 5
LIMIT_SECOND = 300.0


def document_store() -> list[Row]:
    """Rows a second into Tiled, how soon they are seen there, and points a second out of it."""
    with tempfile.TemporaryDirectory() as folder, stock_server(Path(folder)) as server:
        client = cache(server.client)
        ten = cache(lambda: stock(pages(WRITER_PAGES), TiledWriter(client(), batch_size=10_000)))
        with tempfile.TemporaryDirectory() as data, _service(Path(data)) as store:
            uid, second = _backlog(store)
            return [
                _shipped(second, client, ten),
                _visible(store, client),
                *_replayed(store, uid, client, ten),
            ]


def _backlog(store: Store) -> tuple[str, float]:
    """A finished run appears at once in a data directory: its uid, and the time (s) until it is in Tiled."""
    data = store.data_directory
    uid = journalled(pages(PAGES), data / "aside").uid
    (made,) = (data / "aside" / "runs").glob(f"*/{uid}")
    place = data / "runs" / made.parent.name
    place.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    made.rename(place / uid)
    if not store.wait_until_shipped(uid, LIMIT_SECOND):
        said = shipper_status(data)
        raise TimeoutError(f"after {LIMIT_SECOND:g} s a run is not in Tiled; the shipper says {said}")
    return uid, time.perf_counter() - began


def _shipped(second: float, client: Callable[[], Any], ten: Callable[[], Flown]) -> Row:
    one = cache(lambda: stock(events(WRITER_EVENTS), TiledWriter(client(), batch_size=1)))
    return Row(
        "shipping a backlog of 10^6 points to Tiled",
        PAGES * LARGEST_PAGE_ROW / second,
        "rows/s",
        "How fast the store catches up after it was away.",
        (
            beside(ONE, lambda: WRITER_EVENTS / one().second),
            beside(TEN, lambda: WRITER_PAGES * LARGEST_PAGE_ROW / ten().second),
        ),
        Goal(least=100_000),
    )


def _visible(store: Store, client: Callable[[], Any]) -> Row:
    def ours() -> float:
        install_compiled_validators()
        journal = Journal(store.data_directory)
        try:
            return _seconds_until_visible(journal, store.client)
        finally:
            journal.close()

    def theirs() -> float:
        with stock_validators():
            return _seconds_until_visible(TiledWriter(client(), batch_size=1), client())

    return Row(
        "row of a running run, from the RunEngine to Tiled",
        median(ours() for _ in range(LOOKS)),
        "s",
        "How old the newest row is that a colleague sees in the document store. TiledWriter is quicker here "
        "because the measurement waits for it.",
        (beside(ONE, theirs),),
        Goal(most=5),
    )


def _replayed(store: Store, uid: str, client: Callable[[], Any], ten: Callable[[], Flown]) -> list[Row]:
    few, many = WRITER_PAGES * LARGEST_PAGE_ROW, PAGES * LARGEST_PAGE_ROW
    documents = beside(
        "run.documents() of bluesky-tiled-plugins, stock exporter",
        lambda: few / _seconds(lambda: _drain(client()[ten().uid].documents())),
    )
    table = beside(
        "stock client reading the same table (no documents)",
        lambda: many / _seconds(lambda: store.client[uid]["timeseries"].read()),
    )
    meaning = "How fast a finished run comes back, document by document, for replay and analysis."
    places: tuple[tuple[str, Source], ...] = (("Tiled", "tiled"), ("the journal", "journal"))
    return [
        Row(
            f"replay from {source}",
            many / _seconds(partial(_drain_run, store, uid, where)),
            "points/s",
            meaning,
            (documents, table),
            Goal(least=200_000),
        )
        for source, where in places
    ]


@contextmanager
def _service(data: Path) -> Iterator[Store]:
    ensure_service(data)
    try:
        with Store(data) as store:
            yield store
    finally:
        stop_service(data)


def _seconds_until_visible(subscriber: Subscriber, client: Any) -> float:
    """From the messages that read a row, in a run that goes on, to the same row in Tiled."""
    engine = RunEngine({}, context_managers=[])
    started: list[str] = []
    engine.subscribe(lambda name, doc: started.append(doc["uid"]), "start")
    engine.subscribe(subscriber)
    row, took = reading(), []

    def body() -> MsgGenerator[None]:
        yield from event(row)
        _wait(lambda: _rows(client, started[0]) == 1)
        began = time.perf_counter()
        yield from event(row)
        _wait(lambda: _rows(client, started[0]) == 2)
        took.append(time.perf_counter() - began)

    engine(bpp.run_wrapper(body()))
    return took[0]


def _rows(client: Any, uid: str) -> int:
    with suppress(KeyError):
        node = plain_container(client)[uid].base["timeseries"].base["internal"]
        return len(node.read(["seq_num"]))
    return 0


def _wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LIMIT_SECOND
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not seen after {LIMIT_SECOND:g} s")
        time.sleep(0.02)  # noqa: TID251  a benchmark waits on the wall's clock


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _drain_run(store: Store, uid: str, source: Source) -> None:
    _drain(store.documents(uid, source))


def _drain(documents: Iterable[Any]) -> None:
    for _ in documents:
        pass
