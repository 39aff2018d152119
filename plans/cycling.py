"""Cycle life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.building_blocks import (
    SOFT_SHORT,
    AmplitudeVolt,
    CellVolt,
    Cycles,
    Drift,
    Hertz,
    Hold,
    Rate,
    Seconds,
    SymmetricOrRate,
    cycle,
    rate_name,
    rest,
    rest_to_drift,
    spectrum,
    window_of,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Loop, LoopCondition, Protocol

_BAD_CYCLES = 2  # in a row: the cycle after a check-up charges from deeper down than it discharges to
CHECK_UP = "check-up"


@measurement_plan
def cycle_life(
    cycler: Cycler,
    *,
    cell: Cell,
    cycles: Cycles = 100,
    rate: Rate = "0.5C",
    charge_rate: SymmetricOrRate = "symmetric",
    hold_until_rate: Rate | None = None,
    hold_second: Seconds = 3600.0,
    rest_second: Seconds = 600.0,
    check_up_every: Annotated[int, Field(ge=2, le=100_000)] = 50,
    check_up_rate: Rate = "0.1C",
    check_up_spectrum: bool = True,
    spectrum_rest_second: Seconds = 3600.0,
    spectrum_rest_drift_volt_per_hour: Drift | None = None,
    frequency_max_hertz: Hertz = 200e3,
    frequency_min_hertz: Hertz = 0.01,
    amplitude_rms_volt: AmplitudeVolt = 0.01,
    stop_retention: Annotated[float, Field(gt=0, lt=1)] | None = 0.8,
    stop_efficiency: Annotated[float, Field(gt=0, lt=1)] | None = 0.95,
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Cycle until the cell is worn out, with a slow check-up cycle before, between and after.

    A check-up is one cycle at a low rate, with an impedance spectrum in the charged cell after a rest. The
    cycling ends early when the discharge capacity has fallen to a share of that of the first cycle at this
    rate, when the coulombic efficiency of two cycles in a row is too low, or when a charge takes 1.3 nominal
    capacities (both: a soft short). A check-up follows then too, and the stop document names it.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the currents and the voltage window.
        cycles: cycles without the check-ups; a whole multiple of `check_up_every`, or fewer than that.
        rate: C-rate of the discharges ("0.5C", "C/3", 0.5), of the nominal capacity.
        charge_rate: C-rate of the charges, or "symmetric": that of the discharges.
        hold_until_rate: hold the upper voltage after a charge until the current is below this C-rate; None
            does not hold.
        hold_second: longest such hold (s).
        rest_second: open circuit before the first cycle and after every charge and discharge (s).
        check_up_every: cycles between two check-ups.
        check_up_rate: C-rate of charge and discharge of a check-up.
        check_up_spectrum: measure a spectrum in the charged cell of each check-up.
        spectrum_rest_second: open circuit before the spectrum (s), the longest one if a drift is given.
        spectrum_rest_drift_volt_per_hour: that rest ends early when |dV/dt| is at or below this (V/h).
        frequency_max_hertz: highest frequency of the spectrum (Hz).
        frequency_min_hertz: lowest frequency of the spectrum (Hz).
        amplitude_rms_volt: amplitude of the spectrum (V rms), about the rest voltage.
        stop_retention: share of the first cycle's discharge capacity below which cycling ends; None: goes on.
        stop_efficiency: coulombic efficiency below which, twice in a row, cycling ends; None: goes on.
        voltage_min_volt: cell voltage (V) that ends discharging; None takes the cell's window.
        voltage_max_volt: cell voltage (V) that ends charging; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(cycle_life(...))` runs it and gives the uid.

    References:
        Harlow et al., J. Electrochem. Soc. 166 (2019) A3031, on cycling with periodic low-rate check-ups.

    Example:
        >>> RE(cycle_life(cycler, cell=cell, cycles=2, rate="2C", check_up_rate="1C", frequency_min_hertz=1))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    between = min(check_up_every, cycles)
    if cycles % between:
        raise ConfigurationError(
            "cycle_life", "cycles", cycles, f"must be a whole multiple of check_up_every, {check_up_every}"
        )
    tag = f"cycling {rate_name(rate)}"
    measured = (
        rest_to_drift(spectrum_rest_second, spectrum_rest_drift_volt_per_hour, CHECK_UP),
        spectrum(
            tag=CHECK_UP,
            frequency_max_hertz=frequency_max_hertz,
            frequency_min_hertz=frequency_min_hertz,
            amplitude_rms_volt=amplitude_rms_volt,
        ),
    )
    check_up = cycle(
        cell,
        window,
        charge_rate=check_up_rate,
        discharge_rate=check_up_rate,
        rest_second=rest_second,
        tag=CHECK_UP,
        after_charge=measured if check_up_spectrum else (),
    )
    one_cycle = cycle(
        cell,
        window,
        charge_rate=rate if charge_rate == "symmetric" else charge_rate,
        discharge_rate=rate,
        hold=None if hold_until_rate is None else Hold(hold_until_rate, hold_second),
        rest_second=rest_second,
        tag=tag,
    )
    stops = _stops(stop_retention, stop_efficiency)
    cycling = Loop(tag=tag, repeat=between, body=one_cycle, stop_when=stops)
    blocks = Loop(
        repeat=cycles // between,
        body=(cycling, *check_up),
        stop_on=tuple(stop.quantity for stop in stops),
    )
    protocol = Protocol(name="cycle_life", items=(rest(rest_second), *check_up, blocks), stop_on=SOFT_SHORT)
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)


def _stops(retention: float | None, efficiency: float | None) -> tuple[LoopCondition, ...]:
    stops = list[LoopCondition]()
    if retention is not None:
        stops.append(LoopCondition(quantity="retention_below", value=retention))
    if efficiency is not None:
        stops.append(LoopCondition(quantity="efficiency_below", value=efficiency, consecutive=_BAD_CYCLES))
    return tuple(stops)
