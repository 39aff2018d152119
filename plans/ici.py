"""Intermittent current interruption (ICI)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from devices.core.techniques import ConstantCurrent, OpenCircuit, Sampling
from labctl.records.cell import Cell
from plans.building_blocks import CHARGE_BOUND, CellVolt, Rate, Seconds, rest, window_of
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Gapless, Item, Loop, Mark, Protocol

_CURRENT_SAMPLING = Sampling.staged((0.2, 10), (5, None))
_PAUSE_SAMPLING = Sampling.every(0.1)


@measurement_plan
def ici(
    cycler: Cycler,
    *,
    cell: Cell,
    rate: Rate = "C/10",
    interruptions: Annotated[int, Field(ge=1, le=100_000)] | None = None,
    current_second: Annotated[float, Field(ge=10, le=86_400)] = 300.0,
    pause_second: Annotated[float, Field(ge=5, le=600)] = 10.0,
    rest_second: Seconds = 3600.0,
    direction: Literal["charge", "discharge", "both"] = "both",
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Charge or discharge with short interruptions: internal resistance and diffusion without long rests.

    Each stretch of current and the pause after it run as one program on the instrument; pauses are sampled
    every 0.1 s, for the regression of the voltage against the square root of time from 1 to 5 s. A direction
    ends with the pause after the voltage limit is met, or after 1.3 nominal capacities. It takes about a
    tenth of the time of a GITT.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the current and the voltage window.
        rate: C-rate of the current ("C/10", "0.1C", 0.1), of the nominal capacity.
        interruptions: interruptions per direction; None goes on to the voltage limit.
        current_second: time between two interruptions (s).
        pause_second: length of an interruption (s).
        rest_second: open circuit before each direction (s).
        direction: charge, discharge, or both (charge first).
        voltage_min_volt: cell voltage (V) that ends discharging; None takes the cell's window.
        voltage_max_volt: cell voltage (V) that ends charging; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(ici(...))` runs it and gives the uid.

    References:
        Chien et al., Nat. Commun. 14 (2023) 2289, doi 10.1038/s41467-023-37989-6, for the method.

    Example:
        >>> RE(ici(cycler, cell=cell, interruptions=2, direction="charge", rest_second=60))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    current = cell.current(rate)
    bound = ceil(CHARGE_BOUND * cell.nominal_capacity_ah * 3600.0 / (current * current_second))
    pause = OpenCircuit(until_time_second=pause_second, sampling=_PAUSE_SAMPLING, tag="ici pause")

    def way(charges: bool) -> tuple[Item, ...]:
        on = ConstantCurrent(
            current_ampere=current if charges else -current,
            until_time_second=current_second,
            until_voltage_above_volt=window.high_volt if charges else None,
            until_voltage_below_volt=None if charges else window.low_volt,
            sampling=_CURRENT_SAMPLING,
            tag="ici current",
        )
        loop = Loop(
            tag="ici charge" if charges else "ici discharge",
            repeat=interruptions or bound,
            body=(Gapless(techniques=(on, pause)),),
            stop_on=("voltage_above" if charges else "voltage_below",),
        )
        return rest(rest_second), loop

    items: list[Item] = [Mark()]
    if direction in ("charge", "both"):
        items += way(charges=True)
    if direction in ("discharge", "both"):
        items += way(charges=False)
    protocol = Protocol(name="ici", items=tuple(items))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
