"""Resistances to direct current against a response that is known."""

import json

import numpy as np
import pytest

from labctl.analysis.dcir import TIMES_SECOND, analyze_dcir, dcir_table
from labctl.documents import tables
from tests.labctl.analysis.conftest import STEPS, TIMESERIES, steps_row, timeseries_page

PULSE_TIMES = np.concatenate((np.arange(0.1, 10.05, 0.1), np.arange(10.5, 30.1, 0.5)))


def response_ohm(time):
    return 80 + 20 * (1 - np.exp(-time / 5))


def documents(
    *, current=-1e-3, noise=0.0, drift=0.0, pulse_times=PULSE_TIMES, end="time", paths=("1.0", "1.1")
):
    rng = np.random.default_rng(1)
    rest = np.arange(0, 10.5, 1.0)

    def volt(time, response):
        return 3.4 + drift * time + current * response + noise * rng.standard_normal(len(time))

    kind = "cc_charge" if current > 0 else "cc_discharge"
    rows = [("start", {"uid": "run-1", "time": 0.0, "plan_name": "dcir"})]
    rows += [("descriptor", {"uid": "ts", "name": "timeseries", "data_keys": TIMESERIES})]
    rows += [("descriptor", {"uid": "st", "name": "steps", "data_keys": STEPS})]
    rows += [("event_page", timeseries_page(1, "rest", 0.0, rest, volt(rest, 0.0), 0.0))]
    pulse = volt(10 + pulse_times, response_ohm(pulse_times))
    rows += [("event_page", timeseries_page(2, kind, 10.0, pulse_times, pulse, current))]
    for count, (step_type, begin, length, flowing) in enumerate(
        (("rest", 0.0, 10.0, 0.0), (kind, 10.0, float(pulse_times[-1]), current)), start=1
    ):
        row = steps_row(count, step_type, begin, length, flowing)
        row["data"] |= {"protocol_step": paths[count - 1], "end_reason": end if flowing else "time"}
        rows += [("event", row)]
    return rows


def only_pulse(**options):
    (pulse,) = analyze_dcir(tables(documents(**options))).pulses
    return pulse


@pytest.mark.parametrize("current", [1e-3, -1e-3])
def test_resistances_are_those_of_the_stated_times(current):
    pulse = only_pulse(current=current)
    assert pulse.resistance_ohm == pytest.approx(response_ohm(np.array(TIMES_SECOND)), rel=1e-9)
    assert pulse.direction == ("charge" if current > 0 else "discharge")
    assert pulse.rest_voltage_volt == pytest.approx(3.4)
    assert pulse.flags == ()


def test_times_that_were_not_sampled_have_no_resistance():
    coarse = only_pulse(pulse_times=np.arange(1.0, 21.0))
    assert np.isnan(coarse.resistance_ohm[0])
    assert np.isnan(coarse.resistance_ohm[3])
    assert coarse.resistance_ohm[1:3] == pytest.approx(response_ohm(np.array([1.0, 10.0])))


def test_a_drifting_rest_and_a_pulse_cut_short_are_flagged():
    assert only_pulse(drift=1e-4).flags == ("drift",)
    assert only_pulse(drift=1e-4).resistance_ohm[0] == pytest.approx(response_ohm(0.1), rel=1e-3)
    assert only_pulse(end="voltage_below").flags == ("cut_short",)


def test_the_way_to_a_state_of_charge_is_no_pulse():
    assert analyze_dcir(tables(documents(paths=("1", "2")))).pulses == ()


def test_the_result_is_plain_json_and_the_table_needs_no_cell():
    analysis = analyze_dcir(tables(documents(pulse_times=np.arange(1.0, 21.0))))
    plain = json.loads(json.dumps(analysis.to_dict(), allow_nan=False))
    assert plain["pulses"][0]["resistance_ohm"][0] is None
    assert dcir_table(analysis) is not None
