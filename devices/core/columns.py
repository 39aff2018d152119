"""The ophyd signal that carries a column of a stream, and the device that carries a row of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophyd import Component, Device, Signal

from labctl.schema import ColumnSpec, Stream

NO_VALUE = 1 << 16
"""Bit of every `status` column: a value of this row is missing, its column is NaN.

The bits below it are the instrument's own (4 of an EmStat, 16 of a Keithley or a Eurotherm) and say why, if
the instrument does; a row without a NaN never has it.
"""


class Column(Signal):
    """An ophyd signal for one column: says its true type and unit, casts what it is given."""

    def __init__(self, *args: Any, spec: ColumnSpec, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spec = spec

    @property
    def units(self) -> str:
        """Unit of the column ("1" for counts)."""
        return self._spec.units

    def describe(self) -> dict[str, dict[str, Any]]:
        """The event-model data key under this signal's name."""
        return {self.name: self._spec.data_key(f"labctl:{self.name}")}

    def put(self, value: Any, **kwargs: Any) -> None:
        """Set the value, cast to the column's type."""
        super().put(self._spec.cast(value), **kwargs)


class RowDevice(Device):
    """One row at a time; `fill` it, then read it into its stream."""

    stream: Stream

    def __init__(self, *, name: str) -> None:
        super().__init__("", name=name)
        for spec in self.stream:
            getattr(self, spec.name).name = spec.name

    def fill(self, row: Mapping[str, Any]) -> None:
        """Take over the values of all columns."""
        for spec in self.stream:
            getattr(self, spec.name).put(row[spec.name])


def row_device(stream: Stream) -> RowDevice:
    """The row of a stream, named like it."""
    parts: dict[str, Any] = {spec.name: Component(Column, spec=spec, kind="normal") for spec in stream}
    kind = type(f"{stream.name.capitalize()}Row", (RowDevice,), {"stream": stream, **parts})
    return kind(name=stream.name)
