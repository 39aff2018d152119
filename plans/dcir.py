"""Resistance to direct current (DCIR) by pulses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.records.cell import Cell
from plans.building_blocks import (
    CellVolt,
    Drift,
    Percent,
    Rate,
    Seconds,
    rest,
    rest_to_drift,
    soc_ways,
    window_of,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Gapless, Item, Mark, Protocol

_BEFORE = OpenCircuit(until_time_second=10, sampling=Sampling.every(1), tag="dcir before")
_PULSE_SAMPLING = Sampling.staged((0.1, 10), (0.5, None))  # holds the instants 0.1, 1, 10 and 30 s


@measurement_plan
def dcir(
    cycler: Cycler,
    *,
    cell: Cell,
    rate: Rate = "1C",
    pulse_second: Annotated[float, Field(ge=1, le=3600)] = 30.0,
    rest_second: Seconds = 600.0,
    soc_percent: Annotated[tuple[Percent, ...], Field(max_length=100)] = (),
    soc_rate: Rate = "C/10",
    soc_rest_second: Seconds = 3600.0,
    soc_rest_drift_volt_per_hour: Drift | None = None,
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Measure the resistance to a discharging and a charging pulse, as the cell is or at states of charge.

    Each pulse runs with 10 s of open circuit before and a rest after it as one program on the instrument,
    sampled every 0.1 s for 10 s: R(t) = |V(t) - V_rest| / |I| at 0.1, 1, 10 and 30 s, V_rest being the last
    voltage before the pulse. The two pulses take back each other's charge. A pulse that meets a limit of the
    voltage window ends there.

    With `soc_percent` the cell is first charged to its upper voltage, which is 100 %, and then discharged
    from state to state by shares of the nominal capacity.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the currents and the voltage window.
        rate: C-rate of the pulses ("1C", "C/2", 0.5), of the nominal capacity.
        pulse_second: length of a pulse (s).
        rest_second: open circuit after each pulse (s).
        soc_percent: states of charge (percent of the nominal capacity), falling; none: as the cell is.
        soc_rate: C-rate up to a state of charge.
        soc_rest_second: open circuit before the pulses of a state (s), the longest one if a drift is given.
        soc_rest_drift_volt_per_hour: that rest ends early when |dV/dt| is at or below this (V/h).
        voltage_min_volt: cell voltage (V) below which no pulse goes; None takes the cell's window.
        voltage_max_volt: cell voltage (V) above which no pulse goes; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(dcir(...))` runs it and gives the uid.

    References:
        Schweiger et al., Sensors 10 (2010) 5604, doi 10.3390/s100605604, on methods and their times.

    Example:
        >>> RE(dcir(cycler, cell=cell, rate="C/2", rest_second=60))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    current, after = cell.current(rate), rest(rest_second, "dcir after")

    def pulse(charges: bool) -> Gapless:
        technique = ConstantCurrent(
            current_ampere=current if charges else -current,
            until_time_second=pulse_second,
            until_voltage_above_volt=window.high_volt if charges else None,
            until_voltage_below_volt=None if charges else window.low_volt,
            sampling=_PULSE_SAMPLING,
            tag="dcir pulse",
        )
        return Gapless(techniques=(_BEFORE, technique, after))

    pulses = (pulse(charges=False), pulse(charges=True))
    items: list[Item] = [Mark()]
    if not soc_percent:
        items += pulses
    else:
        settle = rest_to_drift(soc_rest_second, soc_rest_drift_volt_per_hour)
        for way in soc_ways(cell, window, soc_percent, soc_rate):
            items += (*way, settle, *pulses)
    protocol = Protocol(name="dcir", items=tuple(items))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
