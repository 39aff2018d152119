"""labctl's side of a simulated bench: finding or starting it, its clock, its cell, its faults, its record.

`labctl` loads `ensure_bench` through the entry point `labctl.bench`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from devices.sim.bench.launch import find_or_start, is_running, read_info, wait_until_gone
from devices.sim.bench.process import IDLE_WALL_SECOND, INFO_NAME
from devices.sim.bench.settings import BenchSettings
from labctl.errors import ConfigurationError, DeviceError
from labctl.host_time import HOST
from labctl.platform import terminate
from labctl.records.cell import Cell
from labctl.records.station import Station

_ANSWER_WALL_SECOND = 10.0
_GONE = "the simulated bench has ended"


class Connection:
    """Questions from any thread, answers by their id; a thread of its own reads them."""

    def __init__(self, port: int, token: str) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._closed = False
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), _ANSWER_WALL_SECOND)
        except OSError as error:
            raise DeviceError(f"{_GONE}: no reply at port {port}") from error
        self._file = self._socket.makefile("rb")
        try:
            self._present(token)
            self._socket.settimeout(None)
        except (OSError, ValueError, DeviceError) as error:
            self._file.close()
            self._socket.close()
            raise error if isinstance(error, DeviceError) else DeviceError(_GONE) from error
        self._reader = threading.Thread(target=self._read, name="bench-connection", daemon=True)
        self._reader.start()

    def call(self, verb: str, *, timeout_second: float | None = _ANSWER_WALL_SECOND, **arguments: Any) -> Any:
        """The bench's answer to a verb.

        Raises:
            DeviceError: the bench refuses, does not answer within the (wall) timeout, or is gone.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise DeviceError(_GONE)
            number = next(self._numbers)
            self._waiting[number] = future
            try:
                self._send({"id": number, "verb": verb, **arguments})
            except OSError as error:
                raise DeviceError(_GONE) from error
        try:
            return future.result() if timeout_second is None else HOST.result_within(future, timeout_second)
        except FutureTimeoutError:
            raise DeviceError(
                f"the simulated bench does not answer {verb!r} in {timeout_second:g} s"
            ) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """Hang up; threads that wait for an answer get a DeviceError."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader is not threading.current_thread():
            self._reader.join()
        self._socket.close()

    def _present(self, token: str) -> None:
        self._send({"token": token})
        answer = json.loads(self._file.readline() or b"{}")
        if not answer.get("ok"):
            raise DeviceError(f"the simulated bench refuses: {answer.get('error', 'it hung up')}")

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._file:
            for line in self._file:
                self._settle(json.loads(line))
        with self._lock:
            self._closed = True
            left, self._waiting = self._waiting, {}
        for future in left.values():
            future.set_exception(DeviceError(_GONE))

    def _settle(self, answer: dict[str, Any]) -> None:
        with self._lock:
            future = self._waiting.pop(answer.get("id", 0), None)
        if future is None:
            return
        if answer["ok"]:
            future.set_result(answer["result"])
        else:
            future.set_exception(DeviceError(f"simulated bench: {answer['error']}"))


_ZERO_CELSIUS_KELVIN = 273.15
_PRIVATE_IDLE_WALL_SECOND = 10.0
_STOP_WALL_SECOND = 5.0
_DYING_WALL_SECOND = 2.0
_STARTING_WALL_SECOND, _LOOK_AGAIN_WALL_SECOND = 10.0, 0.05
_CARBON_FREE_CONDUCTIVITY_S_PER_M = 0.02  # of a composite whose particles alone carry electrons; else 1 S/m


class BenchClock:
    """The bench's virtual time (labctl.clock.Clock); may be used by any number of threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> float:
        """Virtual seconds since the bench started."""
        return float(self._connection.call("now"))

    def sleep(self, seconds: float) -> None:
        """Block for `seconds` of virtual time; time passes at least for as long as somebody sleeps."""
        if seconds > 0:
            self._connection.call("sleep", timeout_second=None, seconds=seconds)


