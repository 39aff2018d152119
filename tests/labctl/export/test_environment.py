"""Temperature and pressure on the samples' times."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.export.environment import EnvironmentReadings

NAN = float("nan")


def readings(times: list[float], celsius: list[float]) -> EnvironmentReadings:
    columns = {"test_time_second": np.array(times), "temperature_t1_celsius": np.array(celsius)}
    return EnvironmentReadings.from_columns(columns)


def celsius_at(given: EnvironmentReadings, *times: float) -> list[float]:
    return given.at("temperature_t1_celsius", np.array(times)).tolist()


def test_between_readings_that_are_near_values_lie_on_the_line() -> None:
    given = readings([0, 10, 20], [20.0, 30.0, 30.0])
    assert celsius_at(given, 0, 2.5, 10, 15, 20) == [20.0, 22.5, 30.0, 30.0, 30.0]


def test_outside_the_readings_there_is_nothing() -> None:
    assert np.isnan(celsius_at(readings([10, 20], [20.0, 30.0]), 9.999, 20.001)).all()


def test_a_gap_is_not_bridged() -> None:
    given = readings([0, 10, 20, 30, 3600, 3610], [20.0] * 4 + [60.0] * 2)
    assert given.near_second == 60.0
    found = celsius_at(given, 30, 31, 1800, 3599, 3600)
    assert found[0] == 20.0
    assert np.isnan(found[1:4]).all()
    assert found[4] == 60.0


def test_what_is_near_follows_the_spacing_of_sparse_readings() -> None:
    given = readings([0, 600, 1200, 1800, 9000], [20.0, 22.0, 24.0, 26.0, 28.0])
    assert given.near_second == 1800.0
    assert celsius_at(given, 300.0) == [21.0]
    assert np.isnan(celsius_at(given, 5000.0)).all()


def test_a_failed_reading_hides_its_neighbourhood_but_not_the_good_one_beside_it() -> None:
    given = readings([0, 10, 20], [20.0, NAN, 30.0])
    found = celsius_at(given, 0, 5, 10, 15, 20)
    assert found[0] == 20.0
    assert np.isnan(found[1:4]).all()
    assert found[4] == 30.0


@pytest.mark.parametrize("times", [[], [5.0]])
def test_few_readings_or_none(times: list[float]) -> None:
    given = readings(times, [25.0] * len(times))
    assert np.isnan(celsius_at(given, 4.0)).all()
    assert np.isnan(celsius_at(given, 6.0)).all()
    assert not times or celsius_at(given, 5.0) == [25.0]
