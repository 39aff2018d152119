"""What is left of a program that was paused: a single step goes on, a gapless sequence does not."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from devices.techniques import ConstantCurrent, ConstantVoltage, Impedance, Program, StepResult

_SHORTEST_REST_OF_STEP_SECOND = 0.1


def remainder(program: Program, results: Sequence[StepResult]) -> Program | None:
    """The program that does what `program` has left to do, or None when nothing can be continued.

    A step of its own is continued by its remaining time and charge. Gapless sequences (a GITT pulse and its
    rest) and spectra are not: their relaxation has been disturbed. Nor is a step that ends at a charge, where
    no reading says how much has flowed.
    """
    if len(program.techniques) != 1:
        return None
    technique = program.techniques[0]
    if isinstance(technique, Impedance):
        return None
    if not results:
        return program
    last = results[-1]
    if last.finished:
        return None
    update: dict[str, float] = {}
    longest = technique.longest_second
    if longest is not None:
        update["until_time_second"] = longest - (last.end_test_time_second - last.start_test_time_second)
    if isinstance(technique, ConstantCurrent | ConstantVoltage) and technique.until_charge_ah is not None:
        update["until_charge_ah"] = technique.until_charge_ah - last.moved_charge_ah
        if isnan(last.charging_capacity_ah):  # how much is left nobody can say
            return None
    if update.get("until_time_second", 1.0) < _SHORTEST_REST_OF_STEP_SECOND:
        return None
    if update.get("until_charge_ah", 1.0) <= 0:
        return None
    left = technique.model_copy(update=update)
    return program.model_copy(update={"techniques": (left,), "first_step_count": last.step_count + 1})
