"""Impedance spectra of the cell as it is, at states of charge, or at voltages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.building_blocks import (
    AmplitudeAmpere,
    AmplitudeVolt,
    CellVolt,
    Drift,
    Hertz,
    Hold,
    Percent,
    PointsPerDecade,
    Rate,
    Seconds,
    Window,
    rest_to_drift,
    soc_ways,
    spectrum,
    to_voltage,
    window_of,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Item, Protocol

_WHERE = "impedance_spectrum"


@measurement_plan
def impedance_spectrum(
    cycler: Cycler,
    *,
    cell: Cell,
    soc_percent: Annotated[tuple[Percent, ...], Field(max_length=100)] = (),
    voltages_volt: Annotated[tuple[CellVolt, ...], Field(max_length=100)] = (),
    rate: Rate = "C/10",
    hold_until_rate: Rate = "C/50",
    hold_second: Seconds = 3600.0,
    rest_second: Annotated[float, Field(ge=0, le=864_000)] = 10_800.0,
    rest_drift_volt_per_hour: Drift | None = 1e-3,
    mode: Literal["potentiostatic", "galvanostatic"] = "potentiostatic",
    amplitude_rms_volt: AmplitudeVolt = 0.01,
    amplitude_rms_ampere: AmplitudeAmpere = 1e-4,
    frequency_max_hertz: Hertz = 200e3,
    frequency_min_hertz: Hertz = 0.01,
    points_per_decade: PointsPerDecade = 10,
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Take impedance spectra, each after a rest: of the cell as it is, at states of charge, or at voltages.

    With `soc_percent` the cell is first charged to its upper voltage, which is 100 %, and then discharged
    from state to state by shares of the nominal capacity. With `voltages_volt` it is first brought to that
    end of its window from which they lead away, then to each voltage by constant current and a hold.

    Spectra are taken from high to low frequency about the rest voltage that the instrument measures just
    before (galvanostatic ones about zero current), so that they move no charge: an unfinished rest shows as a
    current. Analyse with `labctl analyze`.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the currents and the voltage window.
        soc_percent: states of charge (percent of the nominal capacity), falling.
        voltages_volt: cell voltages (V), all rising or all falling. Without these two: the cell as it is.
        rate: C-rate between the states ("C/10", "0.1C", 0.1).
        hold_until_rate: the hold at a voltage ends when the current is below this C-rate.
        hold_second: longest such hold (s).
        rest_second: open circuit before each spectrum (s), the longest one if a drift is given; 0: none.
        rest_drift_volt_per_hour: that rest ends early when |dV/dt| is at or below this (V/h); None: never.
        mode: what is modulated, the voltage or the current.
        amplitude_rms_volt: amplitude of potentiostatic spectra (V rms).
        amplitude_rms_ampere: amplitude of galvanostatic spectra (A rms).
        frequency_max_hertz: highest frequency (Hz).
        frequency_min_hertz: lowest frequency (Hz).
        points_per_decade: frequencies per decade.
        voltage_min_volt: cell voltage (V) below which no current goes; None takes the cell's window.
        voltage_max_volt: cell voltage (V) that is 100 %; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(impedance_spectrum(...))` runs it and gives the uid.

    References:
        Vadhva et al., ChemElectroChem 8 (2021) 1930, on impedance of all-solid-state batteries.

    Example:
        >>> RE(impedance_spectrum(cycler, cell=cell, rest_second=60, frequency_min_hertz=1))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    galvanostatic = mode == "galvanostatic"
    common: dict[str, Any] = {
        "frequency_max_hertz": frequency_max_hertz,
        "frequency_min_hertz": frequency_min_hertz,
        "points_per_decade": points_per_decade,
        "amplitude_rms_volt": amplitude_rms_volt,
        "amplitude_rms_ampere": amplitude_rms_ampere if galvanostatic else None,
    }

    def after_rest(tag: str) -> tuple[Item, ...]:
        rest = rest_to_drift(rest_second, rest_drift_volt_per_hour, tag) if rest_second else None
        return (*((rest,) if rest else ()), spectrum(tag=tag, **common))

    items = list[Item]()
    if soc_percent and voltages_volt:
        allowed = "not together with soc_percent"
        raise ConfigurationError(_WHERE, "voltages_volt", list(voltages_volt), allowed)
    if soc_percent:
        for percent, way in zip(soc_percent, soc_ways(cell, window, soc_percent, rate), strict=True):
            items += (*way, *after_rest(f"{percent:g} %"))
    elif voltages_volt:
        hold = Hold(hold_until_rate, hold_second)
        ways = _to_voltages(cell, window, voltages_volt, rate, hold)
        for volt, way in zip(voltages_volt, ways, strict=True):
            items += (*way, *after_rest(f"{volt:g} V"))
    else:
        items += after_rest("as it is")
    protocol = Protocol(name="impedance_spectrum", items=tuple(items))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)


def _to_voltages(
    cell: Cell, window: Window, volts: tuple[float, ...], rate: str | float, hold: Hold
) -> Iterator[tuple[Item, ...]]:
    """What brings the cell to each voltage; the first way begins at the end of the window before it.

    Raises:
        ConfigurationError: neither rising nor falling, or outside the window.
    """
    rising = volts[-1] >= volts[0]
    if any((after > before) != rising or after == before for before, after in pairwise(volts)):
        raise ConfigurationError(_WHERE, "voltages_volt", list(volts), "all rising or all falling")
    low, high = window
    outside = [volt for volt in volts if not low <= volt <= high]
    if outside:
        raise ConfigurationError(_WHERE, "voltages_volt", outside[0], f"{low:g} V to {high:g} V")
    direction, back, end = ("charge", "discharge", low) if rising else ("discharge", "charge", high)
    way: tuple[Item, ...] = (to_voltage(cell, back, rate, end, tag=f"to {end:g} V"),)
    for volt in volts:
        yield (*way, to_voltage(cell, direction, rate, volt, hold=hold, tag=f"to {volt:g} V"))
        way = ()
