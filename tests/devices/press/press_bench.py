"""An emulated press in this process: gas line, load cell, heated die, on one clock in a loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, TypeVar

from devices.sim.alicat.emulator import AlicatPcd
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings, SurroundingsParameters
from devices.sim.clock import VirtualClock
from devices.sim.eurotherm.emulator import Eurotherm3200Emulator
from devices.sim.mark10.emulator import Mark10Gauge
from labctl.errors import DeviceError

T = TypeVar("T")


class LoopClock:
    """The bench's clock for threads (labctl.clock.Clock)."""

    def __init__(self, clock: VirtualClock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock, self._loop = clock, loop

    def now(self) -> float:
        async def ask() -> float:
            return self._clock.now

        return self._result(ask())

    def sleep(self, seconds: float) -> None:
        async def wait() -> None:
            await self._clock.sleep_until(self._clock.now + seconds)

        self._result(wait())

    def _result(self, coroutine: Any) -> Any:
        """As with a bench in another process: DeviceError when it has ended."""
        if self._loop.is_closed():
            coroutine.close()
            raise DeviceError("the bench has ended")
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)
        except CancelledError:
            raise DeviceError("the bench has ended") from None


class PressBench:
    """`gauge` and `line` are the emulators; `clock` is theirs, for drivers."""

    def __init__(
        self,
        speed: float | None,
        stack_pressure_pa: float,
        line_options: dict[str, Any],
        gauge_options: dict[str, Any],
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self.failures: list[dict[str, Any]] = []  # of the bench itself
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.call(lambda: self._make(speed, stack_pressure_pa, line_options, gauge_options))
        self.clock = LoopClock(self._virtual, self._loop)
        self.ports = {
            "line": self.wait(self.line.open()),
            "gauge": self.wait(self.gauge.open()),
            "heater": self.wait(self.heater.open()),
        }

    def _make(
        self,
        speed: float | None,
        stack_pressure_pa: float,
        line_options: dict[str, Any],
        gauge_options: dict[str, Any],
    ) -> None:
        self._virtual = VirtualClock(speed)
        self.record = BenchRecord(lambda: self._virtual.now)
        self.parameters = SurroundingsParameters()
        self.surroundings = Surroundings(
            self.parameters, temperature_kelvin=298.15, stack_pressure_pa=stack_pressure_pa
        )
        common: dict[str, Any] = {"seed": 1, "surroundings": self.surroundings}
        self.line = AlicatPcd(self._virtual, self.record, **{**common, **line_options})
        self.gauge = Mark10Gauge(self._virtual, self.record, **{**common, **gauge_options})
        self.heater = Eurotherm3200Emulator(self._virtual, self.record, **common)

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def call(self, action: Callable[[], T]) -> T:
        """Run `action` in the bench's thread."""

        async def run() -> T:
            return action()

        return self.wait(run())

    def address(self, which: str) -> str:
        return f"socket://127.0.0.1:{self.ports[which]}"

    def pty(self, which: str) -> str:
        return self.call(getattr(self, which).open_pty)

    def inject(self, which: str, fault: str, **arguments: Any) -> None:
        self.call(lambda: getattr(self, which).inject(fault, **arguments))

    def line_pa(self) -> float:
        """Truth: gauge pressure of the line."""
        return self.call(lambda: self.line.line.pressure_pa)

    def stack_pa(self) -> float:
        """Truth: pressure on the pellet."""
        self.line_pa()
        return self.call(lambda: self.surroundings.stack_pressure_pa)

    def events(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.call(self.record.entries) if e.get("event") == event]

    def close(self) -> None:
        for emulator in (self.line, self.gauge, self.heater):
            self.wait(emulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


@contextmanager
def press_bench(
    speed: float | None = None,
    *,
    stack_pressure_pa: float = 0.0,
    line: dict[str, Any] | None = None,
    gauge: dict[str, Any] | None = None,
) -> Iterator[PressBench]:
    """A bench; `line` and `gauge` are options of the emulators."""
    bench = PressBench(speed, stack_pressure_pa, line or {}, gauge or {})
    try:
        yield bench
    finally:
        bench.close()
    assert not bench.failures


class Alarms:
    """Takes alarms, as a session would."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, **alarm: Any) -> None:
        self.all.append(alarm)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [alarm for alarm in self.all if alarm["kind"] == kind]
