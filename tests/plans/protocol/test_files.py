"""Protocols to and from files: labctl's own form and aurora-unicycler's."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.core.techniques import ConstantCurrent, ConstantVoltage, Impedance, OpenCircuit, Sampling
from labctl.errors import ConfigurationError
from labctl.records.limits import Limits
from plans.protocol.files import load_protocol, save_protocol
from plans.protocol.protocol import (
    Gapless,
    Item,
    Loop,
    LoopCondition,
    Mark,
    Protocol,
    SetPressure,
    SetTemperature,
    Soak,
)
from plans.protocol.rated_steps import CcCv, RatedCurrent, RatedHold
from plans.schema import protocol_schema

EVERY = Sampling.every(10, change_volt=0.01)
seconds = st.floats(min_value=0.1, max_value=1e6)
volts = st.floats(min_value=-5, max_value=5)
amperes = st.floats(min_value=1e-9, max_value=1)
rates = st.floats(min_value=1e-3, max_value=20)
directions = st.sampled_from(["charge", "discharge"])
tags = st.sampled_from(["", "formation", "0.5C", "größe"])
samplings = st.sampled_from([EVERY, Sampling.staged((0.2, 10), (5, None)), Sampling.every(1)])

techniques = st.one_of(
    st.builds(OpenCircuit, until_time_second=seconds, sampling=samplings, tag=tags),
    st.builds(
        ConstantCurrent, current_ampere=amperes, until_voltage_above_volt=volts, sampling=samplings, tag=tags
    ),
    st.builds(
        ConstantVoltage,
        voltage_volt=volts,
        direction=directions,
        until_time_second=seconds,
        sampling=samplings,
    ),
    st.builds(Impedance, amplitude_rms_volt=st.floats(min_value=1e-3, max_value=0.5), tag=tags),
)
leaves = st.one_of(
    techniques,
    st.builds(Gapless, techniques=st.lists(techniques, min_size=2, max_size=3).map(tuple)),
    st.builds(
        RatedCurrent, rate_per_hour=rates, direction=directions, until_voltage_volt=volts, sampling=samplings
    ),
    st.builds(
        RatedHold,
        voltage_volt=volts,
        direction=directions,
        until_rate_below_per_hour=rates,
        sampling=samplings,
    ),
    st.builds(CcCv, direction=directions, voltage_volt=volts, rate_per_hour=rates, sampling=samplings),
    st.builds(Soak, until_time_second=seconds),
    st.builds(SetTemperature, temperature_celsius=st.floats(min_value=-60, max_value=300)),
    st.builds(SetPressure, pressure_pa=st.floats(min_value=0, max_value=1e9)),
    st.builds(Mark),
)
conditions = st.builds(
    LoopCondition, quantity=st.sampled_from(["retention_below", "charge_above_ah"]), value=amperes
)
items: st.SearchStrategy[Item] = st.recursive(
    leaves,
    lambda inner: st.builds(
        Loop,
        repeat=st.integers(min_value=1, max_value=5),
        body=st.lists(inner, min_size=1, max_size=3).map(tuple),
        stop_on=st.lists(st.sampled_from(["charge", "voltage_above"]), max_size=2).map(tuple),
        stop_when=st.lists(conditions, max_size=2).map(tuple),
    ),
    max_leaves=8,
)
protocols = st.builds(
    Protocol,
    name=st.text(min_size=1, max_size=20),
    items=st.lists(items, min_size=1, max_size=4).map(tuple),
    limits=st.one_of(st.none(), st.builds(Limits, voltage_max_volt=volts)),
)


@given(protocols)
def test_every_protocol_survives_json_and_its_own_repr_names_its_parts(protocol: Protocol) -> None:
    back = Protocol.model_validate_json(protocol.model_dump_json())
    assert back == protocol
    assert hash(back) == hash(protocol)
    assert repr(back) == repr(protocol)


def test_a_file_that_is_there_is_not_overwritten_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    protocol = Protocol(name="one", items=(OpenCircuit(until_time_second=10, sampling=EVERY),))
    save_protocol(protocol, tmp_path / "a.json")
    assert load_protocol(tmp_path / "a.json") == protocol
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save_protocol(protocol, tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{'name'")
    with pytest.raises(ConfigurationError, match=r"b\.json: content: is not JSON"):
        load_protocol(tmp_path / "b.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_protocol(tmp_path / "missing.json")
    data = protocol.model_dump(mode="json")
    data["items"][0]["until_time_second"] = -3
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(ConfigurationError, match=r"c\.json: items\.0\.open_circuit\.until_time_second = -3"):
        load_protocol(tmp_path / "c.json")


UNICYCLER: dict[str, Any] = {
    "unicycler": {"version": "0.4.4"},
    "sample": {"name": "pellet"},
    "record": {"time_s": "10", "voltage_V": 0.01},
    "safety": {"max_voltage_V": 3.8, "min_voltage_V": 1.8, "max_current_mA": 5, "min_current_mA": -5},
    "method": [
        {"step": "open_circuit_voltage", "until_time_s": 300},
        {"step": "impedance_spectroscopy", "amplitude_V": 0.01, "start_frequency_Hz": 1e5,
         "end_frequency_Hz": 0.1},
        {"step": "tag", "tag": "cycle"},
        {"step": "constant_current", "rate_C": "C/2", "until_voltage_V": 3.6, "until_time_s": 9000},
        {"step": "constant_voltage", "voltage_V": 3.6, "until_rate_C": 0.05, "until_time_s": 3600},
        {"step": "constant_current", "rate_C": "D/2", "until_voltage_V": 2.4},
        {"step": "loop", "loop_to": "cycle", "cycle_count": 3},
        {"step": "constant_current", "current_mA": -0.1, "until_time_s": 60},
        {"step": "loop", "loop_to": 1, "cycle_count": 2},
    ],
}  # fmt: skip


def unicycler_file(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "u.json"
    path.write_text(json.dumps({**UNICYCLER, **changes}))
    return path


def test_a_unicycler_protocol_is_read_with_its_loops_rates_and_limits(tmp_path: Path) -> None:
    protocol = load_protocol(unicycler_file(tmp_path))
    assert protocol.limits == Limits(voltage_max_volt=3.8, voltage_min_volt=1.8, current_max_ampere=5e-3)
    (outer,) = protocol.items
    assert isinstance(outer, Loop)
    assert outer.repeat == 2
    rest, spectrum, inner, current = outer.body
    assert isinstance(rest, OpenCircuit)
    assert rest.sampling == EVERY
    assert isinstance(spectrum, Impedance)
    assert spectrum.amplitude_rms_volt == pytest.approx(0.01 / sqrt(2))
    assert isinstance(inner, Loop)
    assert inner.repeat == 3
    assert inner.body == (
        RatedCurrent(
            rate_per_hour=0.5,
            direction="charge",
            until_voltage_volt=3.6,
            until_time_second=9000,
            sampling=EVERY,
        ),
        RatedHold(
            voltage_volt=3.6,
            direction="charge",
            until_rate_below_per_hour=0.05,
            until_time_second=3600,
            sampling=EVERY,
        ),
        RatedCurrent(rate_per_hour=0.5, direction="discharge", until_voltage_volt=2.4, sampling=EVERY),
    )
    assert current == ConstantCurrent(current_ampere=-1e-4, until_time_second=60, sampling=EVERY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"safety": {"max_capacity_mAh": 3}}, "safety.max_capacity_mAh = 3.*no counterpart"),
        ({"safety": {"max_current_mA": 3, "min_current_mA": -1}}, "safety.min_current_mA = -1.*must be -max"),
        ({"method": [{"step": "constant_current", "until_time_s": 3}]}, "method.0.current_mA"),
        ({"method": [{"step": "loop", "loop_to": 1, "cycle_count": 2}]}, "method.0.loop_to = 1"),
        ({"method": [{"step": "dance"}]}, "method.0"),
        ({"record": {"time_s": -1}}, "record.time_s = -1"),
    ],
)
def test_what_cannot_be_done_the_same_way_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_protocol(unicycler_file(tmp_path, **changes))


def test_a_loop_into_another_loop_is_refused(tmp_path: Path) -> None:
    method = [*UNICYCLER["method"][:7], {"step": "loop", "loop_to": 5, "cycle_count": 2}]
    with pytest.raises(ConfigurationError, match="must not lead into another loop"):
        load_protocol(unicycler_file(tmp_path, method=method))


def test_what_unicycler_can_express_goes_out_and_comes_back(tmp_path: Path) -> None:
    current = RatedCurrent(rate_per_hour=0.2, direction="charge", until_voltage_volt=3.6, sampling=EVERY)
    hold = RatedHold(
        voltage_volt=3.6,
        direction="charge",
        until_rate_below_per_hour=0.02,
        until_time_second=60,
        sampling=EVERY,
    )
    protocol = Protocol(
        name="cycles",
        items=(
            OpenCircuit(until_time_second=10, sampling=EVERY),
            Loop(repeat=4, body=(Mark(), current, hold, Impedance(amplitude_rms_volt=5e-3))),
        ),
        limits=Limits(voltage_max_volt=3.7),
    )
    save_protocol(protocol, tmp_path / "out.json", "unicycler")
    back = load_protocol(tmp_path / "out.json")
    assert back.limits == protocol.limits
    loop = back.items[1]
    assert isinstance(loop, Loop)
    assert loop.body[:3] == (Mark(), current, hold)
    spectrum = loop.body[3]
    assert isinstance(spectrum, Impedance)
    assert spectrum.amplitude_rms_volt == pytest.approx(5e-3)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Soak(until_time_second=60), "step 0: kind: .*soak"),
        (SetTemperature(temperature_celsius=60), "step 0: kind: .*set_temperature"),
        (Loop(repeat=2, body=(Soak(until_time_second=6),), stop_on=("charge",)), "step 0: stop_on"),
        (
            ConstantCurrent(current_ampere=1e-3, until_charge_ah=1e-3, sampling=EVERY),
            "step 0: until_charge",
        ),
        (
            OpenCircuit(until_time_second=9, until_drift_volt_per_hour=1e-3, sampling=EVERY),
            "step 0: until_drift_volt_per_hour",
        ),
    ],
)
def test_what_unicycler_cannot_express_is_refused_by_step_and_field(
    tmp_path: Path, item: Item, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        save_protocol(Protocol(name="p", items=(item,)), tmp_path / "out.json", "unicycler")
    assert not (tmp_path / "out.json").exists()


def test_the_published_schema_is_that_of_the_code() -> None:
    published = Path(__file__).parents[3] / "docs" / "reference" / "protocol.schema.json"
    assert json.loads(published.read_text()) == protocol_schema(), "write it anew: python -m plans.schema"
