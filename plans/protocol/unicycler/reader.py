"""From a protocol of aurora-unicycler to one of labctl; what differs is told in `unicycler_form`."""

from __future__ import annotations

import logging
from math import sqrt
from typing import Any

from devices.core.techniques import ConstantCurrent, ConstantVoltage, Impedance, OpenCircuit, Sampling
from labctl.errors import ConfigurationError
from labctl.records.limits import Limits
from labctl.records.loader import validate_record
from plans.protocol.protocol import Item, Loop, Mark, Protocol
from plans.protocol.rated_steps import RatedCurrent, RatedHold
from plans.protocol.unicycler.form import (
    MARK,
    UnicyclerAnyStep,
    UnicyclerCurrent,
    UnicyclerHold,
    UnicyclerLoop,
    UnicyclerProtocol,
    UnicyclerRest,
    UnicyclerSafety,
    UnicyclerSpectrum,
    UnicyclerTag,
)

logger = logging.getLogger(__name__)


def is_unicycler(data: object) -> bool:
    """Whether `data` looks like a protocol of aurora-unicycler rather than labctl's own."""
    return isinstance(data, dict) and "method" in data and "items" not in data


def from_unicycler(data: object, *, where: str) -> Protocol:
    """The same measurement in labctl's terms.

    Raises:
        ConfigurationError: not such a protocol, or something in it cannot be done the same way here.
    """
    given = validate_record(data, UnicyclerProtocol, where=where)
    name = given.sample.name if given.sample.name != "$NAME" else "unicycler"
    items = _nested(given, _Reader(given, where).items(), where)
    left_out = [
        word
        for word, value in (
            ("record.current_mA", given.record.current_mA),
            ("safety.delay_s", given.safety.delay_s),
        )
        if value
    ]
    if left_out:
        logger.warning("%s: %s: no counterpart here, left out", where, " and ".join(left_out))
    return validate_record(
        {"name": name, "items": items, "limits": _limits(given.safety, where)}, Protocol, where=where
    )


def _limits(safety: UnicyclerSafety, where: str) -> Limits | None:
    if safety.max_capacity_mAh:
        raise ConfigurationError(
            where,
            "safety.max_capacity_mAh",
            safety.max_capacity_mAh,
            "has no counterpart here; give each step its charge",
        )
    most, least = safety.max_current_mA, safety.min_current_mA
    if most is not None and least is not None and most != -least:
        raise ConfigurationError(
            where,
            "safety.min_current_mA",
            least,
            f"must be -max_current_mA ({-most:g}): the limit holds for both signs here",
        )
    largest = most if most is not None else None if least is None else -least
    limits = Limits(
        voltage_min_volt=safety.min_voltage_V,
        voltage_max_volt=safety.max_voltage_V,
        current_max_ampere=None if largest is None else largest * 1e-3,
    )
    return limits if limits != Limits() else None


