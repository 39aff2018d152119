"""How long a technique may run, and what has ended it then: the same on every instrument."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from devices.core.step_time import LONGEST_STEP_SECOND, step_limit_second, time_end_reason, time_limit_second
from devices.core.techniques import ConstantCurrent, ConstantVoltage, OpenCircuit, Sampling
from devices.keithley.compiler import compile_program as keithley_model
from devices.keithley.models import MODELS as KEITHLEYS
from devices.palmsens.compiler import compile_program as emstat_script
from devices.palmsens.models import MODELS as EMSTATS
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import program

MINUTE = Sampling.every(60)


def current(**fields: Any) -> ConstantCurrent:
    return ConstantCurrent.model_validate({"current_ampere": -1e-3, "sampling": MINUTE, **fields})


@pytest.mark.parametrize(
    ("technique", "limit_second", "reason"),
    [
        (current(until_time_second=600), 600, "time"),
        (current(until_charge_ah=1e-6), 3.6, "charge"),
        (current(until_charge_ah=1e-6, until_time_second=3), 3, "time"),
        (current(until_charge_ah=1e-6, until_time_second=4), 3.6, "charge"),
        (current(until_voltage_below_volt=2), inf, "time"),
        (current(until_charge_ah=1.0), 3.6e6, "time"),  # ten days before that charge has flowed
        (OpenCircuit(until_time_second=60, sampling=MINUTE), 60, "time"),
        (
            ConstantVoltage(voltage_volt=3, direction="charge", until_charge_ah=1e-9, sampling=MINUTE),
            inf,  # what flows at constant voltage takes as long as it takes
            "time",
        ),
    ],
)
def test_a_charge_at_constant_current_is_a_time(technique: Any, limit_second: float, reason: str) -> None:
    assert time_limit_second(technique) == pytest.approx(limit_second)
    assert step_limit_second(technique) == pytest.approx(min(limit_second, LONGEST_STEP_SECOND))
    assert time_end_reason(technique) == reason


def test_both_instruments_end_a_step_after_the_same_time() -> None:
    for technique in (current(until_time_second=600), current(until_charge_ah=1e-4)):
        second = round(step_limit_second(technique))
        script = emstat_script(program(technique), EMSTATS["es4_hr"], Limits())
        assert f"meas_loop_cp p c -1m 100m {second}" in script
        (loop,) = keithley_model(program(technique), KEITHLEYS["2450"], Limits()).loops
        assert loop.readings * loop.tick_second == pytest.approx(second)
