"""The charge of a step whose current was not valid all the time, and what is left of such a step."""

from __future__ import annotations

from math import isnan, nan

import pytest

from devices.core.columns import NO_VALUE
from devices.core.program import ProgramRecord, RowBuffer, StepIntegral
from devices.core.techniques import ConstantCurrent, Program, Sampling, remainder
from labctl.clock import MonotonicClock, TimeKeeper
from labctl.schema import IMPEDANCE, TIMESERIES


def integral(*currents: float) -> StepIntegral:
    """Of samples one second apart, from 1 s on."""
    found = StepIntegral()
    for second, ampere in enumerate(currents, start=1):
        found.add(float(second), 3.0, ampere)
    found.close()
    return found


@pytest.mark.parametrize(
    ("currents", "coulomb", "bridged"),
    [
        ((1.0, 1.0, 1.0), 3.0, 0.0),
        ((1.0, nan, nan, 3.0), 1.0 + 2.0 * 3, 3.0),
        ((nan, 2.0), 4.0, 2.0),
        ((2.0, nan, nan), 6.0, 2.0),
        ((1.0, nan, 1.0, nan, 1.0), 5.0, 4.0),
    ],
)
def test_currents_that_are_not_valid_are_bridged_and_counted(
    currents: tuple[float, ...], coulomb: float, bridged: float
) -> None:
    found = integral(*currents)
    assert found.charging_coulomb == pytest.approx(coulomb)
    assert found.discharging_coulomb == 0.0
    assert found.bridged_second == pytest.approx(bridged)


def test_a_missing_voltage_costs_no_charge() -> None:
    found = StepIntegral()
    found.add(1.0, 3.0, 1.0)
    found.add(2.0, nan, 5.0)
    found.close()
    assert found.charging_coulomb == pytest.approx(1.0 + 3.0)
    assert (found.voltage_volt, found.bridged_second) == (3.0, 0.0)


def recorded(technique: ConstantCurrent, *currents: float) -> tuple[ProgramRecord, RowBuffer, list[dict]]:
    rows, alarms = RowBuffer(TIMESERIES), []
    record = ProgramRecord(
        Program(techniques=(technique,)),
        keeper=TimeKeeper(MonotonicClock()),
        rows=rows,
        spectra=RowBuffer(IMPEDANCE),
        report=lambda **alarm: alarms.append(alarm),
    )
    record.begin_step(0)
    for second, ampere in enumerate(currents, start=1):
        record.sample(float(second), 3.0, ampere, 0, 0.0)
    record.end_step("paused")
    return record, rows, alarms


CHARGE = ConstantCurrent(current_ampere=1e-3, until_charge_ah=1e-3, sampling=Sampling.every(1))


def test_every_row_with_a_nan_says_so_in_its_status() -> None:
    _, rows, alarms = recorded(CHARGE, 1e-3, nan, 1e-3)
    [page] = rows.pages()
    assert page["data"]["status"] == [0, NO_VALUE, 0]
    assert [alarm["kind"] for alarm in alarms] == ["no_reading", "capacity"]


def test_a_step_whose_charge_nobody_knows_is_not_continued() -> None:
    record, _, _ = recorded(CHARGE, nan, nan)
    [result] = record.results
    assert isnan(result.charging_capacity_ah)
    program = Program(techniques=(CHARGE,))
    assert remainder(program, [result]) is None
    record, _, _ = recorded(CHARGE, 1e-3, nan)
    assert remainder(program, record.results) is not None
