"""Tiled slow, failing, gone, frozen, killed: acquisition is not affected, afterwards everything arrives."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from ophyd.sim import det

from labctl.journal.writer import Journal
from labctl.platform import has_ended
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.lab_store import LabStore, use_lab_store
from labctl.store.server.service import ensure_service, service_status, stop_service
from tests.helpers import wait_until
from tests.labctl.store.fault_proxy import FaultProxy, Mode

EVENTS = 40
# A client that waits for Tiled stalls for 24 to 50 s (10 tries); a loaded test machine for less than this.
LONGEST_STALL_SECOND = 5.0


@pytest.fixture
def far(served: Store, tmp_path: Path) -> Iterator[tuple[Path, FaultProxy]]:
    """A data directory whose store is behind a proxy."""
    lab = ensure_service(served.data_directory)
    proxy = FaultProxy(int(lab.uri.split(":")[2].split("/")[0]))
    key = tmp_path / "key"
    key.write_text(lab.api_key)
    key.chmod(0o600)
    data = tmp_path / "data"
    use_lab_store(data, LabStore(proxy.uri, key))
    ensure_service(data)
    yield data, proxy
    stop_service(data)
    proxy.close()


class Timed:
    """A journal that notes how long the RunEngine waited for it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.stalls: list[float] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        began = time.perf_counter()
        self._journal(name, doc)
        self.stalls.append(time.perf_counter() - began)


Fault = tuple[Callable[[], Any], Callable[[], bool]]  # sets in; has been met


def measure(data: Path, faults: list[Fault]) -> tuple[str, list[float]]:
    """A run of the RunEngine during which one fault after the other sets in; its uid, and its stalls.

    Each fault lasts for at least 40 events, and until it has been met.
    """
    engine, journal = RunEngine({}, context_managers=[]), Journal(data)
    timed = Timed(journal)
    engine.subscribe(timed)

    @bpp.run_decorator(md={"plan_name": "faults"})
    def plan() -> Any:
        for set_in, has_been_met in faults:
            set_in()
            deadline, events = time.monotonic() + 30, 0
            while (events < EVENTS or not has_been_met()) and time.monotonic() < deadline:
                yield from bps.trigger_and_read([det])
                yield from bps.sleep(0.02)
                events += 1
            assert has_been_met()

    (uid,) = engine(plan())
    journal.close()
    return uid, timed.stalls


def test_tiled_slow_failing_or_gone_does_not_touch_acquisition_and_all_rows_arrive(
    far: tuple[Path, FaultProxy],
) -> None:
    data, proxy = far
    proxy.delay_second, proxy.losses = 0.3, 1

    def fault(mode: Mode) -> Fault:
        return lambda: setattr(proxy, "mode", mode), lambda: proxy.met[mode] > 0

    uid, stalls = measure(data, [fault(mode) for mode in ("pass", "slow", "error", "gone", "lose", "gone")])
    assert max(stalls) < LONGEST_STALL_SECOND
    wait_until(lambda: any(run["error"] for run in service_status(data)["runs"].values()))
    proxy.mode, proxy.losses = "lose", proxy.lost + 2
    with Store(data) as store:
        assert store.wait_until_shipped(uid, 90), service_status(data)
        proxy.mode = "pass"
        found = verify_run(store, uid)
    assert found.differences == ()
    assert found.rows == {"primary": len(stalls) - 3}
    assert proxy.lost > 0


def test_a_frozen_store_does_not_touch_acquisition(served: Store) -> None:
    pid = ensure_service(served.data_directory).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        uid, stalls = measure(served.data_directory, [(lambda: None, lambda: True)])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert max(stalls) < LONGEST_STALL_SECOND
    assert served.wait_until_shipped(uid, 60)
    found = verify_run(served, uid)
    assert (found.differences, found.rows) == ((), {"primary": EVENTS})


def kill_after(data: Path, after_second: float) -> None:
    """Start the service, kill -9 it some time later."""
    service = ensure_service(data)
    has_ended(service.pid, after_second)
    os.kill(service.pid, signal.SIGKILL)
    assert has_ended(service.pid, 10)


def rows_stored(data: Path) -> int:
    """Rows in the tables of a dead service."""
    with closing(sqlite3.connect(data / "store" / "tables.db")) as tables:
        names = [name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = [
            tables.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
            for name in names
            if name.startswith("table_")
        ]
    return sum(counts)


def ship_under_fire(
    data: Path, run_writer: Any, kills: int, seed: int, look: Callable[[], int] = lambda: 0
) -> list[int]:
    """Runs that grow while their service is killed again and again; what `look` gives after each kill."""
    generator, seen = random.Random(seed), []
    grown, backlog = run_writer(data), run_writer(data)
    for run in (grown, backlog):
        run.stream()
    for _ in range(4 * kills):
        backlog.page(1000)
    backlog.stop()
    rows = 0
    for _ in range(kills):
        pages = generator.randrange(1, 4)
        for _ in range(pages):
            grown.page(700)
            grown.events(3)
        rows += 703 * pages
        kill_after(data, generator.uniform(0.0, 2.0))
        seen.append(look())
    grown.stop()
    ensure_service(data)
    with Store(data) as store:
        for run, expected in ((grown, rows), (backlog, 4000 * kills)):
            assert store.wait_until_shipped(run.uid, 120)
            found = verify_run(store, run.uid)
            assert found.differences == ()
            assert found.rows == {"timeseries": expected}
            assert store.client[run.uid].metadata["labctl"]["verified"] is True
    return seen


def test_kill_9_of_the_shipper_at_random_points_loses_and_repeats_no_row(
    far: tuple[Path, FaultProxy], run_writer: Any
) -> None:
    ship_under_fire(far[0], run_writer, kills=5, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kill_9_of_the_whole_service_at_50_random_points_loses_and_repeats_no_row(
    tmp_path: Path, run_writer: Any
) -> None:
    data = tmp_path / "data"
    stored = ship_under_fire(data, run_writer, kills=50, seed=50, look=lambda: rows_stored(data))
    stop_service(data)
    assert stored == sorted(stored)
    assert len(set(stored)) > 10, "it was killed at different places"
