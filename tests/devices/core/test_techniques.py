"""Techniques refuse what cannot end or means nothing."""

import pytest
from pydantic import ValidationError

from devices.core.techniques import (
    ConstantCurrent,
    ConstantVoltage,
    OpenCircuit,
    Program,
    Sampling,
    StepResult,
    remainder,
)
from labctl.records.limits import Limits

EVERY = Sampling.every(1)


def result(**changes) -> StepResult:
    return StepResult(
        **{
            "technique_index": 0, "step_count": 3, "step_type": "cc_charge", "start_test_time_second": 100.0,
            "end_test_time_second": 400.0, "end_reason": "paused", "charging_capacity_ah": 7e-6,
            "discharging_capacity_ah": 0.0, "end_voltage_volt": 3.2, "end_current_ampere": 84e-6, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConstantCurrent(current_ampere=1e-3, sampling=EVERY), "needs a stop condition"),
        (lambda: ConstantCurrent(current_ampere=0, until_time_second=1, sampling=EVERY), "use OpenCircuit"),
        (
            lambda: ConstantCurrent(current_ampere=1e-3, until_voltage_below_volt=2, sampling=EVERY),
            "until_voltage_above_volt",
        ),
        (
            lambda: ConstantVoltage(voltage_volt=3, direction="charge", sampling=EVERY),
            "needs a stop condition",
        ),
        (lambda: OpenCircuit(sampling=EVERY), "until_time_second"),
        (lambda: OpenCircuit(until_time_second=-3, sampling=EVERY), "greater than 0"),
        (lambda: Sampling.staged((1, None), (5, None)), "every sampling stage but the last"),
        (lambda: Sampling.staged((1, 60), (2, 30), (5, None)), "must grow"),
        (lambda: Sampling.every(0.0333333), "whole number of milliseconds"),
    ],
)
def test_impossible_techniques_are_refused_in_words(make, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make()


def test_a_paused_step_is_continued_by_its_remaining_time_and_charge() -> None:
    step = ConstantCurrent(current_ampere=84e-6, until_time_second=600, until_charge_ah=14e-6, sampling=EVERY)
    narrow = Limits(voltage_max_volt=3.5)
    program = Program(techniques=(step,), first_step_count=3, cycle_count=2, limits=narrow)
    left = remainder(program, [result()])
    assert left is not None
    assert left.techniques[0].until_time_second == pytest.approx(300)
    assert left.techniques[0].until_charge_ah == pytest.approx(7e-6)
    assert (left.first_step_count, left.cycle_count, left.limits) == (4, 2, narrow)


def test_a_paused_pulse_and_rest_is_not_continued() -> None:
    pulse = ConstantCurrent(current_ampere=84e-6, until_time_second=600, sampling=EVERY)
    rest = OpenCircuit(until_time_second=600, sampling=EVERY)
    assert remainder(Program(techniques=(pulse, rest)), [result()]) is None


def test_nothing_is_left_of_a_step_that_ended_by_itself() -> None:
    step = ConstantCurrent(current_ampere=84e-6, until_time_second=300, sampling=EVERY)
    assert remainder(Program(techniques=(step,)), [result(end_reason="time")]) is None
