"""Which run it is: plan, station, cell, coating, as its start document says."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from labctl.analysis.cycling import active_mass_kg
from labctl.printable import printable


class Identity:
    """What a start document says; all of it "" or NaN while there is none.

    Attributes:
        start: The start document, or None before it came.
    """

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None

    @property
    def active_mass_kg(self) -> float:
        """Mass of active material in the cell; NaN if unknown."""
        return active_mass_kg(self.start.get("cell")) if self.start else nan

    @property
    def uid(self) -> str:
        """The run's uid, "" before its start document."""
        return str(self.start.get("uid", "")) if self.start else ""

    @property
    def plan_name(self) -> str:
        """The plan's name, "" if unknown."""
        return printable(self.start.get("plan_name", "")) if self.start else ""

    @property
    def station(self) -> str:
        """The station's name, "" if unknown."""
        return _name(self.start.get("station"), "name") if self.start else ""

    @property
    def cell_id(self) -> str:
        """The cell's id, "" if unknown."""
        return _name(self.start.get("cell"), "id") if self.start else ""

    @property
    def coating(self) -> str:
        """The coating in words, e.g. "Li3InCl6 3 wt%" or "uncoated"; "" where the cell does not tell."""
        cell = self.start.get("cell") if self.start else None
        if not isinstance(cell, Mapping) or "coating" not in cell:
            return ""
        coating = cell["coating"]
        if not isinstance(coating, Mapping):
            return printable(coating) if coating else "uncoated"
        percent = coating.get("mass_percent")
        share = f" {percent:g} wt%" if isinstance(percent, int | float) else ""
        return printable(f"{coating.get('material', 'coated')}{share}")


def _name(record: Any, key: str) -> str:
    if isinstance(record, Mapping):
        return printable(record.get(key, ""))
    return printable(record or "")
