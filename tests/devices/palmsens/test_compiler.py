"""Scripts: what is refused before anything is sent, and what every compiled script promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.core.techniques import ConstantCurrent, ConstantVoltage, OpenCircuit, Program, Sampling
from devices.palmsens.compiler import compile_program, tick_second
from devices.palmsens.models import MODELS
from labctl.errors import ProtocolError
from labctl.records.limits import Limits

HR, PICO = MODELS["es4_hr"], MODELS["espico"]
LIMITS = Limits(voltage_min_volt=1.8, voltage_max_volt=3.8, current_max_ampere=5e-3)
DENSE = Sampling.staged((0.2, 10), (5, None))


def script(*techniques, limits: Limits = LIMITS) -> list[str]:
    return compile_program(Program(techniques=techniques), HR, limits)


def charge(**changes) -> ConstantCurrent:
    usual = {"current_ampere": 84e-6, "until_time_second": 600, "until_voltage_above_volt": 3.68}
    return ConstantCurrent(**{**usual, "sampling": DENSE, **changes})


def test_every_script_ends_with_the_cell_off_and_holds_no_empty_line() -> None:
    lines = script(charge(), OpenCircuit(until_time_second=60, sampling=DENSE))
    assert lines[-2:] == ["on_finished:", "cell_off"]
    assert all(line.strip() for line in lines)


def test_current_flows_only_after_range_and_zero_current_are_set() -> None:
    lines = script(charge())
    order = [lines.index(x) for x in ("set_pgstat_mode 6", "set_range db 100u", "set_i 0", "cell_on")]
    assert order == sorted(order)
    assert any(line.startswith("meas_loop_cp p c 84u 100m 600") for line in lines[order[-1] :])


def test_limits_are_checked_in_every_pass_of_the_loop_not_only_when_a_sample_is_due() -> None:
    lines = script(charge(sampling=Sampling.every(60)))
    loop = lines[lines.index("meas_loop_cp p c 84u 100m 600") : lines.index("endloop")]
    depth = {"if": 0}
    for line in loop:
        if line == "if p > 3800m":
            assert depth["if"] == 0
            break
        depth["if"] += line.startswith("if ") - (line == "endif")
    else:
        pytest.fail("no check of the upper voltage limit")


def test_the_tick_divides_every_sampling_interval_and_guards_within_100_ms() -> None:
    technique = charge(sampling=Sampling.staged((0.25, 10), (60, None)))
    tick = tick_second(technique)
    assert tick <= 0.1
    assert (0.25 / tick) == pytest.approx(round(0.25 / tick))


def test_a_rest_is_measured_with_the_cell_off() -> None:
    lines = script(charge(), OpenCircuit(until_time_second=60, sampling=DENSE))
    rest = lines.index("meas_loop_ocp p 200m 60")
    assert "cell_off" in lines[:rest][-10:]
    assert "cell_on" not in lines[lines.index("cell_off", 30) :]


def test_a_charge_condition_at_constant_current_becomes_a_time() -> None:
    technique = charge(until_time_second=None, until_charge_ah=84e-6)
    assert "meas_loop_cp p c 84u 100m 3600" in script(technique)


def test_a_step_longer_than_the_timer_resolves_is_split_without_a_gap() -> None:
    lines = script(charge(until_time_second=250_000))
    loops = [line for line in lines if line.startswith("meas_loop_cp")]
    assert [loop.split()[-1] for loop in loops] == ["100000", "100000", "50000"]
    between = lines[lines.index(loops[0]) : lines.index(loops[1])]
    assert "cell_off" not in between


@pytest.mark.parametrize(
    ("technique", "words"),
    [
        (charge(current_ampere=0.006), "current_ampere = 0.006 A"),
        (charge(until_voltage_above_volt=4.3), "until_voltage_above_volt = 4.3 V"),
        (
            ConstantVoltage(voltage_volt=1.0, direction="charge", until_time_second=1, sampling=DENSE),
            "voltage_volt = 1 V",
        ),
    ],
)
def test_what_the_limits_forbid_is_refused_naming_field_and_value(technique, words: str) -> None:
    with pytest.raises(ProtocolError, match="allowed is") as caught:
        script(technique)
    assert words in str(caught.value)
    assert "technique 1" in str(caught.value)


def test_an_instrument_without_galvanostat_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="EmStat Pico has no galvanostat"):
        compile_program(Program(techniques=(charge(current_ampere=1e-3),)), PICO, Limits())


@given(
    current=st.floats(1e-7, 4e-3) | st.floats(-4e-3, -1e-7),
    seconds=st.floats(1, 3e5),
    interval_ms=st.integers(10, 600_000),
)
def test_any_technique_within_the_limits_compiles_to_balanced_lines(
    current: float, seconds: float, interval_ms: int
) -> None:
    lines = script(
        ConstantCurrent(
            current_ampere=current,
            until_time_second=seconds,
            sampling=Sampling.every(interval_ms / 1000, change_volt=1e-3),
        ),
        OpenCircuit(
            until_time_second=seconds,
            until_drift_volt_per_hour=1e-3,
            sampling=Sampling.every(interval_ms / 1000),
        ),
    )
    assert sum(line.startswith("if ") for line in lines) == lines.count("endif")
    assert sum(line.startswith("meas_loop") for line in lines) == lines.count("endloop")
    assert max(map(len, lines)) < 255
