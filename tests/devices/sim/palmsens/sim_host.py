"""An emulated EmStat4 in this process, and a host that speaks raw lines to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import MountedPellet
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.clock import VirtualClock
from devices.sim.palmsens.emulator import EmStat4

VARIABLES = ("var p", "var c", "var t", "var n")
GALVANOSTAT = (
    "set_pgstat_chan 0", "set_pgstat_mode 6", "set_max_bandwidth 58500m", "set_range_minmax ab 2380m 3680m",
    "set_autoranging ab 2380m 3680m", "set_range db 1m", "set_i 0", "cell_on",
)  # fmt: skip
FINISH = ("on_finished:", "cell_off")
PACKAGE = ("pck_start", "pck_add t", "pck_add p", "pck_add c", "pck_end")


def charge(current: str, interval: str, duration: str, *body: str) -> tuple[str, ...]:
    """A constant-current program; `body` is inside the loop, after `timer_get t`."""
    loop = (f"meas_loop_cp p c {current} {interval} {duration}", "timer_get t", *(body or PACKAGE), "endloop")
    return (*VARIABLES, *GALVANOSTAT, "timer_start", *loop, *FINISH)


def rest(interval: str, duration: str) -> tuple[str, ...]:
    """A program that only measures the open-circuit potential."""
    loop = (f"meas_loop_ocp p {interval} {duration}", "timer_get t", "pck_start", "pck_add t", "pck_add p")
    return (*VARIABLES, "set_pgstat_mode 3", "timer_start", *loop, "pck_end", "endloop")


def value(package: str, kind: str) -> float:
    """The value of one variable of a package, decoded independently of the emulator's encoder."""
    for variable in package[1:].split(";"):
        if variable.startswith(kind):
            number, prefix = int(variable[2:9], 16) - 2**27, variable[9]
            return number * 10.0 ** (3 * "afpnum kMGTPE".index(prefix) - 18)
    raise AssertionError(f"no {kind} in {package!r}")


@dataclass
class Host:
    """Raw lines over a stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, text: str) -> None:
        self.writer.write(text.encode())

    async def line(self, timeout_second: float = 10.0) -> str:
        line = await asyncio.wait_for(self.reader.readline(), timeout_second)
        if not line:
            raise ConnectionError("the instrument hung up")
        return line.decode("latin-1").removesuffix("\n")

    async def ask(self, command: str) -> str:
        self.send(command + "\n")
        return await self.line()

    async def start(self, script: tuple[str, ...]) -> str:
        """Upload and run; the instrument's answer to the upload."""
        self.send("\n".join(("e", *script)) + "\n\n")
        return await self.line()

    async def rest_of_output(self) -> list[str]:
        """Lines until the empty one, or until a run-time error."""
        lines = []
        while line := await self.line():
            lines.append(line)
            if line.startswith("!"):
                break
        return lines

    async def run(self, script: tuple[str, ...]) -> list[str]:
        answer = await self.start(script)
        if answer != "e":
            raise AssertionError(answer)
        return await self.rest_of_output()

    async def closed(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


@dataclass
class Emulated:
    """Everything in one place."""

    instrument: EmStat4
    clock: VirtualClock
    record: BenchRecord
    host: Host
    port: int

    async def connect(self) -> Host:
        return Host(*await asyncio.open_connection("127.0.0.1", self.port))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.record.entries() if entry["kind"] == kind]

    @property
    def charge_ah(self) -> float:
        return self.instrument.potentiostat.leads.charge_ah

    @property
    def closed_circuit(self) -> bool:
        return self.instrument.potentiostat.closed


@asynccontextmanager
async def emulated(
    speed: float | None = None, *, seed: int = 1, stoichiometry: float | None = 0.7
) -> AsyncIterator[Emulated]:
    """An instrument with a coated pellet (or nothing) on its leads, and a connected host."""
    clock = VirtualClock(speed)
    record = BenchRecord(lambda: clock.now)
    instrument = EmStat4(clock, record, seed=seed)
    if stoichiometry is not None:
        pellet = Pellet(PelletParameters.coated(), stoichiometry=stoichiometry)
        instrument.potentiostat.leads = MountedPellet("test", pellet, clock.now)
    port = await instrument.wire.open()
    host = Host(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield Emulated(instrument, clock, record, host, port)
    finally:
        await host.closed()
        await instrument.close()
        record.close()
