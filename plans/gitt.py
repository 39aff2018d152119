"""Galvanostatic intermittent titration (GITT)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from devices.core.techniques import REST_SAMPLING, ConstantCurrent, OpenCircuit, Sampling
from labctl.errors import ProtocolError
from labctl.records.cell import Cell
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Gapless, Item, Loop, Mark, Protocol

PULSE_SAMPLING = Sampling.staged((0.2, 10), (5, None))
_SPARE_PULSES = 1.5  # the voltage limit ends a titration; this many nominal capacities bound it
Direction = Literal["charge", "discharge", "both"]


@measurement_plan
def gitt(
    cycler: Cycler,
    *,
    cell: Cell,
    rate: str | float = "C/20",
    pulses: Annotated[int, Field(ge=1, le=10_000)] | None = None,
    pulse_second: Annotated[float, Field(ge=1, le=86_400)] = 600.0,
    rest_second: Annotated[float, Field(ge=10, le=864_000)] = 7200.0,
    rest_drift_volt_per_hour: Annotated[float, Field(gt=0, le=1)] | None = None,
    first_rest_second: Annotated[float, Field(ge=10, le=864_000)] = 600.0,
    direction: Direction = "both",
    voltage_max_volt: Annotated[float, Field(ge=-10, le=10)] | None = None,
    voltage_min_volt: Annotated[float, Field(ge=-10, le=10)] | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Titrate the cell: current pulses, each followed by a rest, until a voltage limit is met.

    The pulse and its rest run as one program on the instrument, densely sampled at the start of both
    (0.2 s for 10 s). A pulse that meets its voltage limit ends there; its rest is measured, then the
    direction ends. Analyse with `labctl analyze` (finite-sphere fit).

    Args:
        cycler: the potentiostat.
        cell: the cell record; sets the current and the voltage window.
        rate: C-rate of the pulses ("C/20", "0.05C", 0.05); nominal capacity of the cell record.
        pulses: pulses per direction; None goes on to the voltage limit.
        pulse_second: length of a pulse (s).
        rest_second: length of a rest (s), the longest one if a drift is given.
        rest_drift_volt_per_hour: a rest ends early when |dV/dt| over 10 min is at or below this (V/h).
        first_rest_second: open circuit before the first pulse (s).
        direction: charge, discharge, or both (charge first).
        voltage_max_volt: cell voltage (V) that ends charging; None takes the cell's window.
        voltage_min_volt: cell voltage (V) that ends discharging; None takes the cell's window.
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(gitt(...))` runs it and gives the uid.

    References:
        Weppner and Huggins, J. Electrochem. Soc. 124 (1977) 1569, for the method.

    Example:
        >>> RE(gitt(cycler, cell=cell, pulses=2, rest_second=60, direction="charge"))
    """
    current = cell.current(rate)
    limits = cell.limits
    high = limits.voltage_max_volt if voltage_max_volt is None else voltage_max_volt
    low = limits.voltage_min_volt if voltage_min_volt is None else voltage_min_volt
    bound = ceil(_SPARE_PULSES * cell.nominal_capacity_ah * 3600.0 / (current * pulse_second))
    rest = OpenCircuit(
        until_time_second=rest_second,
        until_drift_volt_per_hour=rest_drift_volt_per_hour,
        sampling=REST_SAMPLING,
    )

    def titration(sign: int, end_volt: float | None) -> Loop:
        name = "until_voltage_above_volt" if sign > 0 else "until_voltage_below_volt"
        if end_volt is None:
            raise ProtocolError(f"gitt: {name} is missing: neither the plan nor the cell record gives it")
        pulse = ConstantCurrent.model_validate(
            {
                "current_ampere": sign * current,
                "until_time_second": pulse_second,
                name: end_volt,
                "sampling": PULSE_SAMPLING,
            }
        )
        return Loop(
            repeat=pulses or bound,
            body=(Gapless(techniques=(pulse, rest)),),
            stop_on=("voltage_above",) if sign > 0 else ("voltage_below",),
        )

    items: list[Item] = [OpenCircuit(until_time_second=first_rest_second, sampling=REST_SAMPLING), Mark()]
    if direction in ("charge", "both"):
        items.append(titration(+1, high))
    if direction in ("discharge", "both"):
        items.append(titration(-1, low))
    protocol = Protocol(name="gitt", items=tuple(items))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
