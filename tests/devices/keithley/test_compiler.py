"""Compiling techniques for a Keithley unit: what is sent, what is refused, what the host decides."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.core.techniques import (
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    OpenCircuit,
    Program,
    Sampling,
)
from devices.keithley.compiler import CompiledProgram, Condition, compile_program
from devices.keithley.models import MODELS
from devices.keithley.replay import ChargeWatch, DriftWatch, Sampler, parse_readings
from devices.keithley.timing import (
    base_tick_second,
    multiple_of,
    phases,
    power_line_cycles,
)
from labctl.errors import ProtocolError
from labctl.records.limits import Limits

WINDOW = Limits(voltage_min_volt=1.88, voltage_max_volt=3.7, current_max_ampere=5e-3)
MINUTE = Sampling.every(60)
CHARGE = ConstantCurrent(current_ampere=1e-4, until_time_second=600, sampling=MINUTE)
REST = OpenCircuit(until_time_second=7200, sampling=Sampling.staged((0.2, 10), (5, 600), (60, None)))
HOLD = ConstantVoltage(voltage_volt=3.6, direction="charge", until_current_below_ampere=1e-5, sampling=MINUTE)


def compiled(*techniques: AnyTechnique, limits: Limits = WINDOW, model: str = "2450") -> CompiledProgram:
    return compile_program(Program(techniques=techniques), MODELS[model], limits)


def test_every_way_out_of_the_model_ends_in_output_off() -> None:
    program = compiled(CHARGE, REST, HOLD)
    last = [block for block in program.blocks if "BRAN:ALW" in block]
    assert all(block.endswith(", 0") for block in last)
    for block in last:
        before = program.blocks[int(block.split()[1].rstrip(",")) - 2]
        assert before.startswith("TRIG:BLOC:SOUR:STAT")
        assert before.endswith("OFF")
    assert program.blocks[-1] == last[-1]
    assert set(program.exits.values()) == {"voltage", "current"}


def test_limits_are_checked_at_every_reading_and_readings_come_every_50_ms_while_current_flows() -> None:
    program = compiled(CHARGE)
    (loop,) = program.loops
    assert (program.base_second, loop.tick_second, loop.readings) == (0.05, 0.05, 12_000)
    limit = next(b for b in program.blocks[loop.first_block :] if "LIM:CONS" in b)
    assert "OUT, 1.88, 3.7" in limit
    assert program.settings[1].limit == pytest.approx(3.935)  # the source's own limit lies above


def test_a_voltage_is_held_with_a_limit_on_the_current() -> None:
    program = compiled(HOLD)
    text = "\n".join(program.blocks)
    assert "IN, -1e-05, 1e-05" in text
    assert "OUT, -0.005, 0.005" in text
    assert program.settings[1].limit == pytest.approx(5.25e-3)


def test_a_rest_sources_zero_current_with_a_limit_above_every_cell_in_phases_of_its_sampling() -> None:
    program = compiled(REST)
    assert "SOUR:CURR:RANG 1e-06" in program.settings[1].commands
    assert program.settings[1].limit == 20.0
    assert [(loop.tick_second, loop.readings) for loop in program.loops] == [(0.2, 50), (1.0, 7190)]
    assert not program.exits


def test_current_flows_only_after_a_reading_of_the_cell_at_zero_current() -> None:
    program = compiled(CHARGE)
    order = [block.split()[0].removeprefix("TRIG:BLOC:") for block in program.blocks[:9]]
    assert order == ["BUFF:CLE", "CONF:REC", "SOUR:STAT", "NOT", "WAIT", "MEAS", "BRAN:LIM:CONS", "CONF:REC",
                     "SOUR:STAT"]  # fmt: skip
    assert program.settings[0].limit == 20.0
    assert program.entry[0] == Condition("voltage", -3.8175, 3.8175, inside=False)


def test_every_setting_asks_for_four_wires_and_a_high_impedance_output_off_mode() -> None:
    for settings in compiled(CHARGE, REST, HOLD).settings:
        assert any(command.endswith(":RSEN ON") for command in settings.commands)
        assert any(command.endswith(":SMOD HIMP") for command in settings.commands)


def test_what_the_host_must_evaluate_is_named_and_can_be_ended_by_a_trigger() -> None:
    drift = REST.model_copy(update={"until_drift_volt_per_hour": 1e-3})
    charge = HOLD.model_copy(update={"until_charge_ah": 1e-4})
    program = compiled(drift, charge)
    assert program.host_checked == ("technique 1: until_drift_volt_per_hour", "technique 2: until_charge_ah")
    assert sum("BRAN:EVEN" in block for block in program.blocks) == 3  # the rest has two loops
    assert not compiled(CHARGE, REST).host_checked


def test_a_step_without_a_time_condition_still_ends_by_itself() -> None:
    endless = ConstantCurrent(current_ampere=1e-4, until_voltage_above_volt=3.6, sampling=MINUTE)
    program = compiled(endless)
    assert 300_000 < program.loops[0].readings * 0.05 <= 1_000_000
    assert program.buffer_readings <= MODELS["2450"].buffer_readings
    both = compiled(endless, HOLD)
    assert both.loops[0].readings == both.loops[1].readings


def test_a_charge_at_constant_current_is_a_time() -> None:
    charge = ConstantCurrent(current_ampere=-1e-3, until_charge_ah=1e-6, sampling=MINUTE)
    assert compiled(charge).loops[0].readings == 72


@pytest.mark.parametrize(
    ("technique", "model", "text"),
    [
        (Impedance(amplitude_rms_volt=0.01), "2450", "Keithley 2450 cannot do this; it does open_circuit"),
        (CHARGE.model_copy(update={"current_ampere": 6e-3}), "2450", "current_ampere = 0.006 A: allowed"),
        (CHARGE.model_copy(update={"current_ampere": 1e-12}), "2450", "1e-10 A <= "),
        (CHARGE.model_copy(update={"until_voltage_above_volt": 3.8}), "2450", "1.88 V to 3.7 V"),
        (HOLD.model_copy(update={"voltage_volt": 1.5}), "2461", "voltage_volt = 1.5 V"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(technique: AnyTechnique, model: str, text: str) -> None:
    with pytest.raises(ProtocolError, match=text) as caught:
        compiled(CHARGE, technique, model=model)
    assert f"technique 2 ({technique.kind})" in str(caught.value)


def test_the_2460_takes_currents_that_the_2450_does_not() -> None:
    wide = Limits(voltage_max_volt=5.0)
    heavy = CHARGE.model_copy(update={"current_ampere": 5.0})
    assert compiled(heavy, limits=wide, model="2460").settings[1].commands[2] == "SOUR:CURR:RANG 5"
    with pytest.raises(ProtocolError, match=r"allowed is 1e-10 A <= \|I\| <= 1.05 A"):
        compiled(heavy, limits=wide)


def test_programs_that_do_not_fit_are_refused_with_the_numbers() -> None:
    with pytest.raises(
        ProtocolError, match=r"12 techniques needs \d+ trigger blocks, but Keithley 2450 has 63"
    ):
        compiled(*[CHARGE, REST] * 6)
    long = CHARGE.model_copy(update={"until_time_second": 400_000})
    with pytest.raises(ProtocolError, match="readings more than Keithley 2450 can keep"):
        compiled(long)


@given(
    st.lists(st.integers(10, 3_600_000).map(lambda ms: ms / 1000), min_size=1, max_size=4, unique=True),
    st.booleans(),
)
def test_ticks_fit_a_timer_that_leaves_room_for_a_measurement(intervals: list[float], at_rest: bool) -> None:
    stages = [(interval, 100.0 * n) for n, interval in enumerate(intervals[:-1], start=1)]
    sampling = Sampling.staged(*stages, (intervals[-1], None))
    technique = (
        REST.model_copy(update={"sampling": sampling})
        if at_rest
        else CHARGE.model_copy(update={"sampling": sampling})
    )
    found = phases(technique)
    base = base_tick_second(phase.tick_second for phase in found)
    assert 0.01 <= base <= (1.0 if at_rest else 0.05)
    assert found[-1].until_second == inf
    assert 2 * power_line_cycles(base, 50.0) / 50.0 <= base
    for phase in found:
        assert multiple_of(phase.tick_second, base) * base <= (1.0 if at_rest else 0.05) + 1e-9


def test_samples_are_the_first_reading_and_then_every_interval_of_the_stage() -> None:
    sampler = Sampler(Sampling.staged((0.2, 1), (1, None)), 0.05)
    second = np.arange(1, 101) * 0.05
    kept = [i for start in range(0, 100, 7) for i in _shifted(sampler, second, start)]
    assert second[kept] == pytest.approx([0.05, 0.2, 0.4, 0.6, 0.8, 1, 2, 3, 4, 5])


def _shifted(sampler: Sampler, second: np.ndarray, start: int) -> list[int]:
    part = second[start : start + 7]
    return [start + place for place in sampler.kept(part, np.zeros(len(part)))]


def test_a_change_of_voltage_makes_a_sample_and_starts_the_interval_anew() -> None:
    sampler = Sampler(Sampling.every(10, change_volt=0.01), 1.0)
    second = np.arange(1.0, 31.0)
    volt = np.where(second < 5, 3.0, np.where(second < 26, 3.02, 3.025))
    assert second[sampler.kept(second, volt)] == pytest.approx([1, 5, 15, 25])


def test_a_drift_is_the_regression_slope_of_whole_windows() -> None:
    technique = REST.model_copy(update={"until_drift_volt_per_hour": 3.6e-3, "drift_window_second": 100.0})
    second = np.arange(1.0, 1001.0)
    volt = 3.0 + np.where(second <= 300, (300 - second) * 1e-5, 0.9e-6 * (second - 300))
    for step in (1000, 37):
        watch = DriftWatch(technique)
        found = None
        for start in range(0, 1000, step):
            part = slice(start, start + step)
            place = watch.first(second[part], volt[part], volt[part])
            if place is not None:
                found = second[start + place]
                break
        assert found == 400


def test_a_charge_is_counted_in_both_directions_and_over_gaps() -> None:
    technique = HOLD.model_copy(update={"until_charge_ah": 1e-6})
    second = np.arange(1.0, 101.0)
    current = np.where(second % 10 == 0, np.nan, -1e-4)
    watch = ChargeWatch(technique)
    assert watch.first(second[:20], current[:20], current[:20]) is None
    place = watch.first(second[20:], current[20:], current[20:])
    assert place is not None
    assert second[20 + place] == pytest.approx(36, abs=1)


def test_overflow_becomes_nan_with_a_status_bit_and_damaged_blocks_are_no_readings() -> None:
    text = "9.900000E+37,1.0E-03,0.0,264,200,3.1E+00,9.9E+37,5.0E-02,2.65E+02,232"
    readings = parse_readings(text, 2)
    assert readings is not None
    volt, ampere = readings.volt_and_ampere(sources_voltage=False)
    assert np.isnan(volt[0])
    assert np.isnan(ampere[1])
    assert readings.status.tolist() == [4096, 1 + 4096 + 8192]
    for damaged in ("", text[:-4] + "x", text.rpartition(",")[0], text + ",1", text.replace("3.1", "nan")):
        assert parse_readings(damaged, 2) is None
