"""The streams of a cycler as bluesky flyers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ophyd import Device
from ophyd.status import DeviceStatus

from devices.core.program import RowBuffer
from labctl.schema import IMPEDANCE, TIMESERIES, Stream


class ProgramOwner(Protocol):
    """What a flyer needs of its cycler."""

    def start_program(self) -> DeviceStatus:
        """Run the prepared program."""
        ...

    def program_status(self) -> DeviceStatus:
        """Status of the running program."""
        ...


class StreamFlyer(Device):
    """One stream of a cycler. It acts on nothing but the cycler's program."""

    stream: Stream

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = RowBuffer(self.stream)

    def describe_collect(self) -> dict[str, Any]:
        """Data keys: BDF names, types and units."""
        return {spec.name: spec.data_key(f"labctl:{self.name}") for spec in self.stream}

    def kickoff(self) -> DeviceStatus:
        """Start the program the cycler was prepared with."""
        return self._owner.start_program()

    def complete(self) -> DeviceStatus:
        """Status of the running program."""
        return self._owner.program_status()

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """All rows that have arrived, at most 1 000 a page."""
        return self.rows.pages()

    def pause(self) -> None:
        """Nothing: only the cycler acts on a pause."""

    def resume(self) -> None:
        """Nothing: only the cycler acts on a resume."""

    def stop(self, *, success: bool = False) -> None:
        """Nothing: only the cycler stops."""

    @property
    def _owner(self) -> ProgramOwner:
        return self.parent  # type: ignore[return-value]  # ophyd types a parent as any Device


class DirectCurrentFlyer(StreamFlyer):
    """The `timeseries` stream."""

    stream = TIMESERIES


class ImpedanceFlyer(StreamFlyer):
    """The `impedance` stream, one row per frequency."""

    stream = IMPEDANCE