class _Reader:
    """Turns steps into items one by one; a CV takes its direction from the current step before it."""

    def __init__(self, given: UnicyclerProtocol, where: str) -> None:
        self._given, self._where = given, where
        self._sampling = Sampling.every(given.record.time_s, change_volt=given.record.voltage_V or None)
        self._charges = True

    def items(self) -> list[Item | None]:
        """One entry for each step of the method, None for tags and loops."""
        return [self._item(index, step) for index, step in enumerate(self._given.method)]

    def _item(self, index: int, step: UnicyclerAnyStep) -> Item | None:
        if isinstance(step, UnicyclerRest):
            return OpenCircuit(until_time_second=step.until_time_s, sampling=self._sampling)
        if isinstance(step, UnicyclerCurrent):
            return self._current(index, step)
        if isinstance(step, UnicyclerHold):
            return self._hold(index, step)
        if isinstance(step, UnicyclerSpectrum):
            return self._spectrum(index, step)
        return Mark() if isinstance(step, UnicyclerTag) and step.tag.startswith(MARK) else None

    def _refuse(self, index: int, field: str, value: object, allowed: str) -> ConfigurationError:
        return ConfigurationError(self._where, f"method.{index}.{field}", value, allowed)

    def _current(self, index: int, step: UnicyclerCurrent) -> Item:
        rate, capacity = step.rate_C or None, self._given.sample.capacity_mAh
        milliampere = step.current_mA
        if rate is not None and capacity:
            milliampere, rate = rate * capacity, None
        signed = rate if rate is not None else milliampere
        if not signed:
            raise self._refuse(index, "current_mA", milliampere, "rate_C or current_mA must be given, not 0")
        self._charges = signed > 0
        if not step.until_time_s and not step.until_voltage_V:
            raise self._refuse(index, "until_voltage_V", None, "needs until_time_s or until_voltage_V")
        if rate is not None:
            return RatedCurrent(
                rate_per_hour=abs(rate),
                direction="charge" if rate > 0 else "discharge",
                until_time_second=step.until_time_s or None,
                until_voltage_volt=step.until_voltage_V,
                sampling=self._sampling,
            )
        return ConstantCurrent(
            current_ampere=signed * 1e-3,
            until_time_second=step.until_time_s or None,
            until_voltage_above_volt=step.until_voltage_V if signed > 0 else None,
            until_voltage_below_volt=None if signed > 0 else step.until_voltage_V,
            sampling=self._sampling,
        )

    def _hold(self, index: int, step: UnicyclerHold) -> Item:
        rate, capacity = step.until_rate_C or None, self._given.sample.capacity_mAh
        milliampere = step.until_current_mA or None
        if rate is not None and capacity:
            milliampere, rate = rate * capacity, None
        common: dict[str, Any] = {
            "voltage_volt": step.voltage_V,
            "direction": "charge" if self._charges else "discharge",
            "until_time_second": step.until_time_s or None,
            "sampling": self._sampling,
        }
        if rate is not None:
            return RatedHold(until_rate_below_per_hour=abs(rate), **common)
        if milliampere is None and not step.until_time_s:
            raise self._refuse(index, "until_time_s", None, "a stop condition is needed")
        below = None if milliampere is None else abs(milliampere) * 1e-3
        return ConstantVoltage(until_current_below_ampere=below, **common)

    def _spectrum(self, index: int, step: UnicyclerSpectrum) -> Item:
        if step.measures_per_point != 1 or step.drift_correction:
            raise self._refuse(
                index,
                "measures_per_point",
                step.measures_per_point,
                "must be 1, without drift_correction: instruments here average by themselves",
            )
        if step.start_frequency_Hz < step.end_frequency_Hz:
            raise self._refuse(
                index,
                "start_frequency_Hz",
                step.start_frequency_Hz,
                "must be the higher one: spectra run from high to low here",
            )
        volt, milliampere = step.amplitude_V, step.amplitude_mA
        if (volt is None) == (milliampere is None):
            raise self._refuse(index, "amplitude_V", volt, "exactly one of amplitude_V and amplitude_mA")
        return Impedance(
            mode="potentiostatic" if volt is not None else "galvanostatic",
            frequency_max_hertz=step.start_frequency_Hz,
            frequency_min_hertz=step.end_frequency_Hz,
            points_per_decade=step.points_per_decade,
            amplitude_rms_volt=None if volt is None else volt / sqrt(2),
            amplitude_rms_ampere=None if milliampere is None else milliampere * 1e-3 / sqrt(2),
        )


def _nested(given: UnicyclerProtocol, items: list[Item | None], where: str) -> list[Item]:
    """Loops back to a step as loops around what lies between; `done` holds first and last index and item."""
    done: list[tuple[int, int, Item]] = []
    tags = {step.tag: index for index, step in enumerate(given.method) if isinstance(step, UnicyclerTag)}
    for index, (step, item) in enumerate(zip(given.method, items, strict=True)):
        if not isinstance(step, UnicyclerLoop):
            if item is not None:
                done.append((index, index, item))
            continue
        to = step.loop_to
        begin = tags.get(to, -1) if isinstance(to, str) else to - 1
        body = tuple(inner for first, _, inner in done if first >= begin)
        if any(first < begin <= last for first, last, _ in done):
            allowed = "must not lead into another loop: loops may only be nested"
            raise ConfigurationError(where, f"method.{index}.loop_to", to, allowed)
        if begin < 0 or not body:
            allowed = "must be a tag or number of an earlier step, with steps in between"
            raise ConfigurationError(where, f"method.{index}.loop_to", to, allowed)
        done = [entry for entry in done if entry[0] < begin]
        done.append((begin, index, Loop(repeat=step.cycle_count, body=body)))
    return [item for _, _, item in done]
