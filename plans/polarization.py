"""Direct-current polarisation: what flows at a steady voltage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from devices.core.techniques import ConstantVoltage, Sampling
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.building_blocks import Seconds, rest
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Protocol

StepVolt = Annotated[float, Field(ge=-0.5, le=0.5, allow_inf_nan=False)]
_HOLD_SAMPLING = Sampling.staged((0.2, 10), (5, 600), (30, None))


@measurement_plan
def dc_polarization(
    cycler: Cycler,
    *,
    cell: Cell,
    voltages_volt: Annotated[tuple[StepVolt, ...], Field(min_length=1, max_length=50)] = (
        0.01,
        0.02,
        0.03,
        0.04,
        0.05,
    ),
    hold_second: Annotated[float, Field(ge=60, le=864_000)] = 3600.0,
    rest_second: Seconds = 600.0,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Hold small voltages one after another and find the current that flows in the end.

    For cells without a voltage of their own: symmetric ones with electron-blocking or ion-blocking contacts.
    The resistance is the slope of steady current against voltage; whether a hold was long enough (the current
    changes by less than 1 % in 10 min) is reported by `labctl analyze`.

    Args:
        cycler: the potentiostat.
        cell: the cell record of a symmetric cell.
        voltages_volt: voltages held in order (V).
        hold_second: length of each hold (s).
        rest_second: open circuit before the first hold and after the last one (s).
        environment: temperature and stack pressure to record beside.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(dc_polarization(...))` runs it and gives the uid.

    References:
        Ketter et al., Nat. Commun. 16 (2025), doi 10.1038/s41467-025-56514-5, on partial conductivities of
        NCM-Li6PS5Cl composites by spectra and holds.

    Example:
        >>> RE(dc_polarization(cycler, cell=cell, voltages_volt=(0.01, 0.02), hold_second=60))
    """
    if 0.0 in voltages_volt:
        raise ConfigurationError("dc_polarization", "voltages_volt", 0.0, "voltages that differ from 0")
    holds = tuple(
        ConstantVoltage(
            voltage_volt=volt,
            direction="charge" if volt > 0 else "discharge",
            until_time_second=hold_second,
            sampling=_HOLD_SAMPLING,
            tag=f"hold {volt * 1e3:g} mV",
        )
        for volt in voltages_volt
    )
    items = (rest(rest_second), *holds, rest(rest_second))
    protocol = Protocol(name="dc_polarization", items=items)
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