class BenchHandle:
    """A bench in use. `addresses` has what the driver of each simulated role takes; `clock` is the bench's.

    Every method raises DeviceError when the bench is gone or refuses.
    """

    def __init__(self, connection: Connection, directory: Path, info: dict[str, Any], *, fresh: bool) -> None:
        self._connection, self._directory, self._fresh = connection, directory, fresh
        self._pid = int(info["pid"])
        self.clock = BenchClock(connection)
        self.addresses: dict[str, str] = dict(info["addresses"])

    def pty_path(self, role: str) -> str:
        """Path of a pseudo-terminal on which the role's instrument answers too (POSIX)."""
        return str(self._connection.call("pty", role=role))

    def mount(self, cell: Cell, stoichiometry: float | None = None) -> None:
        """Put a cell onto the leads; refused while a program runs.

        It goes on from the state in which this station's bench left it. A `stoichiometry` (lithium per
        formula unit of the active material) makes a new, rested pellet instead; without either the
        station's is taken.
        """
        self._connection.call(
            "mount",
            cell_id=cell.id,
            kind=cell.kind,
            parameters=pellet_parameters(cell),
            stoichiometry=stoichiometry,
            renew=stoichiometry is not None,
        )

    def cell_state(self) -> dict[str, Any]:
        """Now: voltage_volt, current_ampere (> 0 charges), circuit_closed, charge_ah, stoichiometry, ..."""
        return self._connection.call("cell")

    def truth(self) -> dict[str, Any]:
        """What measurements on the mounted pellet ought to find."""
        return self._connection.call("truth")

    def impedance(self, frequency_hertz: Sequence[float]) -> list[complex]:
        """The pellet's true impedance (ohm, capacitive < 0) about its present state, without noise."""
        answer = self._connection.call("impedance", frequency_hertz=[float(f) for f in frequency_hertz])
        return [complex(*pair) for pair in answer]

    def surroundings(self) -> dict[str, float]:
        """Die and press now: temperature_kelvin, line_pressure_pa, force_newton, stack_pressure_pa."""
        return self._connection.call("surroundings")

    def record(self) -> list[dict[str, Any]]:
        """The bench's own record: circuit, programs, mounts, faults (see devices.sim.bench_log)."""
        return self._connection.call("record")

    def set_speed(self, speed: float | Literal["max"]) -> None:
        """Seconds of virtual time per second of wall time, or "max"."""
        self._connection.call("speed", speed=speed)

    def inject(self, role: str, fault: str, /, **arguments: Any) -> None:
        """Arm a fault of a role's instrument or its line (`devices.sim.wire.faults`); "clear" ends all."""
        self._connection.call("inject", role=role, fault=fault, arguments=arguments)

    def ping(self) -> dict[str, Any]:
        """Whether it is there: pid, running (a program), clients."""
        return self._connection.call("ping")

    def close(self) -> None:
        """Let go of the bench; a fresh one ends."""
        if self._fresh:
            self.stop()
        self._connection.close()

    def stop(self) -> None:
        """End the bench: its instruments are switched off and its cell's state is saved."""
        if is_running(self._directory):
            with contextlib.suppress(DeviceError):  # deaf or dead: what follows tells
                self._connection.call("stop")
            if not wait_until_gone(self._directory, _STOP_WALL_SECOND):
                terminate(self._pid, _STOP_WALL_SECOND)
        self._connection.close()
        if self._fresh:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@overload
def ensure_bench(
    station: Station,
    data_directory: Path,
    *,
    cell: Cell | None = None,
    fresh: bool = False,
    start: Literal[True] = True,
) -> BenchHandle: ...


@overload
def ensure_bench(station: Station, data_directory: Path, *, start: Literal[False]) -> BenchHandle | None: ...


def ensure_bench(
    station: Station,
    data_directory: Path,
    *,
    cell: Cell | None = None,
    fresh: bool = False,
    start: bool = True,
) -> BenchHandle | None:
    """The bench of a simulated station, started if need be, with `cell` on its leads if given.

    Args:
        station: a station with a `simulate` block.
        data_directory: the bench lives in `bench/<station>/` of it and keeps the states of its cells there.
        cell: the cell to mount.
        fresh: a private bench instead, in a directory of its own, which ends with its handle.
        start: without, only one that is running, whatever its settings; None if there is none.

    Raises:
        ConfigurationError: the station is not simulated.
        DeviceError: the bench does not start, or serves somebody else with other settings.
    """
    settings = bench_settings(station)
    if not start:
        return _running_bench(data_directory / "bench" / station.name)
    if fresh:
        directory = Path(tempfile.mkdtemp(prefix="labctl-bench-"))
        handle = _attach(directory, settings, fresh=True)
    else:
        directory = data_directory / "bench" / station.name
        handle = _attach(directory, settings, fresh=False)
    try:
        if cell is not None:
            handle.mount(cell)
    except DeviceError:
        handle.close()
        raise
    return handle


