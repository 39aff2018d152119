"""From a protocol of labctl to one of aurora-unicycler, where it can be expressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import sqrt
from typing import Any

from devices.core.techniques import ConstantCurrent, ConstantVoltage, Impedance, OpenCircuit, Sampling
from labctl.errors import ConfigurationError
from labctl.records.limits import Limits
from plans.protocol.protocol import Gapless, Item, Loop, Mark, Protocol
from plans.protocol.rated_steps import CcCv, RatedCurrent, RatedHold
from plans.protocol.unicycler.form import MARK, VERSION


def to_unicycler(protocol: Protocol, name: str | None = None) -> dict[str, Any]:
    """The protocol as plain JSON in aurora-unicycler's form.

    Raises:
        ConfigurationError: it holds what that form cannot express; names step and field.
    """
    writer = _Writer()
    writer.add(protocol.items, "")
    limits = protocol.limits or Limits()
    safety = {"max_voltage_V": limits.voltage_max_volt, "min_voltage_V": limits.voltage_min_volt}
    if limits.current_max_ampere is not None:
        most = limits.current_max_ampere * 1e3
        safety |= {"max_current_mA": most, "min_current_mA": -most}
    return {
        "unicycler": {"version": VERSION},
        "sample": {"name": name or protocol.name},
        "record": writer.record(),
        "safety": {key: value for key, value in safety.items() if value is not None},
        "method": writer.steps,
    }


class _Writer:
    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._samplings: dict[Sampling, str] = {}
        self._marks = 0

    def record(self) -> dict[str, float]:
        """The one recording interval of all steps."""
        if not self._samplings:
            return {"time_s": 1.0}
        (sampling, first), *others = self._samplings.items()
        if others:
            raise _cannot(others[0][1], "sampling", f"must be the same for all steps (as in step {first})")
        if len(sampling.stages) > 1:
            raise _cannot(first, "sampling", "must have one interval only")
        stage = next(iter(sampling.stages))
        record = {"time_s": stage.interval_second}
        return record | ({"voltage_V": sampling.change_volt} if sampling.change_volt is not None else {})

    def add(self, items: Iterable[Item], prefix: str) -> None:
        for index, item in enumerate(items):
            path = f"{prefix}{index}"
            if isinstance(item, Loop):
                self._loop(item, path)
            elif isinstance(item, Mark):
                self._marks += 1
                self.steps.append({"step": "tag", "tag": f"{MARK}{self._marks}"})
            else:
                self.steps += self._written(item, path)

    def _loop(self, loop: Loop, path: str) -> None:
        if loop.stop_on or loop.stop_when:
            raise _cannot(path, "stop_on" if loop.stop_on else "stop_when", "loops end by their number only")
        begin = len(self.steps) + 1
        self.add(loop.body, f"{path}.")
        self.steps.append({"step": "loop", "loop_to": begin, "cycle_count": loop.repeat})

    def _written(self, item: Item, path: str) -> Iterator[dict[str, Any]]:
        if isinstance(item, Gapless):
            for index, technique in enumerate(item.techniques):
                yield from self._written(technique, f"{path}.{index}")
            return
        if not isinstance(item, Impedance) and (sampling := getattr(item, "sampling", None)) is not None:
            self._samplings.setdefault(sampling, path)
        if isinstance(item, OpenCircuit):
            if item.until_drift_volt_per_hour is not None:
                raise _cannot(path, "until_drift_volt_per_hour", "a rest ends by its time only")
            yield {"step": "open_circuit_voltage", "until_time_s": item.until_time_second}
        elif isinstance(item, ConstantCurrent | RatedCurrent):
            yield _written_current(item, path)
        elif isinstance(item, ConstantVoltage | RatedHold):
            yield _written_hold(item, path)
        elif isinstance(item, CcCv):
            yield from _written_cc_cv(item, path)
        elif isinstance(item, Impedance):
            yield _written_spectrum(item, path)
        else:
            raise _cannot(path, "kind", f"{item.kind} has no counterpart")


def _cannot(path: str, field: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"step {path}", field, None, f"aurora-unicycler cannot express it: {why}")


def _given(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _written_current(item: ConstantCurrent | RatedCurrent, path: str) -> dict[str, Any]:
    charge = item.until_charge_share if isinstance(item, RatedCurrent) else item.until_charge_ah
    if charge is not None:
        raise _cannot(path, "until_charge", "a step ends by time or voltage only")
    if isinstance(item, RatedCurrent):
        rate = item.rate_per_hour if item.direction == "charge" else -item.rate_per_hour
        flow, volt = {"rate_C": rate}, item.until_voltage_volt
    else:
        flow = {"current_mA": item.current_ampere * 1e3}
        charges = item.current_ampere > 0
        volt = item.until_voltage_above_volt if charges else item.until_voltage_below_volt
        if (item.until_voltage_below_volt if charges else item.until_voltage_above_volt) is not None:
            raise _cannot(path, "until_voltage", "only the limit that the current runs to")
    step: dict[str, Any] = {"step": "constant_current", **flow}
    return step | _given(until_time_s=item.until_time_second, until_voltage_V=volt)


def _written_hold(item: ConstantVoltage | RatedHold, path: str) -> dict[str, Any]:
    step: dict[str, Any] = {"step": "constant_voltage", "voltage_V": item.voltage_volt}
    step |= _given(until_time_s=item.until_time_second)
    if isinstance(item, RatedHold):
        return step | {"until_rate_C": item.until_rate_below_per_hour}
    if item.until_charge_ah is not None:
        raise _cannot(path, "until_charge_ah", "a step ends by time or current only")
    below = item.until_current_below_ampere
    return step | _given(until_current_mA=None if below is None else below * 1e3)


def _written_cc_cv(item: CcCv, path: str) -> Iterator[dict[str, Any]]:
    if item.until_charge_ah is not None:
        raise _cannot(path, "until_charge_ah", "a step ends by time or voltage only")
    sign = 1.0 if item.direction == "charge" else -1.0
    rate, ampere = item.rate_per_hour, item.current_ampere
    yield {"step": "constant_current", "until_voltage_V": item.voltage_volt} | _given(
        rate_C=None if rate is None else sign * rate,
        current_mA=None if ampere is None else sign * ampere * 1e3,
    )
    below = item.until_current_below_ampere
    yield {
        "step": "constant_voltage",
        "voltage_V": item.voltage_volt,
        "until_time_s": item.hold_second,
    } | _given(
        until_rate_C=item.until_rate_below_per_hour, until_current_mA=None if below is None else below * 1e3
    )


def _written_spectrum(item: Impedance, path: str) -> dict[str, Any]:
    if item.dc_voltage_volt is not None or item.dc_current_ampere != 0:
        raise _cannot(path, "dc_voltage_volt", "spectra are taken about the rest voltage only")
    volt, ampere = item.amplitude_rms_volt, item.amplitude_rms_ampere
    return {
        "step": "impedance_spectroscopy",
        "start_frequency_Hz": item.frequency_max_hertz,
        "end_frequency_Hz": item.frequency_min_hertz,
        "points_per_decade": item.points_per_decade,
    } | _given(
        amplitude_V=None if volt is None else volt * sqrt(2),
        amplitude_mA=None if ampere is None else ampere * 1e3 * sqrt(2),
    )
