"""When a value counts as reached: the same for a temperature that is read and a pressure that is steered."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest
from ophyd import Device
from ophyd.status import DeviceStatus

from devices.core.settling import Approach, Settling, SettlingTimeoutError, Target
from devices.eurotherm.move import TemperatureMove
from labctl.errors import DeviceError, ProtocolError

TARGET = Target(value=60.0, tolerance=0.5, dwell_second=10.0, timeout_second=100.0, unit="degC")


def settling(target: Target = TARGET) -> Settling:
    made = Settling("die", DeviceStatus(Device("", name="die")), target)
    made.begin(0.0, 0)
    return made


def looked_at(made: Settling, *looks: tuple[float, float | None]) -> Settling:
    for second, value in looks:
        made.judge(value, second, 0)
    return made


def test_it_is_done_after_a_dwell_inside_the_tolerance_which_its_bounds_belong_to() -> None:
    made = looked_at(settling(), (1, 59.5), (10.9, 60.5))
    assert made.inside
    assert not made.over
    assert looked_at(made, (11, 60.0)).succeeded
    made.status.wait(1)


@pytest.mark.parametrize("value", [59.4, 60.6, None, nan])
def test_a_look_outside_or_without_a_value_begins_the_dwell_anew(value: float | None) -> None:
    made = looked_at(settling(), (1, 60.0), (9, value))
    assert not made.inside
    assert not looked_at(made, (12, 60.0), (21, 60.0)).over
    assert looked_at(made, (22, 60.0)).succeeded


@pytest.mark.parametrize(("value", "here"), [(42.0, "it is at 42 degC"), (None, "there is no reading")])
def test_a_value_that_does_not_come_in_time_is_told_with_where_it_is(value: float | None, here: str) -> None:
    made = looked_at(settling(), (99.9, value))
    assert not made.over
    looked_at(made, (100, value))
    with pytest.raises(
        SettlingTimeoutError,
        match=rf"^die: not within 0.5 degC of 60 degC for 10 s after 100 s: {here}$",
    ):
        made.status.wait(1)
    assert not made.succeeded


def test_a_look_before_it_has_begun_counts_for_nothing() -> None:
    made = Settling("die", DeviceStatus(Device("", name="die")), TARGET)
    assert not looked_at(made, (0, 60.0), (1000, 60.0)).inside


def test_whoever_ends_it_first_has_ended_it() -> None:
    made = settling()
    assert made.end(DeviceError("stopped"))
    assert not made.end(None)
    assert not looked_at(made, (1, 60.0), (50, 60.0)).succeeded
    with pytest.raises(DeviceError, match="stopped"):
        made.status.wait(1)


def test_temperature_and_pressure_are_judged_by_one_law() -> None:
    assert issubclass(TemperatureMove, Settling)
    assert issubclass(Approach, Settling)
    for judged in (TemperatureMove, Approach):
        assert judged.judge is Settling.judge


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"dwell_second": -1.0}, "dwell_second"),
        ({"timeout_second": 10.0}, "timeout"),
    ],
)
def test_what_can_never_be_reached_is_refused_by_name(changed: dict[str, Any], field: str) -> None:
    given = {"value": 60.0, "tolerance": 0.5, "dwell_second": 10.0, "timeout_second": 100.0, "unit": "Pa"}
    with pytest.raises(ProtocolError, match=rf"^press: {field}"):
        Target(**{**given, **changed}).check("press")
