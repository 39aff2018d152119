"""What the bench asks of an emulated instrument, whatever it is."""

from __future__ import annotations

from typing import Any, Protocol

from devices.sim.cell.leads import TwoPole
from devices.sim.wire.wire import Wire


class Emulator(Protocol):
    """One emulated instrument on the bench's clock.

    Emulators are made as `Kind(clock, record, seed=..., surroundings=...)`; time is the clock's, physics the
    surroundings' and the leads'.
    """

    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        ...

    def open_pty(self) -> str:
        """Path of a pseudo-terminal that answers too (serial instruments, POSIX)."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a host is connected."""
        ...

    @property
    def running(self) -> bool:
        """Whether it is doing something on its own that a change of cell would disturb."""
        ...

    @property
    def circuit_closed(self) -> bool:
        """Whether it drives the cell (always False for what has no leads)."""
        ...

    def connect_leads(self, leads: TwoPole, reason: str) -> None:
        """Put a cell onto the leads, circuit open (nothing happens where there are none)."""
        ...

    def inject(self, fault: str, /, **arguments: Any) -> None:
        """Arm a fault.

        Raises:
            ValueError: names what is allowed.
        """
        ...

    async def close(self) -> None:
        """Switch off and close all endpoints."""
        ...


class OnWire:
    """Endpoints of an emulator that answers on `wire`."""

    wire: Wire

    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        return await self.wire.open()

    def open_pty(self) -> str:
        """Path of a pseudo-terminal that answers too (POSIX)."""
        return self.wire.open_pty()

    @property
    def connected(self) -> bool:
        """Whether a host is connected by TCP."""
        return self.wire.connected


class WithoutLeads:
    """What an emulator without leads to the cell says of them."""

    @property
    def running(self) -> bool:
        """It does nothing that a change of cell would disturb."""
        return False

    @property
    def circuit_closed(self) -> bool:
        """It has no leads."""
        return False

    def connect_leads(self, leads: TwoPole, reason: str) -> None:
        """It has no leads: nothing happens."""
