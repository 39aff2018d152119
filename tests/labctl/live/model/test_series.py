from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.live.model.pyramid import GrowingArray, Pyramid
from labctl.live.model.series import Series


def series_of(time: np.ndarray, values: np.ndarray, part: int = 1000, **options: int) -> Series:
    series = Series(("voltage_volt",), **options)
    for first in range(0, len(time), part):
        series.add(
            time[first : first + part].tolist(), {"voltage_volt": values[first : first + part].tolist()}
        )
    return series


@given(
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=12),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_extremes_take_in_the_whole_stretch_and_at_most_a_quarter_more(
    sizes: list[int], cuts: list[tuple[float, float]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    array = GrowingArray(4)
    pyramid = Pyramid(array)
    for size in sizes:
        array.append(rng.normal(size=size))
        pyramid.update()
    values = array.values
    if not len(values):
        return
    starts = np.array([int(min(cut) * (len(values) - 1)) for cut in cuts])
    ends = np.array(
        [max(int(max(cut) * len(values)), start + 1) for cut, start in zip(cuts, starts, strict=True)]
    )
    low, high = pyramid.extremes(starts, ends)
    for start, end, found_low, found_high in zip(starts, ends, low, high, strict=True):
        beside = (end - start) // 4
        wide = values[max(start - beside, 0) : end + beside]
        assert wide.min() <= found_low <= values[start:end].min()
        assert values[start:end].max() <= found_high <= wide.max()


def test_what_is_held_is_what_was_fed_however_it_was_cut_into_pages() -> None:
    time, volt = np.arange(5000.0), np.sin(np.arange(5000.0))
    for part in (1, 7, 15, 16, 1000, 5000):
        series = series_of(time, volt, part)
        np.testing.assert_array_equal(series.time, time)
        np.testing.assert_array_equal(series.values("voltage_volt"), volt)


def test_pages_of_mixed_length_keep_their_order() -> None:
    series = Series(("voltage_volt",))
    fed = []
    for length in (1, 40, 2, 3, 100, 1):
        part = [float(len(fed) + number) for number in range(length)]
        fed += part
        series.add(part, {"voltage_volt": part})
    assert series.time.tolist() == fed


def test_few_rows_are_drawn_as_they_are_with_one_beyond_either_end() -> None:
    series = series_of(np.arange(100.0), np.arange(100.0) ** 2)
    x, y = series.envelope("voltage_volt", 10.5, 20.5, 500)
    assert x.tolist() == list(range(10, 22))
    assert y.tolist() == [float(t**2) for t in range(10, 22)]


def test_many_rows_are_drawn_with_four_points_a_pixel_and_every_spike() -> None:
    volt = np.zeros(300_000)
    volt[123_456], volt[200_001] = 5.0, -3.0
    x, y = series_of(np.arange(300_000.0), volt).envelope("voltage_volt", 0, 300_000, 800)
    assert len(x) <= 4 * 800
    assert (y.max(), y.min()) == (5.0, -3.0)
    assert abs(x[y.argmax()] - 123_456) < 300_000 / 800
    assert np.all(np.diff(x) >= 0)


def test_a_step_stands_where_it_happened_although_samples_are_dense_on_one_side() -> None:
    dense = 1000 + np.arange(0, 50, 0.001)
    time = np.concatenate([np.arange(0, 1000, 10.0), dense])
    current = np.where(time < 1000, 0.0, 1.0)
    x, y = series_of(time, current).envelope("voltage_volt", 0, 1050, 500)
    before, after = x[y == 0].max(), x[y == 1].min()
    assert before >= 990
    assert 1000 <= after <= 1000 + 1050 / 500


def test_missing_readings_make_a_gap_and_do_not_hide_their_neighbours() -> None:
    volt = np.ones(100_000)
    volt[40_000:60_000] = np.nan
    volt[70_001] = np.nan
    x, y = series_of(np.arange(100_000.0), volt).envelope("voltage_volt", 0, 100_000, 200)
    assert np.isnan(y[(x > 40_600) & (x < 59_400)]).all()
    assert np.isfinite(y[(x > 60_600) & (x < 69_000)]).all()
    assert np.nanmax(y[(x > 69_500) & (x < 70_500)]) == 1.0


def test_a_view_beside_the_data_is_empty_of_spurious_points() -> None:
    series = series_of(np.arange(10.0), np.arange(10.0))
    assert len(series.envelope("voltage_volt", 50, 60, 100)[0]) <= 1
    assert len(Series(("voltage_volt",)).envelope("voltage_volt", 0, 1, 100)[0]) == 0


def test_beyond_its_bound_a_series_keeps_every_extreme_and_the_newest_rows() -> None:
    rng = np.random.default_rng(3)
    volt = rng.normal(size=200_000)
    volt[777], volt[150_000], volt[1000] = 50.0, -50.0, np.nan
    series = series_of(np.arange(200_000.0), volt, max_rows=20_000)
    assert len(series) <= 20_000
    assert series.rows_fed == 200_000
    held, time = series.values("voltage_volt"), series.time
    assert (np.nanmax(held), np.nanmin(held)) == (50.0, -50.0)
    np.testing.assert_array_equal(time[-5000:], np.arange(195_000.0, 200_000.0))
    rows = time.astype(int)
    np.testing.assert_array_equal(held, volt[rows])  # true rows, none invented
    assert 1000 in rows
    _, y = series.envelope("voltage_volt", 0, 200_000, 300)
    assert (np.nanmax(y), np.nanmin(y)) == (50.0, -50.0)


def test_time_that_goes_back_or_is_missing_does_not_break_the_axis() -> None:
    series = Series(("voltage_volt",))
    series.add([0.0, 2.0, 1.0, float("nan"), 3.0], {"voltage_volt": [0.0, 1.0, 2.0, 3.0, 4.0]})
    assert series.time.tolist() == [0.0, 2.0, 2.0, 3.0]
    assert series.values("voltage_volt").tolist() == [0.0, 1.0, 2.0, 4.0]


def test_a_missing_column_is_missing_readings() -> None:
    series = Series(("voltage_volt", "current_ampere"))
    series.add([1.0], {"voltage_volt": [3.0]})
    assert np.isnan(series.values("current_ampere")).all()


@pytest.mark.parametrize(("instant", "row"), [(-5, 0), (0.4, 0), (0.6, 1), (1.9, 2), (99, 2)])
def test_the_nearest_sample_is_found(instant: float, row: int) -> None:
    assert series_of(np.array([0.0, 1.0, 2.0]), np.zeros(3)).nearest(instant) == row


def test_the_peak_is_the_largest_magnitude() -> None:
    assert series_of(np.arange(3.0), np.array([1.0, -7.0, np.nan])).peak("voltage_volt") == 7.0
    assert Series(("voltage_volt",)).peak("voltage_volt") == 0.0
