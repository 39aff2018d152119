"""Times that go back, and steps that are told from current and voltage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import ConfigurationError
from labctl.importers.rows import FileRows
from labctl.importers.steps import number_steps, step_rows, type_steps
from labctl.importers.timeline import straighten

NAN = float("nan")


def rows_of(time: Any, current: Any = None, volt: Any = None, **more: Any) -> FileRows:
    time = np.asarray(time, dtype=float)
    return FileRows(
        path=Path("file"),
        sha256="",
        format="csv",
        technique="csv",
        line_number=np.arange(2, len(time) + 2),
        test_time_second=time,
        columns={
            "voltage_volt": np.asarray(volt if volt is not None else 3 + np.arange(len(time)) * 1e-3, float),
            "current_ampere": np.asarray(current if current is not None else np.zeros(len(time)), float),
        },
        **more,
    )


def steps_of(rows: FileRows) -> dict[str, Any]:
    stretch, _ = straighten(rows)
    counts = number_steps(rows, stretch)
    return step_rows(rows, counts, type_steps(rows, counts), stretch)


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 1, 2], [0, 1, 1, 2]),  # one time, two values: both stay, nothing passes between them
        ([0, 1, 2, 1.5, 3], [0, 1, 2, 3]),  # late
        ([0, 1, 2, 1.5, 1.6, 2.5], [0, 1, 2, 2.5]),
        ([0, 10, 500, 20, 30], [0, 10, 20, 30]),  # one time far ahead of its neighbours
    ],
)
def test_single_rows_out_of_order_are_left_out(time: list[float], kept: list[float]) -> None:
    rows = rows_of(time)
    stretch, gaps = straighten(rows)
    assert rows.test_time_second.tolist() == kept
    assert gaps == []
    assert set(stretch) == {0}
    assert len(rows.notices) == (len(time) != len(kept))


def test_a_clock_that_begins_again_goes_on_behind_what_was() -> None:
    rows = rows_of([0, 10, 20, 0, 10, 20, 0, 5])
    stretch, gaps = straighten(rows)
    assert rows.test_time_second == pytest.approx([0, 10, 20, 20.001, 30.001, 40.001, 40.002, 45.002])
    assert stretch.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [gap.back_second for gap in gaps] == [20, 20]
    assert len(rows.notices) == 2


def test_rows_given_before_are_left_out_wherever_they_stand() -> None:
    rows = rows_of([0, 1, 2, 0, 1, 2, 3], volt=[3, 3.1, NAN, 3, 3.1, NAN, 3.3])
    straighten(rows)
    assert rows.test_time_second.tolist() == [0, 1, 2, 3]
    assert rows.notices == ["3 row(s) left out, given before, word for word: lines 5 to 7"]


def test_what_is_no_elapsed_time_is_refused() -> None:
    time = np.tile([5.0, 0.0], 300)
    with pytest.raises(ConfigurationError, match=r"file, line \d+: test time: goes back \d+ times"):
        straighten(rows_of(time, volt=np.arange(600)))


@given(st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=40))
def test_time_never_goes_back_and_no_row_is_made_up(times: list[float]) -> None:
    rows = rows_of(times, volt=np.arange(len(times)))
    stretch, _ = straighten(rows)
    assert (np.diff(rows.test_time_second) >= 0).all()
    assert set(rows.columns["voltage_volt"]) <= set(range(len(times)))
    for number in np.unique(stretch):  # within a stretch the distances are those of the file
        here = stretch == number
        own = np.array(times)[rows.columns["voltage_volt"][here].astype(int)]
        assert np.allclose(np.diff(rows.test_time_second[here]), np.diff(own), atol=1e-6)


def test_steps_are_told_from_the_current_alone() -> None:
    time = np.arange(0, 400, 10.0)
    current = np.repeat([0, 1e-3, 0, -1e-3], 10)
    volt = np.concatenate(
        [np.full(10, 3.0), np.linspace(3.1, 3.2, 10), np.full(10, 3.1), np.linspace(3, 2.9, 10)]
    )
    steps = steps_of(rows_of(time, current, volt))
    assert list(steps["step_type"]) == ["rest", "cc_charge", "rest", "cc_discharge"]
    assert steps["start_test_time_second"].tolist() == [0, 90, 190, 290]
    assert steps["step_charging_capacity_ah"] * 3600 == pytest.approx([0, 0.1, 0, 0])
    assert steps["step_discharging_capacity_ah"] * 3600 == pytest.approx([0, 0, 0, 0.1])


def test_a_current_that_falls_at_constant_voltage_is_told_apart() -> None:
    time = np.arange(0, 100, 1.0)
    steps = steps_of(rows_of(time, 1e-3 * np.exp(-time / 30), np.full(100, 3.6)))
    assert list(steps["step_type"]) == ["cv_charge"]
    assert steps["step_charging_capacity_ah"][0] * 3600 == pytest.approx(0.03 * (1 - np.exp(-3.3)), rel=1e-3)


def test_a_break_in_time_is_not_counted_as_part_of_the_next_step() -> None:
    time = np.concatenate([np.arange(0, 100, 10.0), 50_000 + np.arange(0, 100, 10.0)])
    steps = steps_of(rows_of(time, np.repeat([0, 1e-3], 10)))
    assert steps["start_test_time_second"].tolist() == [0, 50_000]
    assert steps["step_charging_capacity_ah"][1] * 3600 == pytest.approx(0.09)


def test_invalid_currents_are_bridged_within_a_step_and_never_a_whole_one() -> None:
    current = np.array([1e-3, NAN, 1e-3, 1e-3, NAN, NAN])
    rows = rows_of([0, 10, 20, 30, 40, 50], current, step_key=np.array([1, 1, 1, 1, 2, 2]))
    steps = steps_of(rows)
    assert steps["step_charging_capacity_ah"][0] * 3600 == pytest.approx(0.03)
    assert np.isnan(steps["step_charging_capacity_ah"][1])


def test_how_a_step_ended_is_only_said_where_the_data_show_it() -> None:
    current = np.repeat([0, 1, 0, 1, 0, 1, 0], 10)
    time = np.arange(70) * 10.0
    time[50:] -= np.concatenate([np.arange(10) * 5.0, np.full(10, 45.0)])  # the third pulse is cut short
    steps = steps_of(rows_of(time, current))
    assert list(steps["end_reason"]) == ["time", "time", "time", "time", "time", "unknown", "time"]
