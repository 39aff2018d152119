"""What the window keeps of a run: gathered rows, thinned rows, charge; equal to what came, and bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.documents import Gather, Page
from labctl.live.model.charge import ChargeCounter
from labctl.live.model.decimation import Thinned
from labctl.live.model.series import Series
from labctl.live.model.worker import Worker
from tests.helpers import wait_until


@given(parts=st.lists(st.integers(0, 40), max_size=12), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_gathered_rows_are_those_that_came_in_their_order(parts: list[int], seed: int) -> None:
    gather, rng, fed = Gather(("voltage_volt",), ("step_count",)), np.random.default_rng(seed), []
    for number, count in enumerate(parts):
        rows = list(zip(rng.normal(size=count).tolist(), [number] * count, strict=True))
        fed += rows
        for some in [rows] if number % 3 else [[row] for row in rows]:
            data = {"voltage_volt": [row[0] for row in some], "step_count": [row[1] for row in some]}
            gather.add(Page("event_page", {"seq_num": [0] * len(some), "data": data}))
    assert len(gather) == len(fed)
    columns = gather.take()
    assert columns["voltage_volt"].tolist() == [row[0] for row in fed]
    assert columns["step_count"].tolist() == [row[1] for row in fed]
    assert columns["step_count"].dtype == np.int64
    assert len(gather) == len(gather.take()["voltage_volt"]) == 0


def test_a_column_that_is_missing_is_nan_or_zero() -> None:
    gather = Gather(("voltage_volt", "current_ampere"), ("status",))
    gather.add(
        Page(
            "event_page", {"seq_num": [1] * 20, "data": {"voltage_volt": [1.0] * 20, "current_ampere": [1.0]}}
        )
    )
    gather.add(Page("event", {"seq_num": 2, "data": {"voltage_volt": 2.0}}))
    columns = gather.take()
    assert np.isnan(columns["current_ampere"]).all()
    assert columns["status"].tolist() == [0] * 21


@given(
    sizes=st.lists(st.integers(0, 500), min_size=1, max_size=15),
    most=st.integers(12, 200),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_thinned_rows_are_true_bounded_in_number_and_hold_the_extremes(
    sizes: list[int], most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    values = rng.normal(size=count)
    values[rng.random(count) < 0.05] = np.nan
    thinned, first = Thinned(2, telling=1, most=most), 0
    for size in sizes:
        rows = np.arange(first, first + size, dtype=float)
        thinned.add((rows, values[first : first + size]))
        first += size
    rows, kept = thinned.columns
    np.testing.assert_array_equal(kept, values[rows.astype(int)])
    assert np.all(np.diff(rows) >= 0)
    if count and np.isfinite(values).any():
        assert (np.nanmin(kept), np.nanmax(kept)) == (np.nanmin(values), np.nanmax(values))
        assert rows[0] == 0
    assert len(rows) <= most + max(count // (most // 6), 1) * 2 + 6
    if count <= most:
        np.testing.assert_array_equal(kept, values)


@given(cuts=st.lists(st.integers(1, 3599), max_size=6, unique=True))
@settings(deadline=None, max_examples=25)
def test_net_charge_is_the_integral_over_steps_with_current_however_it_is_cut(cuts: list[int]) -> None:
    time = np.arange(3600.0)
    step = np.repeat([1, 2, 3], 1200)
    current = np.repeat([1e-3, 7e-6, -2e-3], 1200)
    current[100:110] = np.nan
    types = {1: "cc_charge", 2: "rest", 3: "cv_discharge"}
    counter, parts = ChargeCounter(), []
    for rows in np.split(np.arange(3600), sorted(cuts)):
        parts.append(counter.take(time[rows], current[rows], step[rows], types))
    net = np.concatenate(parts)
    assert net[1199] == pytest.approx(1e-3 * 1199 / 3600)
    assert net[2399] == net[1199]
    assert net[-1] == pytest.approx((1e-3 - 2e-3) * 1199 / 3600)
    assert counter.net_ah == net[-1]


def test_a_break_is_drawn_as_a_hole_at_any_resolution() -> None:
    time = np.arange(50_000.0)
    series = Series(("voltage_volt",))
    series.add(time[:20_000], {"voltage_volt": np.ones(20_000)})
    series.break_after(19_999.0)
    series.add(time[20_000:], {"voltage_volt": np.ones(30_000)})
    for columns in (100_000, 300):
        x, y = series.envelope("voltage_volt", 0, 50_000, columns)
        (hole,) = np.flatnonzero(np.isnan(y))
        assert x[hole - 1] <= 20_200
        assert x[hole + 1] >= 19_999
        assert np.all(np.diff(x) >= 0)
    assert np.isfinite(series.values("voltage_volt")).all()  # the rows themselves have none


def test_the_worker_does_the_newest_job_first_and_survives_one_that_fails() -> None:
    import threading

    hold, order, done = threading.Event(), [], []
    worker = Worker()

    def job(name: str) -> Any:
        order.append(name)
        if name == "first":
            hold.wait(10)
        if name == "bad":
            raise ValueError("cannot be fitted")
        return name

    for name in ("first", "second", "bad", "third"):
        worker.submit(lambda name=name: job(name), done.append)
        if name == "first":
            wait_until(lambda: order == ["first"])
    hold.set()

    def delivered() -> bool:
        worker.deliver()
        return len(done) == 4

    wait_until(delivered)
    worker.close()
    assert order == ["first", "third", "bad", "second"]
    assert done == ["first", "third", None, "second"]
    assert not any(thread.name == "live-worker" for thread in threading.enumerate())
