"""An emulated Eurotherm on a bench of its own in this process, the driver's clock on it, and a bad link."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

from devices.eurotherm.driver import Eurotherm3200
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings, SurroundingsParameters
from devices.sim.clock import VirtualClock
from devices.sim.eurotherm.emulator import Eurotherm3200Emulator
from devices.sim.eurotherm.register_map import Configuration
from labctl.errors import DeviceError
from labctl.records.limits import Limits

LONGEST_SECOND = 30.0
ROOM_KELVIN = 298.15


class LittleBench:
    """Clock, die and controller in an asyncio loop of their own thread; also the driver's clock."""

    def __init__(self, speed: float | None = None, **configuration: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.failures: list[dict[str, Any]] = []
        self._ended = False
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.clock = VirtualClock(speed)
        self.record = BenchRecord(lambda: self.clock.now)
        self.surroundings = Surroundings(
            SurroundingsParameters(), temperature_kelvin=ROOM_KELVIN, stack_pressure_pa=5e7
        )
        self.emulator = Eurotherm3200Emulator(
            self.clock,
            self.record,
            seed=1,
            surroundings=self.surroundings,
            configuration=Configuration(**configuration),
        )
        self.port = self.run(self.emulator.open())

    @property
    def address(self) -> str:
        return f"socket://127.0.0.1:{self.port}"

    @property
    def serial(self) -> str:
        """The serial port, where there are pseudo-terminals (and no third of a second to close it)."""
        return self.address if sys.platform == "win32" else self.call(self.emulator.open_pty)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """As a bench in another process: DeviceError when it has ended."""
        if self._ended:
            coroutine.close()
            raise DeviceError("the bench has ended")
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LONGEST_SECOND)
        except CancelledError:
            raise DeviceError("the bench has ended") from None

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        async def work() -> Any:
            return function(*arguments, **options)

        return self.run(work())

    def inject(self, fault: str, **arguments: Any) -> None:
        self.call(self.emulator.inject, fault, **arguments)

    def celsius(self) -> float:
        """Temperature of the die now."""

        def look() -> float:
            self.surroundings.advance_to(self.clock.now)
            return self.surroundings.temperature_kelvin - 273.15

        return self.call(look)

    @property
    def eeprom_writes(self) -> int:
        return sum(self.emulator.eeprom_writes.values())

    # ---- labctl.clock.Clock
    def now(self) -> float:
        return self.call(lambda: self.clock.now)

    def sleep(self, seconds: float) -> None:
        async def wait() -> None:
            await self.clock.sleep_until(self.clock.now + seconds)

        self.run(wait())

    def close(self) -> None:
        if self._ended:
            return
        self.run(self._close())
        self._ended = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _close(self) -> None:
        await self.emulator.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@contextmanager
def little_bench(speed: float | None = None, **configuration: Any) -> Iterator[LittleBench]:
    bench = LittleBench(speed, **configuration)
    try:
        yield bench
    finally:
        bench.close()
        if bench.failures:
            raise AssertionError(bench.failures)


@contextmanager
def driver(bench: LittleBench, address: str | None = None, **options: Any) -> Iterator[Eurotherm3200]:
    """A connected driver; its alarms are in `driver.raised`."""
    settings = {"period_second": 0.2, "gap_second": 0.0, "answer_timeout_second": 0.3, **options}
    limits = Limits(temperature_max_celsius=80.0)
    device = Eurotherm3200(address or bench.serial, name="oven", clock=bench, limits=limits, **settings)
    device.raised = []  # type: ignore[attr-defined]
    device.on_alarm = lambda **alarm: device.raised.append(alarm)  # type: ignore[attr-defined]
    try:
        device.connect()
        yield device
    finally:
        device.disconnect()


Mangle = Callable[[bytes], list[tuple[float, bytes]]]


class BadLink:
    """A TCP proxy; `mangle` says what becomes of each piece that the instrument sends: (delay, bytes)."""

    def __init__(self, port: int) -> None:
        self.mangle: Mangle = lambda data: [(0.0, data)]
        self.asked: list[bytes] = []  # what the host sent
        self.connections = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    def lead_to(self, port: int) -> None:
        """Hang up; from now on somebody else answers."""
        self._target = port
        self.cut()

    def cut(self) -> None:
        """Hang up."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._thread.join(5)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                host, _ = self._listener.accept()
            except OSError:
                return
            try:
                instrument = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                host.close()
                continue
            with self._lock:
                self._sockets += [host, instrument]
                self.connections += 1
            for work in (self._ask, self._answer):
                threading.Thread(target=work, args=(host, instrument), daemon=True).start()

    def _ask(self, host: socket.socket, instrument: socket.socket) -> None:
        with suppress(OSError):
            while data := host.recv(4096):
                self.asked.append(data)
                instrument.sendall(data)
            instrument.shutdown(socket.SHUT_RDWR)

    def _answer(self, host: socket.socket, instrument: socket.socket) -> None:
        with suppress(OSError):
            while data := instrument.recv(4096):
                for delay, piece in self.mangle(data):
                    if self._ended.wait(delay):
                        return
                    host.sendall(piece)
            host.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_link(bench: LittleBench) -> Iterator[BadLink]:
    link = BadLink(bench.port)
    try:
        yield link
    finally:
        link.close()
