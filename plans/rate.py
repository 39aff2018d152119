"""Rate capability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from labctl.records.cell import Cell
from plans.building_blocks import (
    SOFT_SHORT,
    CellVolt,
    Cycles,
    Hold,
    Rate,
    Seconds,
    SymmetricOrRate,
    cycle,
    rate_name,
    rest,
    window_of,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Loop, Protocol


@measurement_plan
def rate_test(
    cycler: Cycler,
    *,
    cell: Cell,
    rates: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=50)] = (
        "0.1C",
        "0.2C",
        "0.5C",
        "1C",
        "2C",
        "0.1C",
    ),
    cycles: Cycles = 3,
    charge_rate: SymmetricOrRate = "0.1C",
    hold_until_rate: Rate | None = None,
    hold_second: Seconds = 3600.0,
    rest_second: Seconds = 600.0,
    voltage_min_volt: CellVolt | None = None,
    voltage_max_volt: CellVolt | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Find the discharge capacity at each rate of a ladder: some cycles each, and back to the first rate.

    Every cycle charges at the same slow rate, so that the discharges begin alike, or with
    `charge_rate="symmetric"` at the rate of the discharge; the start document states which
    (`plan_parameters.charge_rate`). A charge that takes 1.3 nominal capacities (a soft short) ends the
    cycles of its rate.

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the currents and the voltage window.
        rates: C-rates of the discharges in order ("0.5C", "C/3", 0.5), of the nominal capacity.
        cycles: cycles at each rate.
        charge_rate: C-rate of all charges, or "symmetric".
        hold_until_rate: hold the upper voltage after a charge until the current is below this C-rate; None
            does not hold.
        hold_second: longest such hold (s).
        rest_second: open circuit before the first cycle and after every charge and discharge (s).
        voltage_min_volt: cell voltage (V) that ends discharging; None takes the cell's window.
        voltage_max_volt: cell voltage (V) that ends charging; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(rate_test(...))` runs it and gives the uid.

    References:
        Tian et al., Nat. Commun. 10 (2019) 1933, on what limits the capacity at a rate.

    Example:
        >>> RE(rate_test(cycler, cell=cell, rates=("1C", "2C"), cycles=1, charge_rate="1C"))
    """
    window = window_of(cell, voltage_min_volt, voltage_max_volt)
    hold = None if hold_until_rate is None else Hold(hold_until_rate, hold_second)

    def at(rate: str | float) -> Loop:
        name = f"rate {rate_name(rate)}"
        body = cycle(
            cell,
            window,
            charge_rate=rate if charge_rate == "symmetric" else charge_rate,
            discharge_rate=rate,
            hold=hold,
            rest_second=rest_second,
            tag=name,
        )
        return Loop(tag=name, repeat=cycles, body=body)

    protocol = Protocol(name="rate_test", items=(rest(rest_second), *map(at, rates)), stop_on=SOFT_SHORT)
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
