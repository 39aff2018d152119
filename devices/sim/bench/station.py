"""A simulated bench without its process: clock, cell, emulated instruments on it, control port."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from devices.sim.alicat.emulator import AlicatPcd
from devices.sim.bench.cell_store import CellStore
from devices.sim.bench.control import ControlServer
from devices.sim.bench.environment_link import Coupling
from devices.sim.bench.settings import BenchSettings, pace
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.kinds import cell_parameters, new_cell
from devices.sim.cell.leads import MountedPellet
from devices.sim.cell.surroundings import Surroundings, SurroundingsParameters
from devices.sim.clock import VirtualClock
from devices.sim.eurotherm.emulator import Eurotherm3200Emulator
from devices.sim.keithley.emulator import Keithley2450Emulator
from devices.sim.mark10.emulator import Mark10Gauge
from devices.sim.palmsens.emulator import EmStat4
from devices.sim.wire.emulator import Emulator
from labctl.errors import DeviceError

EMULATORS: dict[str, Callable[..., Emulator]] = {
    "palmsens": EmStat4,
    "keithley2450": Keithley2450Emulator,
    "eurotherm3200": Eurotherm3200Emulator,
    "alicat": AlicatPcd,
    "mark10": Mark10Gauge,
}
_log = logging.getLogger(__name__)
_SERIAL_ADDRESS = "socket://127.0.0.1:{port}"
_ADDRESSES = {"keithley2450": "TCPIP::127.0.0.1::{port}::SOCKET"}


class Bench:
    """Everything of one bench but its process; `stop` is called by the control verb of that name."""

    def __init__(self, settings: BenchSettings, directory: Path, stop: Callable[[], None]) -> None:
        unknown = sorted(set(settings.devices.values()) - set(EMULATORS))
        if unknown:
            known = ", ".join(sorted(EMULATORS))
            raise DeviceError(
                f"station {settings.station}: no emulator for {unknown[0]!r}; there are {known}"
            )
        self._settings, self._stop = settings, stop
        self._clock = VirtualClock(pace(settings.speed))
        self._record = BenchRecord(lambda: self._clock.now, directory / "record.jsonl")
        self._store = CellStore(directory / "cells")
        self._surroundings = Surroundings(
            SurroundingsParameters(ambient_kelvin=settings.temperature_kelvin),
            temperature_kelvin=settings.temperature_kelvin,
            stack_pressure_pa=settings.pressure_pa,
        )
        self._coupling = Coupling(self._clock, self._surroundings)
        self._instruments = {
            role: EMULATORS[driver](
                self._clock, self._record, seed=settings.seed, surroundings=self._surroundings
            )
            for role, driver in sorted(settings.devices.items())
        }
        self._cell: MountedPellet | None = None
        self._kind, self._parameters = "", {}
        self._saved_second = 0.0
        self._token = secrets.token_urlsafe(32)
        self._control = ControlServer(self._token, self._verbs())

    async def open(self) -> dict[str, Any]:
        """Open all ports; the content of bench.json."""
        addresses = {}
        for role, instrument in self._instruments.items():
            template = _ADDRESSES.get(self._settings.devices[role], _SERIAL_ADDRESS)
            addresses[role] = template.format(port=await instrument.open())
        self._coupling.start()
        self._record.add("bench", state="start", pid=os.getpid(), settings=self._settings.model_dump())
        return {
            "pid": os.getpid(),
            "port": await self._control.open(),
            "token": self._token,
            "addresses": addresses,
            "settings": self._settings.model_dump(),
        }

    async def close(self) -> None:
        """Switch everything off and save the cell."""
        self._coupling.stop()
        for instrument in self._instruments.values():
            await instrument.close()
        self.save()
        self._record.add("bench", state="end", pid=os.getpid())
        await self._control.close()
        self._record.close()

    def save(self) -> None:
        """Save the cell's state, unless a program moves it just now or nothing has happened to it.

        A disk that does not take it is told in the log; the bench goes on, and tries again the next time.
        """
        cell = self._cell
        if cell is None or self._running() or cell.pellet.time_second == self._saved_second:
            return
        try:
            self._store.save(cell.cell_id, self._kind, cell.state())
        except OSError as error:
            _log.warning("the state of cell %s could not be saved: %s", cell.cell_id, error)
            return
        self._saved_second = cell.pellet.time_second

    def idle_wall_second(self) -> float:
        """For how long (wall time) no client has been connected, neither to control nor to an instrument."""
        connected = any(instrument.connected for instrument in self._instruments.values())
        if connected or self._control.clients:
            self._control.last_client_wall = time.monotonic()
        return time.monotonic() - self._control.last_client_wall

    # ---- control verbs
    def _verbs(self) -> dict[str, Callable[..., Any]]:
        return {
            "ping": lambda: {
                "pid": os.getpid(),
                "running": self._running(),
                "clients": self._control.clients,
            },
            "now": lambda: self._clock.now,
            "sleep": self._sleep,
            "speed": lambda speed: self._clock.set_speed(pace(speed)),
            "mount": self._mount,
            "cell": self._cell_state,
            "truth": lambda: self._present_cell().pellet.truth(),
            "impedance": self._impedance,
            "surroundings": self._surroundings_state,
            "record": self._record.entries,
            "inject": self._inject,
            "pty": lambda role: self._instrument(role).open_pty(),
            "stop": self._stop,
        }

    async def _sleep(self, seconds: float) -> float:
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds = {seconds!r}: must be a number >= 0")
        await self._clock.sleep_until(self._clock.now + seconds)
        return self._clock.now

    def _mount(
        self,
        cell_id: str,
        kind: str,
        parameters: dict[str, Any],
        stoichiometry: float | None = None,
        renew: bool = False,
    ) -> bool:
        """Put a cell onto the leads; False if it was there already.

        It goes on from its saved state; without one, or with `renew`, a new one begins, a full cell at
        `stoichiometry` (by default the station's).
        """
        cell, settings = self._cell, self._settings
        there = (cell.cell_id, self._kind, self._parameters) if cell else None
        if there == (cell_id, kind, parameters) and not renew:
            return False
        if self._running():
            mounted = cell.cell_id if cell else "none"
            raise DeviceError(f"cell {cell_id}: a program runs (mounted is {mounted}); stop it first")
        checked = cell_parameters(
            cell_id, parameters, ages=settings.ageing, seed=settings.seed, spread=settings.spread
        )
        made = None if renew else self._store.load(cell_id, kind, checked)
        if made is None:
            made = new_cell(
                kind,
                checked,
                stoichiometry=settings.stoichiometry if stoichiometry is None else stoichiometry,
                temperature_kelvin=self._surroundings.temperature_kelvin,
                pressure_pa=self._surroundings.stack_pressure_pa,
                time_second=self._clock.now,
            )
        self.save()
        self._kind, self._parameters = kind, parameters
        self._connect(MountedPellet(cell_id, made, self._clock.now))
        return True

    def _connect(self, cell: MountedPellet) -> None:
        for instrument in self._instruments.values():
            instrument.connect_leads(cell, f"mount {cell.cell_id}")
        self._coupling.mount(cell)
        self._cell, self._saved_second = cell, cell.pellet.time_second
        self._record.add("mount", cell_id=cell.cell_id, stoichiometry=cell.pellet.stoichiometry)

    def _cell_state(self) -> dict[str, Any]:
        cell = self._present_cell()
        volt, ampere = cell.reading()
        return {
            "cell_id": cell.cell_id,
            "voltage_volt": volt,
            "current_ampere": ampere,
            "circuit_closed": any(i.circuit_closed for i in self._instruments.values()),
            "charge_ah": cell.charge_ah,
            "stoichiometry": cell.pellet.stoichiometry,
            "virtual_second": self._clock.now,
        }

    def _inject(self, role: str, fault: str, arguments: dict[str, Any] | None = None) -> None:
        self._instrument(role).inject(fault, **(arguments or {}))

    def _impedance(self, frequency_hertz: list[float]) -> list[tuple[float, float]]:
        values = self._present_cell().pellet.impedance(np.asarray(frequency_hertz, dtype=float))
        return [(float(z.real), float(z.imag)) for z in values]

    def _surroundings_state(self) -> dict[str, float]:
        around = self._surroundings
        around.advance_to(self._clock.now)
        return {
            "temperature_kelvin": around.temperature_kelvin,
            "line_pressure_pa": around.line_pressure_pa,
            "force_newton": around.force_newton,
            "stack_pressure_pa": around.stack_pressure_pa,
            "virtual_second": self._clock.now,
        }

    def _instrument(self, role: str) -> Emulator:
        if role not in self._instruments:
            raise ValueError(f"role = {role!r}: must be one of {', '.join(self._instruments)}")
        return self._instruments[role]

    def _present_cell(self) -> MountedPellet:
        """The mounted cell, at the present instant."""
        if self._cell is None:
            raise DeviceError(f"station {self._settings.station}: no cell is mounted")
        self._cell.advance_to(self._clock.now)
        return self._cell

    def _running(self) -> bool:
        return any(instrument.running for instrument in self._instruments.values())
