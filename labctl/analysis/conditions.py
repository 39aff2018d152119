"""The conditions of a measurement: cell, temperature, pressure, parameters of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
from pydantic import ValidationError

from labctl.documents import RunTables
from labctl.records.cell import Cell
from labctl.schema import ENVIRONMENT, SURFACE_PRESSURE, TEMPERATURE, TEST_TIME


def recorded_cell(start: dict[str, Any]) -> Cell | None:
    """The cell record of a start document; None where there is none, or an older or foreign one."""
    try:
        return Cell.model_validate(start["cell"]) if start.get("cell") else None
    except ValidationError:
        return None


def temperature_span_kelvin(tables: RunTables, begin_second: float, end_second: float) -> float:
    """Highest minus lowest temperature between two test times (s); NaN where it was not measured."""
    environment = tables.stream(ENVIRONMENT.name)
    if TEMPERATURE not in environment:
        return nan
    time = environment[TEST_TIME]
    celsius = environment[TEMPERATURE][(time >= begin_second) & (time <= end_second)]
    celsius = celsius[np.isfinite(celsius)]
    return float(np.ptp(celsius)) if celsius.size else nan


def temperature_celsius(tables: RunTables, begin_second: float, end_second: float) -> float:
    """Mean temperature between two test times (s), or the last before them; NaN where it was not measured."""
    environment = tables.stream(ENVIRONMENT.name)
    if TEMPERATURE not in environment:
        return nan
    time, celsius = environment[TEST_TIME], environment[TEMPERATURE]
    known = np.isfinite(celsius)
    within = known & (time >= begin_second) & (time <= end_second)
    if within.any():
        return float(celsius[within].mean())
    before = np.flatnonzero(known & (time < begin_second))
    return float(celsius[before[-1]]) if before.size else nan


@dataclass(frozen=True)
class Conditions:
    """What the numbers of a run refer to. NaN or None: not recorded.

    Attributes:
        temperature_celsius: Lowest and highest temperature that was measured.
        stack_pressure_pa: Lowest and highest stack pressure that was measured.
        stack_pressure_recorded_pa: Stack pressure by the cell record.
        area_m2: Geometric area of the pellet.
        active_material: Its name.
        active_mass_kg: Its mass.
        nominal_capacity_ah: What C-rates refer to.
        plan_parameters: What the plan was asked for, without what was left to it.
    """

    temperature_celsius: tuple[float, float]
    stack_pressure_pa: tuple[float, float]
    stack_pressure_recorded_pa: float | None
    area_m2: float | None
    active_material: str | None
    active_mass_kg: float | None
    nominal_capacity_ah: float | None
    plan_parameters: dict[str, Any]

    def describe(self) -> str:
        """One sentence for people."""
        said = [_range(self.temperature_celsius, 1.0, "°C") or "temperature not recorded"]
        pressure = _range(self.stack_pressure_pa, 1e-6, "MPa")
        if not pressure and self.stack_pressure_recorded_pa is not None:
            pressure = f"{self.stack_pressure_recorded_pa * 1e-6:g} MPa by the cell record"
        said.append(pressure or "stack pressure not recorded")
        if self.area_m2 is not None:
            said.append(f"area {self.area_m2 * 1e4:.4g} cm²")
        if self.active_mass_kg is not None and self.nominal_capacity_ah is not None:
            said.append(f"{self.active_mass_kg * 1e6:.4g} mg of {self.active_material}")
            said.append(f"1C = {self.nominal_capacity_ah * 1e3:.4g} mA")
        asked = ", ".join(f"{name} {_value(value)}" for name, value in self.plan_parameters.items())
        return f"Conditions: {', '.join(said)}{'; ' if asked else ''}{asked}."


def conditions_of(tables: RunTables) -> Conditions:
    """The conditions of a whole run, from its start document and its `environment`."""
    cell, environment = recorded_cell(tables.start), tables.stream(ENVIRONMENT.name)
    active = None if cell is None else cell.active_material
    given = tables.start.get("plan_parameters")
    asked = {k: v for k, v in given.items() if v is not None} if isinstance(given, dict) else {}
    return Conditions(
        temperature_celsius=_extent(environment.get(TEMPERATURE)),
        stack_pressure_pa=_extent(environment.get(SURFACE_PRESSURE)),
        stack_pressure_recorded_pa=None if cell is None else cell.stack_pressure_mpa * 1e6,
        area_m2=None if cell is None else cell.area_m2,
        active_material=None if active is None else active.name,
        active_mass_kg=None if cell is None or active is None else cell.active_mass_kg,
        nominal_capacity_ah=None if cell is None or active is None else cell.nominal_capacity_ah,
        plan_parameters=asked,
    )


def _extent(values: Any) -> tuple[float, float]:
    known = np.empty(0) if values is None else values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (nan, nan)


def _range(extent: tuple[float, float], factor: float, unit: str) -> str:
    low, high = (f"{value * factor:.3g}" for value in extent)
    if not all(map(isfinite, extent)):
        return ""
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
