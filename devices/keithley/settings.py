"""Source and measure settings of a Keithley unit for each technique: ranges, limits, four wires, timing.

Source limits are only the outer protection: they lie a little above the limits that the trigger model checks,
so that a reading can pass those.
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.core.techniques import AnyTechnique, ConstantCurrent, ConstantVoltage
from devices.keithley.models import WIDEST_VOLT, KeithleyModel
from labctl.records.limits import Limits

_MARGIN_SHARE, _MARGIN_VOLT = 0.05, 0.05  # how far the source's own limit lies above ours


def margin_volt(limits: Limits) -> float | None:
    """How far (V) the source's voltage limit lies beyond the window; None without a window to protect."""
    volts = [abs(v) for v in (limits.voltage_min_volt, limits.voltage_max_volt) if v is not None]
    if limits.voltage_max_volt is None:
        return None
    margin = _MARGIN_SHARE * max(volts) + _MARGIN_VOLT
    return margin if max(volts) + margin < WIDEST_VOLT else None


REST_RANGE_AMPERE = 1e-6
_CURRENT_LIMIT_SHARE = 0.05  # how far the source's current limit lies above ours
_HIGH_IMPEDANCE = "HIMP"


@dataclass(frozen=True)
class SourceMeasureSettings:
    """What one entry of the configuration lists holds.

    `limit` is the source's own, in V for a current source and A for a voltage source.
    """

    commands: tuple[str, ...]
    limit_question: str
    limit: float


def voltage_limit_volt(limits: Limits) -> float:
    """The source's voltage limit, which holds for both signs."""
    margin = margin_volt(limits)
    if margin is None:
        return WIDEST_VOLT
    volts = (limits.voltage_min_volt, limits.voltage_max_volt)
    return max(abs(v) for v in volts if v is not None) + margin


def current_limit_ampere(limits: Limits, model: KeithleyModel, volt: float) -> float:
    """The source's current limit at a voltage."""
    most = model.current_max_at(volt)
    if limits.current_max_ampere is None:
        return most
    return min(most, limits.current_max_ampere * (1 + _CURRENT_LIMIT_SHARE))


def settings_idle(cycles: float) -> SourceMeasureSettings:
    """A current source at 0 A, with a voltage limit above every cell."""
    return _current_source(0.0, REST_RANGE_AMPERE, WIDEST_VOLT, cycles)


def settings_for(
    technique: AnyTechnique, model: KeithleyModel, limits: Limits, cycles: float
) -> SourceMeasureSettings:
    """The settings of a technique; `cycles` are power line cycles of one conversion."""
    if isinstance(technique, ConstantCurrent):
        full_scale = model.range_for(technique.current_ampere)
        limit = voltage_limit_volt(limits)
        return _current_source(technique.current_ampere, full_scale, limit, cycles)
    if isinstance(technique, ConstantVoltage):
        return _voltage_source(technique, model, limits, cycles)
    return settings_idle(cycles)


def _current_source(ampere: float, full_scale: float, limit: float, cycles: float) -> SourceMeasureSettings:
    commands = (
        "SOUR:FUNC CURR",
        "SOUR:CURR 0",  # so that every range takes the level there is
        f"SOUR:CURR:RANG {full_scale:.9g}",
        f"SOUR:CURR:VLIM {limit:.9g}",
        f"SOUR:CURR {ampere:.9g}",
        "SOUR:CURR:DEL 0",
        "SOUR:CURR:READ:BACK ON",
        "SOUR:CURR:HIGH:CAP OFF",
        f"OUTP:CURR:SMOD {_HIGH_IMPEDANCE}",
        'SENS:FUNC "VOLT"',
        f"SENS:VOLT:RANG {WIDEST_VOLT:g}",
        "SENS:VOLT:UNIT VOLT",
        *_measure("VOLT", cycles),
    )
    return SourceMeasureSettings(commands, "SOUR:CURR:VLIM?", limit)


def _voltage_source(
    technique: ConstantVoltage, model: KeithleyModel, limits: Limits, cycles: float
) -> SourceMeasureSettings:
    limit = current_limit_ampere(limits, model, technique.voltage_volt)
    if technique.current_range_ampere is None:
        ranging = ("SENS:CURR:RANG:AUTO ON", f"SENS:CURR:RANG:AUTO:LLIM {REST_RANGE_AMPERE:g}")
    else:
        full_scale = model.range_for(technique.current_range_ampere)
        ranging = (f"SENS:CURR:RANG {full_scale:.9g}",)
        limit = min(limit, full_scale * (1 + _CURRENT_LIMIT_SHARE))
    commands = (
        "SOUR:FUNC VOLT",
        "SOUR:VOLT 0",
        f"SOUR:VOLT:RANG {WIDEST_VOLT:g}",
        f"SOUR:VOLT:ILIM {limit:.9g}",
        f"SOUR:VOLT {technique.voltage_volt:.9g}",
        "SOUR:VOLT:DEL 0",
        "SOUR:VOLT:READ:BACK ON",
        "SOUR:VOLT:HIGH:CAP OFF",
        f"OUTP:VOLT:SMOD {_HIGH_IMPEDANCE}",
        'SENS:FUNC "CURR"',
        *ranging,
        "SENS:CURR:UNIT AMP",
        *_measure("CURR", cycles),
    )
    return SourceMeasureSettings(commands, "SOUR:VOLT:ILIM?", limit)


def _measure(function: str, cycles: float) -> tuple[str, ...]:
    """Four wires, nothing between the converter and the reading."""
    root = f"SENS:{function}"
    return (
        f"{root}:RSEN ON",
        f"{root}:NPLC {cycles:g}",
        f"{root}:AZER ON",
        f"{root}:AVER OFF",
        f"{root}:REL:STAT OFF",
    )
