"""An emulated EmStat4 HR in a thread of the test, with its driver over a real socket or pseudo-terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devices.palmsens.driver import PalmSens
from devices.sim.cell.leads import TwoPole
from devices.sim.palmsens.emulator import EmStat4
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import WINDOW, CyclerBench, in_a_thread


@dataclass
class EmStatBench(CyclerBench[EmStat4]):
    """Everything in one place."""

    @property
    def address(self) -> str:
        return f"socket://127.0.0.1:{self.port}"

    @property
    def pty(self) -> str:
        return self.call(self.instrument.open_pty)

    def driver(self, *, limits: Limits = WINDOW, address: str | None = None, **options: Any) -> PalmSens:
        made = PalmSens(address or self.address, limits=limits, **self.options(), **options)
        self.drivers.append(made)
        return made

    def connected(self, **options: Any) -> PalmSens:
        driver = self.driver(**options)
        driver.connect()
        return driver


@contextmanager
def emstat_bench(
    *, speed: float | None = None, seed: int = 1, cell: TwoPole | None = None
) -> Iterator[EmStatBench]:
    """An emulator with a coated pellet, or another cell, on its leads."""
    with in_a_thread(
        lambda clock, record: EmStat4(clock, record, seed=seed), EmStatBench, speed=speed, cell=cell
    ) as bench:
        yield bench
