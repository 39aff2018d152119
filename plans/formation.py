"""The first, slow cycles of a fresh cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.core.protocols import Cycler, Environment
from labctl.records.cell import Cell
from plans.building_blocks import (
    SOFT_SHORT,
    CellVolt,
    Cycles,
    Hold,
    Rate,
    Seconds,
    cycle,
    rest,
    window_of,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Loop, Protocol


@measurement_plan
def formation(
    cycler: Cycler,
    *,
    cell: Cell,
    rate: Rate = "C/20",
    cycles: Cycles = 2,
    hold_until_rate: Rate | None = None,
    hold_second: Seconds = 7200.0,
    rest_second: Seconds = 1800.0,
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Cycle a fresh cell slowly: its interfaces form, and its first capacity and efficiency are known.

    A charge that takes 1.3 nominal capacities (a soft short) ends the formation.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the current and the voltage window.
        rate: C-rate of charge and discharge ("C/20", "0.1C", 0.05), of the nominal capacity.
        cycles: number of cycles.
        hold_until_rate: hold the upper voltage after a charge until the current is below this C-rate, such as
            "C/50"; None does not hold.
        hold_second: longest such hold (s).
        rest_second: open circuit before the first cycle and after every charge and discharge (s).
        voltage_min_volt: cell voltage (V) that ends discharging; None takes the cell's window.
        voltage_max_volt: cell voltage (V) that ends charging; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(formation(...))` runs it and gives the uid.

    References:
        Koerver et al., Chem. Mater. 29 (2017) 5574, on the first cycles of NCM with a sulfide electrolyte.

    Example:
        >>> RE(formation(cycler, cell=cell, rate="1C", cycles=1))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    body = cycle(
        cell,
        window,
        charge_rate=rate,
        discharge_rate=rate,
        hold=None if hold_until_rate is None else Hold(hold_until_rate, hold_second),
        rest_second=rest_second,
        tag="formation",
    )
    loop = Loop(tag="formation", repeat=cycles, body=body)
    protocol = Protocol(name="formation", items=(rest(rest_second), loop), stop_on=SOFT_SHORT)
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
