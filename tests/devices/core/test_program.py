"""The charge of a step whose current was not valid all the time, and what is left of such a step."""

from __future__ import annotations

from math import isnan, nan

import pytest

from devices.core.columns import NO_VALUE
from devices.core.program import ProgramRecord, RowBuffer, StepIntegral
from devices.core.techniques import ConstantCurrent, Impedance, Program, Sampling, remainder
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


def test_rows_are_written_by_name() -> None:
    spectra = RowBuffer(IMPEDANCE)
    technique = Impedance(
        frequency_max_hertz=1e5, frequency_min_hertz=1.0, points_per_decade=10, amplitude_rms_volt=0.01
    )
    program = Program(techniques=(technique,), first_step_count=7, first_spectrum_count=4, cycle_count=2)
    keeper = TimeKeeper(MonotonicClock())
    record = ProgramRecord(program, keeper=keeper, rows=RowBuffer(TIMESERIES), spectra=spectra)
    record.begin_step(0)
    record.impedance(1.0, 1e5, 20 - 3j, 3.7, 1e-6, 5, 100.0)
    [page] = spectra.pages()
    row = {name: value for name, [value] in page["data"].items()}
    assert tuple(row) == IMPEDANCE.names
    assert row.pop("test_time_second") == pytest.approx(1.0, abs=0.1)
    assert row == {
        "frequency_hertz": 1e5,
        "real_impedance_ohm": 20.0,
        "imaginary_impedance_ohm": -3.0,
        "voltage_volt": 3.7,
        "current_ampere": 1e-6,
        "amplitude_rms": 0.01,
        "amplitude_unit": "V",
        "spectrum_count": 4,
        "step_count": 7,
        "cycle_count": 2,
        "status": 5,
    }
    assert page["timestamps"] == {name: [100.0] for name in IMPEDANCE.names}