def _running_bench(directory: Path) -> BenchHandle | None:
    """The bench that lives in a directory, as it is; one that is just starting is waited for."""
    deadline = time.monotonic() + _STARTING_WALL_SECOND
    while is_running(directory):
        if (info := read_info(directory)) is not None:
            return BenchHandle(Connection(info["port"], info["token"]), directory, info, fresh=False)
        path = directory / INFO_NAME
        if path.exists() and not os.access(path, os.R_OK):
            raise DeviceError(f"{path} cannot be read: the bench belongs to another user")
        if time.monotonic() > deadline:
            raise DeviceError(f"{path} is not written: the bench does not start")
        threading.Event().wait(_LOOK_AGAIN_WALL_SECOND)
    return None


def bench_settings(station: Station) -> BenchSettings:
    """What a station's bench is started with."""
    simulate = station.simulate
    if simulate is None:
        raise ConfigurationError(
            f"station {station.name}", "simulate", None, "is missing: this station is real"
        )
    return BenchSettings(
        station=station.name,
        seed=simulate.seed,
        speed=simulate.speed,
        stoichiometry=simulate.stoichiometry,
        temperature_kelvin=simulate.temperature_celsius + _ZERO_CELSIUS_KELVIN,
        pressure_pa=simulate.pressure_pa,
        ageing=simulate.ageing,
        spread=simulate.spread,
        devices={role: device.driver for role, device in station.devices.items() if not device.uses},
    )


def pellet_parameters(cell: Cell) -> dict[str, Any]:
    """The simulated pellet's parameters that a cell record gives, as plain JSON in SI units."""
    material, composite, anode = cell.active_material, cell.composite, cell.anode
    density = material.density_g_per_cm3 if material else None
    conductivity = cell.electrolyte.conductivity_ms_per_cm
    separator = cell.separator_thickness_mm
    carbon_free = composite is not None and composite.carbon_mass_fraction == 0
    found: dict[str, Any] = {
        "active_mass_kg": cell.active_mass_kg if material else None,
        "coated": cell.coating is not None,
        "diameter_metre": cell.diameter_mm * 1e-3,
        "anode_potential_volt": anode.potential_volt if anode else None,
        "separator_thickness_metre": None if separator is None else separator * 1e-3,
        "particle_radius_metre": cell.particle_radius_metre,
        "active_density_kg_per_m3": None if density is None else density * 1e3,
        "active_volume_fraction": cell.active_volume_fraction,
        "electrolyte_volume_fraction": cell.electrolyte_volume_fraction,
        "electrolyte_conductivity_s_per_m": None if conductivity is None else conductivity * 0.1,
        "electronic_conductivity_s_per_m": _CARBON_FREE_CONDUCTIVITY_S_PER_M if carbon_free else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _attach(directory: Path, settings: BenchSettings, *, fresh: bool) -> BenchHandle:
    """A handle to a bench with these settings; one with others is replaced when nobody uses it."""
    idle = _PRIVATE_IDLE_WALL_SECOND if fresh else IDLE_WALL_SECOND
    while True:
        info = find_or_start(directory, settings, private=fresh, idle_second=idle)
        try:
            connection = Connection(info["port"], info["token"])
        except DeviceError:
            if not wait_until_gone(directory, _DYING_WALL_SECOND):
                raise
            continue  # it ended just now
        handle = BenchHandle(connection, directory, info, fresh=fresh)
        if fresh or _suits(handle, BenchSettings.model_validate(info["settings"]), settings):
            return handle
        handle.stop()


def _suits(handle: BenchHandle, present: BenchSettings, wanted: BenchSettings) -> bool:
    """Whether a shared bench can be used as it is; DeviceError when not, and somebody else uses it."""
    answer = handle.ping()
    alone = answer["clients"] == 1 and not answer["running"]
    if wanted.same_bench(present):
        if alone:
            handle.set_speed(wanted.speed)
        return True
    if not alone:
        handle.close()
        raise DeviceError(
            f"station {wanted.station}: its bench is in use with other settings (seed, start, devices); "
            "close the process that uses it, or use a fresh one"
        )
    return False
