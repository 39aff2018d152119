"""The emulated Eurotherm 3200 temperature controller: Modbus registers and a control loop on a heated die.

Until a host changes something the controller stands by and the lab's oven holds the temperature. From then on
its loop keeps virtual time passing as long as temperature or ramp are on their way, and no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.eurotherm.register_map import Configuration, RegisterMap
from devices.sim.eurotherm.temperature_loop import SENSOR_FAULTS, TemperatureLoop
from devices.sim.wire.emulator import WithoutLeads
from devices.sim.wire.faults import Within, check_arguments
from devices.sim.wire.modbus_server import ModbusUnit

UNIT = 1
TICK_SECOND = 1.0  # virtual time between two looks of the control loop
_SETPOINTS = frozenset({2, 24, 25, 35, 276})  # writes that go to the bench's record


class Eurotherm3200Emulator(WithoutLeads):
    """One instrument with its wires; `seed` decides how a jumping sensor jumps.

    Args:
        clock: the bench's.
        record: the bench's; setpoints, ramp rates and faults are entered.
        seed: of the faults.
        surroundings: die and heater.
        configuration: how the instrument is set up at its front panel.
    """

    def __init__(
        self,
        clock: VirtualClock,
        record: BenchRecord,
        *,
        seed: int,
        surroundings: Surroundings,
        configuration: Configuration | None = None,
    ) -> None:
        self._clock, self._record, self._surroundings = clock, record, surroundings
        self.loop = TemperatureLoop(surroundings, 0.0, seed)
        self._map = RegisterMap(self.loop, configuration or Configuration(), self._look, self._written)
        self._modbus = ModbusUnit(self._map, UNIT)
        self._task: asyncio.Task[None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._faults: dict[str, Callable[..., None]] = {
            **{fault: self._failing(fault) for fault in ("heater_fail", *sorted(SENSOR_FAULTS))},
            "jumping_sensor": self._jump,
            "manual": lambda: self._press("manual"),
            "standby": lambda: self._press("standby"),
            "drop_link": self._modbus.drop,
            "silent": self._fall_silent,
            "reboot": self._reboot,
            "clear": self._clear,
        }

    # ---- endpoints
    async def open(self) -> int:
        """Listen on a free loopback port, for Modbus TCP and for RTU; its number."""
        return await self._modbus.open()

    def open_pty(self) -> str:
        """Path of a pseudo-terminal that answers RTU (POSIX)."""
        return self._modbus.open_pty()

    @property
    def connected(self) -> bool:
        """Whether a host is connected by TCP."""
        return self._modbus.connected

    async def close(self) -> None:
        """Control no more and close all endpoints; the heater stays as it is."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._modbus.close()

    @property
    def eeprom_writes(self) -> dict[int, int]:
        """Writes to each EEPROM-backed register (2, 24, 25) so far."""
        return dict(self._map.eeprom_writes)

    # ---- faults
    def inject(self, fault: str, /, **arguments: Any) -> None:
        """Begin a fault; `clear` ends them all.

        `sensor_break`, `over_range` (the number is far beyond the range), `stuck_sensor`, `jumping_sensor`
        (readings are off by up to `amplitude_kelvin`), `nan` (no number is read), `heater_fail` (no current),
        `manual` and `standby` (somebody presses a key), `silent` (no answers), `drop_link`, `reboot`.

        Raises:
            ValueError: no such fault, or an impossible argument.
        """
        if fault not in self._faults:
            raise ValueError(f"fault = {fault!r}: must be one of {', '.join(sorted(self._faults))}")
        begin = self._faults[fault]
        check_arguments(fault, begin, arguments)
        self._look()
        begin(**arguments)
        self._record.add("fault", fault=fault, **arguments)
        self._wake()

    def _failing(self, fault: str) -> Callable[[], None]:
        return lambda: self.loop.fail(fault)

    def _jump(self, amplitude_kelvin: Annotated[float, Within(1e-3, 1000)] = 20.0) -> None:
        self.loop.jump_kelvin = amplitude_kelvin
        self.loop.fail("jumping_sensor")

    def _press(self, key: str) -> None:
        setattr(self.loop, key, True)

    def _fall_silent(self) -> None:
        self._modbus.silent = True

    def _reboot(self) -> None:
        self._modbus.drop()
        self.loop.reboot()

    def _clear(self) -> None:
        self.loop.faults.clear()
        self.loop.manual = self.loop.standby = self._modbus.silent = False

    # ---- time
    def _look(self) -> None:
        self._surroundings.advance_to(self._clock.now)

    def _written(self, address: int, value: float) -> None:
        if address in _SETPOINTS:
            self._record.add("setpoint", device="eurotherm", register=address, value=value)
        if address in (26, 276):
            self._watch_remote()
        self._wake()

    def _watch_remote(self) -> None:
        """Look again when the remote setpoint has become too old."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        loop = asyncio.get_running_loop()
        self._watchdog = loop.call_later(self.loop.remote_wall_second + 0.05, self._wake)

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self.loop.resume(self._clock.now)
            self._task = asyncio.get_running_loop().create_task(self._regulate())
            self._task.add_done_callback(_report_failure)

    async def _regulate(self) -> None:
        while not self.loop.settled():
            await self._clock.sleep_until(self._clock.now + TICK_SECOND)
            self.loop.step(self._clock.now)


def _report_failure(task: asyncio.Task[None]) -> None:
    """A fault of the emulator itself goes to the log at once."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the temperature loop failed", "exception": error}
        )
