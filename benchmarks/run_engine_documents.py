"""Documents through a RunEngine into the synced journal, beside the same with event-model's validators."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import event_model
from bluesky import Msg, RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator

from benchmarks.table import Row
from devices.columns import ENVIRONMENT
from devices.flyer import DirectCurrentFlyer
from devices.program_record import LARGEST_PAGE_ROW
from devices.rows import RowDevice, row_device
from labctl.document_validation import install_compiled_validators
from labctl.journal import Journal

DOCUMENTS, PAGES, ROUNDS = 3_000, 50, 3
Plan = Callable[[], MsgGenerator[None]]


def run_engine_documents() -> list[Row]:
    """Documents per second one by one, and points per second in pages, until synced; best of three."""
    stock = dict(event_model.schema_validators)
    slow, fast = [], []
    for _ in range(ROUNDS):
        event_model.schema_validators.update(stock)
        slow.append((_singles_per_second(), _points_per_second()))
        install_compiled_validators()
        fast.append((_singles_per_second(), _points_per_second()))
    event_model.schema_validators.update(stock)
    (slow_singles, slow_points), (singles, points) = map(_best, (slow, fast))
    beside = "event-model's validators"
    return [
        Row("single documents, synced journal", singles, "documents/s", beside, slow_singles, ">= 3 000"),
        Row("rows in pages, synced journal", points, "points/s", beside, slow_points, ">= 150 000"),
    ]


def _best(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    return max(singles for singles, _ in rounds), max(points for _, points in rounds)


def _singles_per_second() -> float:
    row = row_device("environment", ENVIRONMENT)
    row.fill({spec.name: 25.0 for spec in ENVIRONMENT})
    return DOCUMENTS / _seconds(lambda: _events(row))


def _points_per_second() -> float:
    flyer = DirectCurrentFlyer("", name="cycler_dc")
    for n in range(PAGES * LARGEST_PAGE_ROW):
        flyer.rows.append((n * 0.01, n * 0.01, 3.2, 84e-6, 1, 0, "cc_charge", 0), time.time())
    return PAGES * LARGEST_PAGE_ROW / _seconds(lambda: _pages(flyer))


def _events(row: RowDevice) -> MsgGenerator[None]:
    """Messages as they are: each stub of bluesky formats a stack trace, which costs as much as the rest."""
    for _ in range(DOCUMENTS):
        yield Msg("create", None, name=row.name)
        yield Msg("read", row)
        yield Msg("save")


def _pages(flyer: DirectCurrentFlyer) -> MsgGenerator[None]:
    yield from bps.declare_stream(flyer, name="timeseries", collect=True)  # type: ignore[arg-type]
    yield from bps.collect(flyer, name="timeseries", return_payload=False)  # type: ignore[arg-type]


def _seconds(body: Plan) -> float:
    """Wall time of a run with `body` in it; it returns when all of it is on the medium."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        engine = RunEngine({}, context_managers=[])
        engine.subscribe(journal)
        began = time.perf_counter()
        engine(bpp.run_wrapper(body()))
        took = time.perf_counter() - began
        journal.close()
    return took
