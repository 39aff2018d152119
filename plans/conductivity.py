"""Conductivity over temperature and stack pressure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.building_blocks import (
    AmplitudeVolt,
    Drift,
    Hertz,
    KelvinPerMinute,
    Megapascal,
    PointsPerDecade,
    Seconds,
    drift_window_second,
    spectrum,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Celsius, Item, Protocol, SetPressure, SetTemperature, Soak


@measurement_plan
def conductivity_sweep(
    cycler: Cycler,
    *,
    cell: Cell,
    temperatures_celsius: Annotated[tuple[Celsius, ...], Field(max_length=100)] = (25, 30, 40, 50, 60),
    pressures_mpa: Annotated[tuple[Megapascal, ...], Field(max_length=100)] = (),
    soak_second: Seconds = 3600.0,
    pressure_soak_second: Seconds = 600.0,
    soak_drift_volt_per_hour: Drift | None = None,
    ramp_kelvin_per_minute: KelvinPerMinute | None = None,
    repeat_first: bool = True,
    frequency_max_hertz: Hertz = 200e3,
    frequency_min_hertz: Hertz = 0.1,
    points_per_decade: PointsPerDecade = 10,
    amplitude_rms_volt: AmplitudeVolt = 0.01,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Take impedance spectra over a ladder of stack pressures and a ladder of temperatures, each soaked.

    The pressures come first, at the first temperature (where temperatures are given); then the cell record's
    stack pressure is set and the temperatures follow. What changes with pressure at one temperature is
    contact: taken off, it leaves the resistance of the electrolyte, whose activation energy would come out
    too low with it. Analyse with `labctl analyze`.

    Args:
        cycler: the potentiostat.
        cell: the cell record; its die's and its own limits hold.
        temperatures_celsius: temperatures in order (degrees Celsius); none: temperature is left alone.
        pressures_mpa: stack pressures in order (MPa); none: stack pressure is left alone.
        soak_second: open circuit at each temperature before its spectrum (s).
        pressure_soak_second: open circuit at each stack pressure before its spectrum (s).
        soak_drift_volt_per_hour: a soak ends early when |dV/dt| is at or below this (V/h).
        ramp_kelvin_per_minute: ramp between temperatures (K/min); None is as the controller was set up.
        repeat_first: return to the first temperature at the end for one more spectrum, which shows whether
            the cell has changed.
        frequency_max_hertz: highest frequency (Hz).
        frequency_min_hertz: lowest frequency (Hz).
        points_per_decade: frequencies per decade.
        amplitude_rms_volt: amplitude of the spectra (V rms).
        environment: what sets and records temperature and stack pressure; needed.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(conductivity_sweep(...))` runs it and gives the uid.

    References:
        Doux et al., J. Mater. Chem. A 8 (2020) 5049, on stack pressure and conductivity of Li6PS5Cl.

    Example:
        >>> sweep = conductivity_sweep(
        ...     cycler, cell=cell, environment=environment, temperatures_celsius=(25, 35), soak_second=60
        ... )
        >>> RE(sweep)
    """
    if not temperatures_celsius and not pressures_mpa:
        raise ConfigurationError(
            "conductivity_sweep", "temperatures_celsius", [], "temperatures, stack pressures, or both"
        )

    def measured(tag: str, second: float) -> tuple[Item, ...]:
        return (
            _soak(second, soak_drift_volt_per_hour, tag),
            spectrum(
                tag=tag,
                frequency_max_hertz=frequency_max_hertz,
                frequency_min_hertz=frequency_min_hertz,
                points_per_decade=points_per_decade,
                amplitude_rms_volt=amplitude_rms_volt,
            ),
        )

    def heated(celsius: float) -> SetTemperature:
        return SetTemperature(
            temperature_celsius=celsius,
            ramp_kelvin_per_minute=ramp_kelvin_per_minute,
            tag=f"to {celsius:g} degrees Celsius",
        )

    def ladders() -> Iterator[Item]:
        if pressures_mpa:
            yield from map(heated, temperatures_celsius[:1])
            for pressure in pressures_mpa:
                yield _pressed(pressure)
                yield from measured(f"{pressure:g} MPa", pressure_soak_second)
            yield _pressed(cell.stack_pressure_mpa)
        for celsius in temperatures_celsius:
            yield heated(celsius)
            yield from measured(f"{celsius:g} degrees Celsius", soak_second)
        if repeat_first and len(temperatures_celsius) > 1:
            yield heated(temperatures_celsius[0])
            yield from measured("repeated", soak_second)

    protocol = Protocol(name="conductivity_sweep", items=tuple(ladders()))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)


def _pressed(pressure_mpa: float) -> SetPressure:
    return SetPressure(pressure_pa=pressure_mpa * 1e6, tag=f"to {pressure_mpa:g} MPa")


def _soak(second: float, drift_volt_per_hour: float | None, tag: str) -> Soak:
    if drift_volt_per_hour is None:
        return Soak(until_time_second=second, tag=tag)
    return Soak(
        until_time_second=second,
        until_drift_volt_per_hour=drift_volt_per_hour,
        drift_window_second=drift_window_second(drift_volt_per_hour),
        tag=tag,
    )
