"""The cell whose amperes a protocol carries, and what they mean on another one.

A protocol that was resolved holds currents (A) and charges (Ah), no C-rates. They are the rates that were
meant only on a cell of the same nominal capacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isclose
from typing import Any

from pydantic import BaseModel

from devices.core.techniques import Positive, Record
from labctl.records.cell import Cell

_SAME = 1e-3  # relative difference below which a capacity or an area is the same
_OF_A_CELL = ("current_ampere", "until_current_below_ampere", "until_charge_ah")


class MadeFor(Record):
    """The cell that a protocol's currents (A) and charges (Ah) belong to.

    What the cell has none of is None: a symmetric cell without active material has no nominal capacity.
    """

    cell_id: str
    nominal_capacity_ah: Positive | None = None
    active_mass_kg: Positive | None = None
    area_m2: Positive

    @classmethod
    def of(cls, cell: Cell) -> MadeFor:
        """What matters of `cell`."""
        active = cell.active_material is not None
        return cls(
            cell_id=cell.id,
            nominal_capacity_ah=cell.nominal_capacity_ah if active else None,
            active_mass_kg=cell.active_mass_kg if active else None,
            area_m2=cell.area_m2,
        )

    def remark(self, cell: Cell) -> str:
        """What the protocol's currents are on `cell`, in a sentence; "" on the one they were made for."""
        here = MadeFor.of(cell)
        was, now, name, meant = _one_c(self), _one_c(here), "1C = {:.4g} mA", "rates"
        if was is None or now is None:
            was, now, name, meant = self.area_m2 * 1e4, here.area_m2 * 1e4, "{:.4g} cm²", "current densities"
        same_cell, same_size = self.cell_id == here.cell_id, isclose(was, now, rel_tol=_SAME)
        if same_cell and same_size:
            return ""
        this = "its record has now" if same_cell else f"this cell, {here.cell_id}, has"
        said = (
            f"the protocol was made for cell {self.cell_id} ({name.format(was)}); {this} {name.format(now)}"
        )
        if same_size:
            return f"{said}: its currents are the {meant} meant"
        return f"{said}: its currents are {was / now:.2g} of the {meant} meant"


def _one_c(made_for: MadeFor) -> float | None:
    """The current (mA) of one nominal capacity per hour."""
    return None if made_for.nominal_capacity_ah is None else made_for.nominal_capacity_ah * 1e3


def carries_amperes(items: Iterable[BaseModel]) -> bool:
    """Whether a step, also of a loop or a gapless program, has a current or charge that a cell decides."""
    return any(_has_amperes(item.model_dump()) for item in items)


def _has_amperes(value: Any) -> bool:
    if isinstance(value, Mapping):
        if value.get("quantity") == "charge_above_ah" or any(value.get(name) for name in _OF_A_CELL):
            return True
        return any(_has_amperes(inner) for inner in value.values())
    return isinstance(value, list | tuple) and any(_has_amperes(inner) for inner in value)
