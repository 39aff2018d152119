"""Rows that the executor writes itself: a soft device whose signals carry a stream's column names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophyd import Component, Device

from devices.columns import Column, ColumnSpec


class RowDevice(Device):
    """One row at a time; `fill` it, then read it into its stream."""

    specs: tuple[ColumnSpec, ...] = ()

    def __init__(self, *, name: str) -> None:
        super().__init__("", name=name)
        for spec in self.specs:
            getattr(self, spec.name).name = spec.name

    def fill(self, row: Mapping[str, Any]) -> None:
        """Take over the values of all columns."""
        for spec in self.specs:
            getattr(self, spec.name).put(row[spec.name])


def row_device(name: str, specs: tuple[ColumnSpec, ...]) -> RowDevice:
    """The row of a stream with these columns."""
    parts: dict[str, Any] = {spec.name: Component(Column, spec=spec, kind="normal") for spec in specs}
    kind = type(f"{name.capitalize()}Row", (RowDevice,), {"specs": specs, **parts})
    return kind(name=name)
