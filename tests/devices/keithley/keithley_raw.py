"""An emulated Keithley in this loop, and a host that speaks raw lines to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import MountedPellet, TwoPole
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.clock import VirtualClock
from devices.sim.keithley.emulator import Keithley2450Emulator
from tests.devices.core.cycler_bench import SteppedCell

HOUR = 3600.0
TIMER = ("TRIG:TIM1:COUN 0", "TRIG:TIM1:STAR:STIM NOT1", "TRIG:TIM1:STAT ON")


def galvanostat(ampere: float, *, limit: float = 4.5) -> tuple[str, ...]:
    """A current source that measures the voltage with four wires; the output stays as it is."""
    return (
        "OUTP:SMOD HIMP", "SOUR:FUNC CURR", "SOUR:CURR:RANG 1e-3", f"SOUR:CURR:VLIM {limit}",
        'SENS:FUNC "VOLT"', "SENS:VOLT:RANG 20", "SENS:VOLT:RSEN ON", f"SOUR:CURR {ampere}",
    )  # fmt: skip


def timed_model(period: float, count: int, *checks: str, spacer: str = "") -> tuple[str, ...]:
    """Output on, `count` readings at the timer's events, output off; `checks` follow each reading.

    They may name the block behind the loop as {end}, and `spacer` is a block that does nothing.
    """
    body = ["WAIT {n}, TIM1", *([spacer] if spacer else []), 'MEAS {n}, "b"', *checks]
    blocks = ['BUFF:CLE {n}, "b"', "SOUR:STAT {n}, ON", "NOT {n}, 1", *body]
    top, end = 4, len(blocks) + 2
    blocks += [f"BRAN:COUN {{n}}, {count}, {top}", "SOUR:STAT {n}, OFF"]
    numbered = (b.replace("{n}", str(n)).replace("{end}", str(end)) for n, b in enumerate(blocks, start=1))
    return (
        *TIMER, f"TRIG:TIM1:DEL {period}", 'TRIG:LOAD "Empty"', *(f"TRIG:BLOC:{block}" for block in numbered)
    )  # fmt: skip


@dataclass
class RawBench:
    """Everything in one place."""

    instrument: Keithley2450Emulator
    clock: VirtualClock
    record: BenchRecord
    cell: TwoPole
    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\n" for line in lines).encode())

    async def line(self, timeout_second: float = 10.0) -> str:
        line = await asyncio.wait_for(self.reader.readline(), timeout_second)
        if not line:
            raise ConnectionError("the instrument hung up")
        return line.decode("latin-1").removesuffix("\n")

    async def ask(self, question: str) -> str:
        self.send(question)
        return await self.line()

    async def readings(self, elements: str = "READ,REL") -> list[list[float]]:
        """All readings of the buffer "b", row by row."""
        count = int(await self.ask('TRAC:ACT? "b"'))
        if not count:
            return []
        text = await self.ask(f'TRAC:DATA? 1,{count},"b",{elements}')
        numbers, width = [float(part) for part in text.split(",")], elements.count(",") + 1
        return [numbers[place : place + width] for place in range(0, len(numbers), width)]

    async def run(self, *commands: str) -> str:
        """Send commands, start the model, and wait for its end; the error queue then."""
        self.send(*commands, "INIT")
        await self.ask("*OPC?")
        return await self.ask("SYST:ERR?")

    async def reconnect(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.clock.sleep_until(self.clock.now + seconds)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.record.entries() if entry["kind"] == kind]

    @property
    def charge_ah(self) -> float:
        self.instrument.state.unit.advance_to(self.clock.now)
        return self.cell.charge_ah


@asynccontextmanager
async def emulated(
    speed: float | None = None, *, seed: int = 1, volt: float | None = None,
    jumps: tuple[tuple[float, float], ...] = (), ohm: float = 10.0, **options: Any,
) -> AsyncIterator[RawBench]:  # fmt: skip
    """An instrument with a coated pellet (or a stepped cell of `volt`) on its leads, and a connected host."""
    clock = VirtualClock(speed)
    record = BenchRecord(lambda: clock.now)
    instrument = Keithley2450Emulator(clock, record, seed=seed, **options)
    cell: TwoPole
    if volt is None:
        cell = MountedPellet("test", Pellet(PelletParameters.coated(), stoichiometry=0.7), clock.now)
    else:
        cell = SteppedCell(volt, *jumps, ohm=ohm)
    instrument.connect_leads(cell, "mount")
    port = await instrument.open()
    host = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    bench = RawBench(instrument, clock, record, cell, port, *host)
    try:
        yield bench
    finally:
        bench.writer.close()
        with contextlib.suppress(ConnectionError):
            await bench.writer.wait_closed()
        await instrument.close()
        record.close()
