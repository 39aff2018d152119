"""An emulated Keithley in a thread of the test, with its driver over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devices.keithley.driver import Keithley2450
from devices.sim.cell.leads import TwoPole
from devices.sim.keithley.emulator import Keithley2450Emulator
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import WINDOW, CyclerBench, in_a_thread


@dataclass
class KeithleyBench(CyclerBench[Keithley2450Emulator]):
    """Everything in one place."""

    @property
    def address(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def driver(self, *, limits: Limits = WINDOW, address: str | None = None, **options: Any) -> Keithley2450:
        made = Keithley2450(address or self.address, limits=limits, **self.options(), **options)
        self.drivers.append(made)
        return made

    def connected(self, **options: Any) -> Keithley2450:
        driver = self.driver(**options)
        driver.connect()
        return driver

    @property
    def charge_ah(self) -> float:
        """Through the cell up to now."""

        def charge() -> float:
            self.instrument.state.unit.advance_to(self.clock.now)
            return self.cell.charge_ah

        return self.call(charge)


@contextmanager
def keithley_bench(
    *, speed: float | None = None, seed: int = 1, cell: TwoPole | None = None, stoichiometry: float = 0.7,
    **options: Any,
) -> Iterator[KeithleyBench]:  # fmt: skip
    """An emulator with a coated pellet, or another cell, on its leads."""
    with in_a_thread(
        lambda clock, record: Keithley2450Emulator(clock, record, seed=seed, **options),
        KeithleyBench, speed=speed, cell=cell, stoichiometry=stoichiometry,
    ) as bench:  # fmt: skip
        yield bench
