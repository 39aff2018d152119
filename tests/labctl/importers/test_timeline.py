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
    ("time", "after"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 1, 2], [0, 1, 1, 2]),  # one time, two values: both stay, nothing passes between them
        ([0, 1, 2, 1.5, 3], [0, 1, 2, 2.5, 3]),  # late
        ([0, 1, 2, 1.5, 1.7, 2.9], [0, 1, 2, 2.3, 2.6, 2.9]),
        ([0, 10, 500, 20, 30], [0, 10, 15, 20, 30]),  # one time far ahead of its neighbours
        ([0, 10, 20, 0, 40, 50], [0, 10, 20, 30, 40, 50]),  # one far behind, the old clock goes on
        ([0, 10, 20, 0, 1, 50, 60], [0, 10, 20, 30, 40, 50, 60]),  # two
        ([0, 10, 20, 0, 40], [0, 10, 20, 30, 40]),
        ([0, 1, 0.4, 0.6, 0.8, 1, 1.2], [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]),  # one ahead, by less than 1 s
    ],
)
def test_a_row_whose_time_cannot_be_stays_with_a_time_between_its_neighbours(
    time: list[float], after: list[float]
) -> None:
    rows = rows_of(time)
    stretch, gaps = straighten(rows)
    assert rows.test_time_second == pytest.approx(after)
    assert len(rows.columns["voltage_volt"]) == len(time)
    assert gaps == []
    assert set(stretch) == {0}
    changed = [n for n, (one, other) in enumerate(zip(time, after, strict=True)) if one != other]
    assert len(rows.notices) == bool(changed)
    assert all(str(n + 2) in rows.notices[0] for n in changed)


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ([0, 10, 20], [0, 10, 20, 30, 40]),  # the new clock reaches the old one
        ([0, 10, 20], [0, 12, 24, 36]),
        ([0, 1, 2], [0, 600, 1200, 1800]),
        ([0, 1, 2, 4, 7], [0, 1, 2, 4, 8, 16, 32]),
        ([0, 10, 20], [0]),  # nothing follows
    ],
)
def test_a_clock_that_begins_again_is_joined_however_soon_it_is_beyond_the_old_one(
    before: list[float], again: list[float]
) -> None:
    rows = rows_of([*before, *again])
    stretch, (gap,) = straighten(rows)
    assert stretch.tolist() == [0] * len(before) + [1] * len(again)
    assert gap.jump_second == -before[-1]
    assert np.diff(rows.test_time_second[len(before) :]) == pytest.approx(np.diff(again))


def test_a_clock_that_begins_again_goes_on_behind_what_was() -> None:
    rows = rows_of([0, 10, 20, 0, 10, 20, 0, 5])
    stretch, gaps = straighten(rows)
    assert rows.test_time_second == pytest.approx([0, 10, 20, 20.001, 30.001, 40.001, 40.002, 45.002])
    assert stretch.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [gap.jump_second for gap in gaps] == [-20, -20]
    assert len(rows.notices) == 2


def test_rows_given_before_are_left_out_wherever_they_stand() -> None:
    rows = rows_of([0, 1, 2, 0, 1, 2, 3], volt=[3, 3.1, NAN, 3, 3.1, NAN, 3.3])
    straighten(rows)
    assert rows.test_time_second.tolist() == [0, 1, 2, 3]
    assert rows.notices == ["3 row(s) left out, identical to earlier rows: lines 5 to 7"]


def test_what_is_no_elapsed_time_is_refused() -> None:
    time = np.tile([5.0, 0.0], 300)
    with pytest.raises(ConfigurationError, match=r"file, line \d+: test time: goes back \d+ times"):
        straighten(rows_of(time, volt=np.arange(600)))


@given(st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=40))
def test_time_never_goes_back_and_no_row_is_made_up_or_lost(times: list[float]) -> None:
    rows = rows_of(times, volt=np.arange(len(times)))
    stretch, gaps = straighten(rows)
    assert (np.diff(rows.test_time_second) >= 0).all()
    assert rows.columns["voltage_volt"].tolist() == list(range(len(times)))
    moved = rows.test_time_second - times
    with_their_stretch = np.isclose(moved, moved[[int(np.argmax(stretch == n)) for n in stretch]], atol=1e-6)
    told = [int(notice.split()[0]) for notice in rows.notices if "row(s) whose time cannot be" in notice]
    assert (~with_their_stretch).sum() <= sum(told)
    assert len(gaps) == stretch[-1]


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
