"""An emulated cycler in a thread of the test, real drivers over real sockets, and what flows meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from devices.core.cycler import CyclerDevice
from devices.core.techniques import AnyTechnique, ConstantCurrent, Program, Sampling, StepResult
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import Array, MountedPellet, TwoPole
from devices.sim.cell.materials import ComplexArray
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.clock import VirtualClock
from labctl.records.limits import Limits

T = TypeVar("T")
Emulator = TypeVar("Emulator", bound=Any)
Row = tuple[Any, ...]
DENSE = Sampling.every(0.2)
WINDOW = Limits(voltage_min_volt=1.88, voltage_max_volt=3.70, current_max_ampere=5e-3)


class SteppedCell:
    """A cell of fixed resistance whose own voltage jumps at given instants; it counts its charge."""

    def __init__(self, volt: float, *jumps: tuple[float, float], ohm: float = 10.0) -> None:
        self._jumps = ((-np.inf, volt), *jumps)
        self._ohm = ohm
        self._now = 0.0
        self._control: tuple[str, float] = ("current", 0.0)
        self._coulomb = 0.0

    def jump(self, at_second: float, volt: float) -> None:
        """One more jump, in the future."""
        self._jumps = (*self._jumps, (at_second, volt))

    def advance_to(self, time_second: float) -> None:
        while self._now < time_second:
            end = min(self.reach(self._now + 1e-12), time_second)
            self._coulomb += float(self.terminal(np.array([0.5 * (self._now + end)]))[1][0]) * (
                end - self._now
            )
            self._now = end

    def reach(self, time_second: float) -> float:
        return min((at for at, _ in self._jumps if at > time_second), default=np.inf)

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        own = np.array([next(v for at, v in reversed(self._jumps) if t >= at) for t in times_second])
        kind, value = self._control
        ampere = np.full_like(own, value) if kind == "current" else (value - own) / self._ohm
        return own + self._ohm * ampere, ampere

    def set_current(self, ampere: float) -> None:
        self._control = ("current", ampere)

    def set_voltage(self, volt: float) -> None:
        self._control = ("voltage", volt)

    def open_circuit(self) -> None:
        self.set_current(0.0)

    def reading(self) -> tuple[float, float]:
        volt, ampere = self.terminal(np.array([self._now]))
        return float(volt[0]), float(ampere[0])

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        return np.full(frequency_hertz.shape, self._ohm, dtype=complex)

    @property
    def charge_ah(self) -> float:
        return self._coulomb / 3600.0


class BenchClock:
    """The bench's virtual clock, as a session gives it to drivers."""

    def __init__(self, bench: CyclerBench[Any]) -> None:
        self._bench = bench

    def now(self) -> float:
        return self._bench.call(lambda: self._bench.clock.now)

    def sleep(self, seconds: float) -> None:
        self._bench.wait(lambda: self._bench.clock.sleep_until(self._bench.clock.now + seconds))


@dataclass
class CyclerBench(Generic[Emulator]):
    """Everything in one place; the emulator lives in a loop of its own thread."""

    loop: asyncio.AbstractEventLoop
    clock: VirtualClock
    record: BenchRecord
    instrument: Emulator
    cell: TwoPole
    port: int
    alarms: list[dict[str, Any]] = field(default_factory=list)
    drivers: list[CyclerDevice[Any]] = field(default_factory=list)

    def options(self) -> dict[str, Any]:
        """What every driver on this bench is made with."""
        return {
            "name": "cycler",
            "clock": BenchClock(self),
            "on_alarm": lambda **alarm: self.alarms.append(alarm),
        }

    def call(self, action: Callable[[], T]) -> T:
        """Do something in the emulator's thread."""

        async def run() -> T:
            return action()

        return self.wait(run)

    def wait(self, action: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return await action()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def inject(self, fault: str, **arguments: Any) -> None:
        self.call(lambda: self.instrument.inject(fault, **arguments))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.call(self.record.entries) if entry["kind"] == kind]

    @property
    def closed(self) -> bool:
        return self.call(lambda: self.instrument.circuit_closed)


def coated_pellet(now_second: float, stoichiometry: float = 0.7) -> MountedPellet:
    return MountedPellet("test", Pellet(PelletParameters.coated(), stoichiometry=stoichiometry), now_second)


@contextmanager
def in_a_thread(
    make: Callable[[VirtualClock, BenchRecord], Any],
    bench_type: Callable[..., Any],
    *,
    speed: float | None,
    cell: TwoPole | None,
    stoichiometry: float = 0.7,
) -> Iterator[Any]:
    """An emulator with a coated pellet, or another cell, on its leads."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def build() -> Any:
        clock = VirtualClock(speed)
        record = BenchRecord(lambda: clock.now)
        instrument = make(clock, record)
        leads = cell or coated_pellet(clock.now, stoichiometry)
        instrument.connect_leads(leads, "mount")
        return bench_type(loop, clock, record, instrument, leads, await instrument.open())

    bench = asyncio.run_coroutine_threadsafe(build(), loop).result(30)
    try:
        yield bench
    finally:
        for driver in bench.drivers:
            driver.disconnect()
        asyncio.run_coroutine_threadsafe(bench.instrument.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def rows(cycler: CyclerDevice[Any]) -> list[Row]:
    """All rows of the timeseries stream, in the order of its columns."""
    return [row for page in cycler.dc.collect_pages() for row in zip(*page["data"].values(), strict=True)]


def program(*techniques: AnyTechnique) -> Program:
    return Program(techniques=techniques)


def started(cycler: CyclerDevice[Any], *techniques: AnyTechnique) -> Any:
    cycler.prepare(program(*techniques)).wait(10)
    cycler.start_program().wait(10)
    return cycler.program_status()


def run(
    cycler: CyclerDevice[Any], *techniques: AnyTechnique, timeout_second: float = 30
) -> tuple[StepResult, ...]:
    started(cycler, *techniques).wait(timeout_second)
    return cycler.results


def charge(seconds: float = 60.0, **fields: Any) -> ConstantCurrent:
    return ConstantCurrent.model_validate(
        {"current_ampere": 1e-4, "until_time_second": seconds, "sampling": DENSE, **fields}
    )
