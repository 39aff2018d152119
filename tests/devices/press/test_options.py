"""What a heated cell may be made of, and the law of its correction; nothing here touches a wire."""

from __future__ import annotations

from typing import Any

import pytest

from devices.press.geometry import Press, PressureOptions, Steadiness
from devices.press.heated_cell import HeatedPressureCell
from labctl.errors import ConfigurationError
from tests.devices.press.test_heated_cell import AREA, MPA, PISTON, parts


@pytest.mark.parametrize(
    "areas",
    [
        {"pellet_diameter_m": 0.010, "piston_area_m2": PISTON},
        {"pellet_area_m2": AREA, "intensifier_ratio": PISTON / AREA},
        {"pellet_diameter_m": 0.010, "intensifier_ratio": PISTON / AREA},
    ],
)
def test_areas_may_be_given_as_diameter_and_ratio(areas: dict[str, float]) -> None:
    cell = HeatedPressureCell(name="cell", **parts(), **areas)
    assert cell.press.pellet_area_m2 == pytest.approx(AREA)
    assert cell.press.piston_area_m2 == pytest.approx(PISTON)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "pellet_area_m2 / pellet_diameter_m"),
        ({"pellet_area_m2": AREA}, "piston_area_m2 / intensifier_ratio"),
        ({"pellet_area_m2": AREA, "pellet_diameter_m": 0.01, "piston_area_m2": PISTON}, "exactly one"),
        ({"pellet_area_m2": -AREA, "piston_area_m2": PISTON}, "pellet_area_m2"),
        ({"pellet_area_m2": AREA, "piston_area_m2": PISTON, "disagreement_share": 2.0}, "disagreement_share"),
        ({"pellet_area_m2": AREA, "piston_area_m2": PISTON, "settings": {"speed": 1}}, "settings"),
        ({"pellet_area_m2": AREA, "piston_area_m2": PISTON, "settings": {"dwell_second": 0}}, "dwell_second"),
    ],
)
def test_impossible_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        HeatedPressureCell(name="cell", **parts(), **options)


def test_settings_of_a_station_file_are_taken() -> None:
    areas = {"pellet_area_m2": AREA, "piston_area_m2": PISTON}
    cell = HeatedPressureCell(name="cell", **parts(), **areas, settings={"ramp_pa_per_second": 2e6})
    assert cell.pressure.settings == PressureOptions(ramp_pa_per_second=2e6)


def test_a_correction_stays_within_its_bound_whatever_the_load_cell_reads() -> None:
    press = Press(AREA, PISTON, correction_max_share=0.1)
    ideal = 50 * MPA / press.ratio
    for surface_pa in (-5 * MPA, 0.0, 1.0, 20 * MPA, 49 * MPA, 51 * MPA, 500 * MPA):
        line_pa, _ = press.corrected_line_pa(50 * MPA, ideal, surface_pa)
        assert ideal / 1.1 <= line_pa <= ideal / 0.9
    assert press.corrected_line_pa(50 * MPA, ideal, 49 * MPA) == (pytest.approx(ideal * 50 / 49), False)
    assert press.corrected_line_pa(50 * MPA, ideal, 1 * MPA)[1]


def test_steady_is_what_stood_still_for_a_while() -> None:
    steadiness = Steadiness(band=1.0, second=5.0)
    looks = [(0.0, 0), (10.0, 1), (10.5, 3), (9.5, 5), (10.2, 6), (20.0, 7), (20.0, 12)]
    assert [steadiness.steady(value, t) for value, t in looks] == [
        False, False, False, False, True, False, True,
    ]  # fmt: skip
