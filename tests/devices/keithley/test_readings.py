"""Readings of a Keithley unit that have no value: NaN, a status bit, an alarm, and no wrong end of a step."""

from __future__ import annotations

import re
from math import isnan, nan

import numpy as np
import pytest

from devices.core.columns import NO_VALUE
from devices.core.techniques import ConstantVoltage, OpenCircuit, Sampling
from devices.keithley.replay import STATUS_OVERFLOW, DriftWatch, parse_readings
from labctl.errors import InstrumentError, TripError
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import DENSE, SteppedCell, charge, rows, run, started
from tests.devices.keithley.keithley_bench import KeithleyBench, keithley_bench
from tests.devices.keithley.keithley_proxy import Proxy
from tests.helpers import wait_until

TIME, VOLT, AMPERE, STATUS = 1, 2, 3, 7  # places in a row
GOOD = "3.7,1e-4,0.1,264,232"


KIND = {"overrange": "overload", "nan": "no_reading"}


def told(bench: KeithleyBench, *kinds: str) -> int:
    """How many alarms tell of readings without a value."""
    return sum(alarm["kind"] in (kinds or KIND.values()) for alarm in bench.alarms)


@pytest.mark.parametrize("text", ["9.9e37", "-9.9E+37", "9.91e37", "nan", "NAN", "inf", "-inf"])
def test_a_value_that_is_none_is_missing_and_not_damage(text: str) -> None:
    readings = parse_readings(f"{GOOD},{text},1e-4,0.2,265,232,3.7,{text},0.3,264,232", 3)
    assert readings is not None
    volt, ampere = readings.volt_and_ampere(sources_voltage=False)
    assert np.isnan(volt).tolist() == [False, True, False]
    assert np.isnan(ampere).tolist() == [False, False, True]
    assert [readings.trouble(place) is not None for place in range(3)] == [False, True, True]
    assert [int(status) & STATUS_OVERFLOW > 0 for status in readings.status] == [False, True, True]


@pytest.mark.parametrize("text", ["3.7,1e-4,nan,264,232", "3.7,1e-4,0.1,nan,232", "3.7,1e-4,0.1,264,inf"])
def test_a_time_or_a_status_that_is_no_number_is_damage(text: str) -> None:
    assert parse_readings(text, 1) is None


@pytest.mark.parametrize("fault", ["overrange", "nan"])
def test_at_rest_missing_readings_are_nan_rows_with_their_bit_and_one_alarm(fault: str) -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        bench.inject(fault, after_lines=11, lines=5)
        (rest,) = run(cycler, OpenCircuit(until_time_second=60, sampling=Sampling.every(1)))
        found = rows(cycler)
        missing = [row[TIME] for row in found if isnan(row[VOLT])]
        assert missing == pytest.approx([11, 12, 13, 14, 15])
        assert [row[TIME] for row in found if row[STATUS] & STATUS_OVERFLOW] == missing
        assert [row[TIME] for row in found if row[STATUS] & NO_VALUE] == missing
        assert [alarm["kind"] for alarm in bench.alarms] == [KIND[fault]]
        assert "no valid voltage from 11.000 s on (step 1)" in bench.alarms[0]["action"]
        assert (rest.end_reason, rest.finished) == ("time", True)
        assert rest.end_voltage_volt == pytest.approx(3.11, abs=0.02)


def test_a_second_episode_is_a_second_alarm() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        bench.inject("overrange", after_lines=5, lines=3)
        bench.inject("overrange", after_lines=10, lines=3)
        bench.inject("overrange", after_lines=60, lines=3)
        run(cycler, OpenCircuit(until_time_second=100, sampling=Sampling.every(1)))
        assert told(bench) == 2


@pytest.mark.parametrize("fault", ["overrange", "nan"])
@pytest.mark.parametrize("technique", ["charge", "hold"])
def test_while_current_flows_a_reading_without_a_value_is_beyond_the_limit(
    fault: str, technique: str
) -> None:
    hold = ConstantVoltage(voltage_volt=3.12, direction="charge", until_time_second=600, sampling=DENSE)
    with keithley_bench() as bench:
        cycler = bench.connected()
        bench.inject(fault, after_lines=101)
        with pytest.raises(TripError, match="a reading out of range passed the limit"):
            started(cycler, charge(600) if technique == "charge" else hold).wait(20)
        assert not bench.closed
        assert told(bench, KIND[fault]) == 1
        assert cycler.results[-1].end_reason.startswith("trip ")


def test_without_a_limit_missing_currents_end_no_hold_and_are_no_charge() -> None:
    hold = ConstantVoltage(
        voltage_volt=3.1,
        direction="charge",
        until_current_below_ampere=1e-6,
        until_time_second=60,
        sampling=DENSE,
    )
    charges = []
    for faulty in (False, True):
        with keithley_bench(cell=SteppedCell(3.0, ohm=1000.0)) as bench:
            cycler = bench.connected(limits=Limits(voltage_min_volt=1.88, voltage_max_volt=3.7))
            if faulty:
                bench.inject("overrange", after_lines=101, lines=200)
            (result,) = run(cycler, hold)
            assert result.end_reason == "time"
            assert sum(isnan(row[AMPERE]) for row in rows(cycler)) == (50 if faulty else 0)
            assert [alarm["kind"] for alarm in bench.alarms] == (["overload", "capacity"] if faulty else [])
            charges.append(result.charging_capacity_ah)
    assert charges[1] == pytest.approx(charges[0], rel=1e-4)
    assert charges[0] == pytest.approx(1e-4 * 60 / 3600, rel=1e-2)


def test_the_rest_voltage_is_an_error_when_it_has_no_value() -> None:
    with keithley_bench() as bench:
        cycler = bench.connected()
        bench.inject("overrange")
        with pytest.raises(InstrumentError, match="the voltage at rest has no value"):
            cycler.measure_rest_voltage()
        assert not bench.closed
        assert cycler.measure_rest_voltage() == pytest.approx(3.11, abs=0.02)


def test_a_window_that_is_mostly_missing_tells_of_no_drift() -> None:
    rest = OpenCircuit(
        until_time_second=7200,
        until_drift_volt_per_hour=0.001,
        drift_window_second=100,
        sampling=Sampling.every(1),
    )
    second, volt = np.arange(0.0, 101.0), np.full(101, nan)
    volt[[3, 4]] = 3.0  # as quiet as can be, and nothing is known of the other 98 s
    assert DriftWatch(rest).first(second, volt, volt) is None
    volt[:60] = 3.0
    assert DriftWatch(rest).first(second, volt, volt) == 100


def test_a_reading_beyond_the_limit_ends_the_program_even_if_the_model_goes_on() -> None:
    with keithley_bench(speed=10.0) as bench, Proxy(bench.port) as proxy:
        cycler = bench.connected(address=proxy.address)
        status = started(cycler, charge(36_000))
        wait_until(lambda: bool(rows(cycler)))
        first_value = re.compile(rb";3\.1\d+E\+00,")
        proxy.rewrite = lambda data: first_value.sub(b";9.900000000000000E+37,", data)
        with pytest.raises(TripError, match="a reading out of range passed the limit voltage_max"):
            status.wait(10)
        assert not bench.closed
