"""Numbers that no measurement has, nesting that no person writes: refused in one line, nothing runs long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from devices.core.techniques import LONGEST_SECOND, ConstantVoltage, Impedance, OpenCircuit, Sampling
from labctl.commands.run import plan_parameters
from labctl.errors import ConfigurationError
from labctl.plugins import load_plan
from plans.protocol.files import load_protocol
from plans.protocol.protocol import Gapless, Loop, Protocol, SetPressure, SetTemperature, Soak
from plans.protocol.rated_steps import CcCv

EVERY = Sampling.every(1.0)
REST = OpenCircuit(until_time_second=1.0, sampling=EVERY)


@pytest.mark.parametrize("second", [1e300, LONGEST_SECOND * 1.001, float("inf"), float("nan")])
def test_no_step_takes_longer_than_ten_years(second: float) -> None:
    hold = {"voltage_volt": 3.0, "direction": "charge", "sampling": EVERY}
    for make in (
        lambda: OpenCircuit(until_time_second=second, sampling=EVERY),
        lambda: ConstantVoltage(until_time_second=second, **hold),
        lambda: CcCv(current_ampere=1e-3, hold_second=second, **hold),
        lambda: Soak(until_time_second=second),
        lambda: SetTemperature(temperature_celsius=25, timeout_second=second),
        lambda: SetPressure(pressure_pa=1e7, timeout_second=second),
        lambda: Sampling.staged((1.0, second), (5.0, None)),
    ):
        with pytest.raises(ValidationError, match=r"_second"):
            make()


def test_ten_years_are_allowed() -> None:
    assert OpenCircuit(until_time_second=LONGEST_SECOND, sampling=EVERY).longest_second == LONGEST_SECOND


def test_no_period_takes_longer_than_people_wait() -> None:
    with pytest.raises(ValidationError, match="frequency_min_hertz"):
        Impedance(frequency_min_hertz=1e-300, amplitude_rms_volt=0.01)


def test_techniques_within_gapless_sequences_count_as_steps() -> None:
    body = (Gapless(techniques=(REST,) * 100),)
    Protocol(name="long", items=(Loop(repeat=10_000, body=body),))
    with pytest.raises(ValidationError, match="its loops make 1000100 steps: at most 1000000"):
        Protocol(name="longer", items=(Loop(repeat=10_001, body=body),))


def nested(levels: int) -> str:
    rest = json.dumps(REST.model_dump(mode="json"))
    inside = '{"kind":"loop","repeat":1,"body":[' * levels + rest + "]}" * levels
    return f'{{"name":"x","items":[{inside}]}}'


HOSTILE: dict[str, tuple[str, str]] = {
    "lists": ('{"name":"x","items":' + "[" * 5000 + "]" * 5000 + "}", "is not JSON"),
    "loops in loops": (nested(400), "is nested deeper than"),
    "not UTF-8": ("\udcff", "is not JSON"),
    "1e300 s": (
        json.dumps({"name": "x", "items": [{**REST.model_dump(mode="json"), "until_time_second": 1e300}]}),
        "must be less than or equal to 315576000",
    ),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_protocol_file_is_refused_in_a_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "hostile.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=reason) as refused:
        load_protocol(path)
    lines = str(refused.value).splitlines()  # one for each fault
    assert [line for line in lines if not line.startswith(f"{path}: ")] == []
    assert len(lines) <= 2
    assert max(map(len, lines)) < 300 + len(str(path))


@pytest.mark.parametrize(
    "value", ["[" * 3000 + "]" * 3000, "{a: " * 3000, "2024-99-99", "!!int x", "!!python/name:os.system"]
)
def test_a_setting_that_cannot_be_read_is_refused_in_one_line(value: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read; allowed is a whole number") as refused:
        plan_parameters(load_plan("gitt"), "gitt", [f"pulses={value}"])
    assert str(refused.value).count("\n") == 0
    assert len(str(refused.value)) < 300


def test_a_setting_nested_as_deep_as_can_be_read_is_refused_by_its_plan(capsys: Any) -> None:
    value = plan_parameters(load_plan("gitt"), "gitt", [f"pulses={'[' * 100}{']' * 100}"])
    with pytest.raises(ValidationError):
        load_plan("gitt")(None, **value)
