from __future__ import annotations

import pytest

from labctl.live.plots.timescale import multiples, time_scale
from labctl.live.text import ampere_parts, clock_text, si_parts, si_prefix, volt_parts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (84e-6, "84.00 µA"),
        (-1.68e-3, "−1.680 mA"),
        (0.0, "0 A"),
        (1.5, "1.500 A"),
        (3.2e-9, "3.200 nA"),
        (5e-13, "0.500 pA"),
        (1e-3, "1.000 mA"),
        (float("nan"), "– A"),
        (None, "– A"),
    ],
)
def test_currents_are_short_numbers_with_a_prefix(value: float | None, text: str) -> None:
    assert " ".join(si_parts(value, "A")) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(84e-6, "84.00 µA"), (1.2e-11, "0.000 µA"), (-1e-11, "0.000 µA"), (0.0, "0.000 µA"), (5e-9, "5.000 nA")],
)
def test_what_is_nothing_beside_the_peak_keeps_the_peaks_unit(value: float, text: str) -> None:
    assert " ".join(ampere_parts(value, 84e-6)) == text


def test_voltages_stay_in_volt() -> None:
    assert volt_parts(0.0123) == ("0.0123", "V")
    assert volt_parts(-0.5) == ("−0.5000", "V")
    assert volt_parts(float("nan")) == ("–", "V")


def test_a_prefix_brings_any_magnitude_between_1_and_1000() -> None:
    for power in range(-12, 12):
        for factor in (1.0, 3.0, 9.99):
            scale, _ = si_prefix(factor * 10.0**power)
            assert 0.9999 <= factor * 10.0**power / scale < 1000


@pytest.mark.parametrize(
    ("second", "text"),
    [(1.234, "1.23 s"), (65, "1 min 05 s"), (44_405, "12 h 20 min 05 s"), (172_800, "48 h 00 min 00 s")],
)
def test_instants_are_told_to_the_second(second: float, text: str) -> None:
    assert clock_text(second) == text


@pytest.mark.parametrize(
    ("left", "right", "unit", "labels"),
    [
        (0, 10, "s", ["0", "2", "4"]),
        (0, 0.5, "s", ["0.0", "0.1", "0.2"]),
        (0, 600, "min", ["0", "2", "4"]),
        (300, 420, "min:s", ["5:00", "5:15", "5:30"]),
        (0, 160_000, "h", ["0", "5", "10"]),
        (40_000, 40_600, "h:min", ["11:08", "11:10", "11:12"]),
        (40_000, 40_020, "h:min:s", ["11:06:40", "11:06:45", "11:06:50"]),
        (0, 4_000_000, "d", ["0", "10", "20"]),
        (3_000_000, 3_050_000, "d h:min", ["34d 18:00", "34d 20:00", "34d 22:00"]),
    ],
)
def test_elapsed_time_has_the_unit_that_fits(left: float, right: float, unit: str, labels: list[str]) -> None:
    scale = time_scale(left, right, 1000)
    ticks = multiples(scale.major_second, left, right)
    assert scale.unit == unit
    assert [scale.text(tick) for tick in ticks[: len(labels)]] == labels


def test_tick_labels_have_room_and_differ_at_any_zoom() -> None:
    for exponent in range(-3, 16):
        for begin in (0.0, 1e4, 3e6):
            span = 3.0**exponent
            scale = time_scale(begin, begin + span, 900)
            ticks = multiples(scale.major_second, begin, begin + span)
            texts = [scale.text(tick) for tick in ticks]
            assert len(set(texts)) == len(texts) <= 9
            assert (
                abs(scale.major_second / scale.minor_second - round(scale.major_second / scale.minor_second))
                < 1e-6
            )
