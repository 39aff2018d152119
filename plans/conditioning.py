"""What a cell goes through before its first current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.core.protocols import Cycler, Environment
from labctl.records.cell import Cell
from plans.building_blocks import (
    AmplitudeVolt,
    Drift,
    Hertz,
    KelvinPerMinute,
    Megapascal,
    Seconds,
    rest_to_drift,
    spectrum,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Celsius, Item, Protocol, SetPressure, SetTemperature, Soak


@measurement_plan
def condition(
    cycler: Cycler,
    *,
    cell: Cell,
    pressure_mpa: Megapascal | None = None,
    soak_celsius: Celsius | None = None,
    soak_second: Seconds | None = 7200.0,
    temperature_celsius: Celsius | None = None,
    ramp_kelvin_per_minute: KelvinPerMinute | None = None,
    rest_second: Seconds = 3600.0,
    rest_drift_volt_per_hour: Drift | None = None,
    frequency_max_hertz: Hertz = 200e3,
    frequency_min_hertz: Hertz = 0.01,
    amplitude_rms_volt: AmplitudeVolt = 0.01,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Press a fresh cell, heat it, let it soak, and take its first spectrum at rest.

    In order: stack pressure, temperature of the soak, soak at open circuit, temperature of the measurement,
    rest, impedance spectrum about the rest voltage. The rest voltage before any current shows whether a cell
    was assembled well. Pressure and temperature are held afterwards.

    Args:
        cycler: the potentiostat.
        cell: the cell record; its die's and its own limits hold.
        pressure_mpa: stack pressure (MPa); None takes the cell record's where the station has a heated
            pressure cell, and leaves it alone where not.
        soak_celsius: temperature of the soak (degrees Celsius); None soaks at `temperature_celsius`.
        soak_second: length of the soak (s); None leaves it out.
        temperature_celsius: temperature of rest and spectrum (degrees Celsius); None leaves it as it is.
        ramp_kelvin_per_minute: ramp of both temperatures (K/min); None is as the controller was set up.
        rest_second: open circuit before the spectrum (s), the longest one if a drift is given.
        rest_drift_volt_per_hour: that rest ends early when |dV/dt| is at or below this (V/h).
        frequency_max_hertz: highest frequency of the spectrum (Hz).
        frequency_min_hertz: lowest frequency of the spectrum (Hz).
        amplitude_rms_volt: amplitude of the spectrum (V rms).
        environment: what sets and records temperature and stack pressure.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(condition(...))` runs it and gives the uid.

    References:
        Puls et al., Nat. Energy 9 (2024) 1310, on cells of 21 laboratories and what predicts their success.

    Example:
        >>> RE(condition(cycler, cell=cell, soak_second=60, rest_second=60, frequency_min_hertz=1))
    """
    first = temperature_celsius if soak_celsius is None else soak_celsius
    if pressure_mpa is None and environment is not None:
        pressure_mpa = cell.stack_pressure_mpa

    def heat(celsius: float, tag: str) -> SetTemperature:
        return SetTemperature(
            temperature_celsius=celsius, ramp_kelvin_per_minute=ramp_kelvin_per_minute, tag=tag
        )

    items = list[Item]()
    if pressure_mpa is not None:
        items.append(SetPressure(pressure_pa=pressure_mpa * 1e6, tag="press"))
    if first is not None:
        items.append(heat(first, "heat"))
    if soak_second is not None:
        items.append(Soak(until_time_second=soak_second, tag="soak"))
    if temperature_celsius is not None and temperature_celsius != first:
        items.append(heat(temperature_celsius, "to the temperature of the spectrum"))
    items.append(rest_to_drift(rest_second, rest_drift_volt_per_hour, "rest"))
    items.append(
        spectrum(
            tag="first spectrum",
            frequency_max_hertz=frequency_max_hertz,
            frequency_min_hertz=frequency_min_hertz,
            amplitude_rms_volt=amplitude_rms_volt,
        )
    )
    protocol = Protocol(name="condition", items=tuple(items))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
