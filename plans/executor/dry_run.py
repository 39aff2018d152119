"""What a protocol will take, and whether it is allowed, before anything moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from devices.core.techniques import AnyTechnique, Program
from labctl.errors import ProtocolError
from labctl.records.cell import Cell
from labctl.records.limits import Limits
from plans.executor.estimate import DryRun, Tally
from plans.protocol.protocol import EnvironmentStep, Protocol, SetTemperature
from plans.protocol.walk import ProtocolWalk, Visit, next_visit


def dry_run(
    protocol: Protocol,
    cell: Cell,
    check: Callable[[Program], None] | None = None,
    check_environment: Callable[[EnvironmentStep], None] | None = None,
) -> DryRun:
    """Go through `protocol` without moving anything.

    Args:
        protocol: what would be run.
        cell: whose limits hold and whose capacity bounds steps that end by voltage.
        check: a cycler's own check of each program.
        check_environment: the station's own check of each temperature and stack pressure.

    Raises:
        ProtocolError: a step is outside the limits; names its path, field, value and what is allowed.
    """
    limits = cell.limits if protocol.limits is None else cell.limits.narrowed_by(protocol.limits)
    checked = set[Any]()
    for visit in visits(protocol, cell):  # all of it, also what is not expected to be reached
        if (what := visit.environment or visit.techniques) not in checked:
            checked.add(what)
            _check(visit, cell.id, limits, protocol.limits, check, check_environment)
    tally = Tally(cell, records_environment=check_environment is not None)
    progress = ProtocolWalk(protocol.resolved(cell)).walk()
    visit = next(progress, None)
    while visit is not None:
        visit = next_visit(progress, tally.take(visit))
    return tally.result()


# ---- what is allowed
def _check(
    visit: Visit,
    cell_id: str,
    limits: Limits,
    protocol_limits: Limits | None,
    check: Callable[[Program], None] | None,
    check_environment: Callable[[EnvironmentStep], None] | None,
) -> None:
    try:
        if visit.environment is not None:
            _check_environment_limits(visit.environment, cell_id, limits)
            if check_environment is not None:
                check_environment(visit.environment)
            return
        for index, technique in enumerate(visit.techniques):
            _check_limits(visit.technique_path(index), technique, cell_id, limits)
        if check is not None:
            check(Program(techniques=visit.techniques, limits=protocol_limits))
    except ProtocolError as error:
        if str(error).startswith("step "):
            raise
        raise ProtocolError(f"step {visit.path}: {error}") from error


def _check_limits(path: str, technique: AnyTechnique, cell_id: str, limits: Limits) -> None:
    low, high, most = limits.voltage_min_volt, limits.voltage_max_volt, limits.current_max_ampere
    for name in ("voltage_volt", "dc_voltage_volt", "until_voltage_above_volt", "until_voltage_below_volt"):
        volt = getattr(technique, name, None)
        if volt is not None and ((low is not None and volt < low) or (high is not None and volt > high)):
            raise ProtocolError(
                f"step {path}: {name} = {volt:g} V: cell {cell_id} allows {low} V to {high} V"
            )
    for name in ("current_ampere", "dc_current_ampere"):
        ampere = getattr(technique, name, None)
        if ampere is not None and most is not None and abs(ampere) > most:
            raise ProtocolError(
                f"step {path}: {name} = {ampere * 1e3:g} mA: cell {cell_id} allows up to {most * 1e3:g} mA"
            )


def _check_environment_limits(step: EnvironmentStep, cell_id: str, limits: Limits) -> None:
    if isinstance(step, SetTemperature):
        most = limits.temperature_max_celsius
        if most is not None and step.temperature_celsius > most:
            raise ProtocolError(
                f"temperature_celsius = {step.temperature_celsius:g}: "
                f"cell {cell_id} allows up to {most:g} degC"
            )
    elif limits.pressure_max_pa is not None and step.pressure_pa > limits.pressure_max_pa:
        raise ProtocolError(
            f"pressure_pa = {step.pressure_pa:g}: the die of cell {cell_id} allows up to "
            f"{limits.pressure_max_pa:g} Pa"
        )


def visits(protocol: Protocol, cell: Cell) -> Iterator[Visit]:
    """All visits of a protocol with its loops in full."""
    progress = ProtocolWalk(protocol.resolved(cell)).walk()
    visit = next(progress, None)
    while visit is not None:
        yield visit
        visit = next_visit(progress, ())
