"""Eurotherm 3200 series temperature controllers (3216, 3208, 3204): Modbus RTU, or TCP through a gateway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import replace
from math import isfinite, nan
from typing import Any, TypeVar

from ophyd import Component
from ophyd.status import DeviceStatus

from devices.columns import Column, ColumnSpec
from devices.eurotherm_link import ControllerReading, EurothermLink
from devices.eurotherm_move import Move, Settling
from devices.eurotherm_registers import TROUBLES, Status
from devices.modbus import ModbusLink
from devices.polled_instrument import PolledInstrument
from devices.protocols import Identity
from labctl.errors import ConfigurationError, DeviceError, ProtocolError

T = TypeVar("T")
STOP_WITHIN_SECOND = 2.0
_LOOKS_PER_DWELL = 20  # the clock is slept on in steps of so much of a dwell, at least a period
_SILENT_PERIODS, _SILENT_WALL_SECOND = 3.0, 2.0
_NO_READING = ControllerReading(nan, nan, nan, nan, Status.NO_ANSWER)


class Eurotherm3200(PolledInstrument[ControllerReading]):
    """A temperature controller.

    Readings are taken every `period_second` of wall time, so that a simulated clock does not run because
    somebody looks; while a `set()` is under way the driver also sleeps on the station's clock, which makes
    simulated time pass until it has ended. Dwells and timeouts are the clock's, ages of readings too.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or `socket://host:port`.
        protocol: `rtu`, or `tcp` for a Modbus TCP gateway.
        unit: the instrument's address on its bus.
        baudrate: bits per second of a device path; 8 data bits, 1 stop bit.
        parity: `none`, `even` or `odd`.
        answer_timeout_second: how long an answer may take (wall time).
        gap_second: rest between answer and next question (RTU; 20 to 100 ms are asked for).
        decimals: of temperatures, for an instrument that does not tell.
        ramp_kelvin_per_minute: rate of `set()` unless it is given; None is a step.
        tolerance_kelvin: how near counts as there.
        dwell_second: how long it must stay near.
        timeout_second: how long `set()` may take, not counting its ramp.
        options: as for every polled instrument: name, clock, limits, period_second, on_alarm.
    """

    temperature_celsius = Component(
        Column, spec=ColumnSpec("temperature_celsius", "float", "degC"), value=nan, kind="hinted"
    )
    setpoint_celsius = Component(
        Column, spec=ColumnSpec("setpoint_celsius", "float", "degC"), value=nan, kind="normal"
    )
    working_setpoint_celsius = Component(
        Column, spec=ColumnSpec("working_setpoint_celsius", "float", "degC"), value=nan, kind="normal"
    )
    output_percent = Component(
        Column, spec=ColumnSpec("output_percent", "float", "%"), value=nan, kind="normal"
    )
    status = Component(Column, spec=ColumnSpec("status", "integer", "1"), value=0, kind="normal")
    eeprom_writes = Component(
        Column, spec=ColumnSpec("eeprom_writes", "integer", "1"), value=0, kind="config"
    )

    def __init__(
        self,
        address: str,
        *,
        protocol: str = "rtu",
        unit: int = 1,
        baudrate: int = 9600,
        parity: str = "none",
        answer_timeout_second: float = 0.5,
        gap_second: float = 0.02,
        decimals: int | None = None,
        ramp_kelvin_per_minute: float | None = None,
        tolerance_kelvin: float = 0.5,
        dwell_second: float = 60.0,
        timeout_second: float = 7200.0,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        try:
            self.settling = Settling(tolerance_kelvin, dwell_second, timeout_second)
        except ValueError as error:
            raise ConfigurationError(self.name, "options", None, str(error)) from None
        self.ramp_kelvin_per_minute = ramp_kelvin_per_minute
        modbus = ModbusLink(
            address,
            protocol=protocol,
            unit=unit,
            baudrate=baudrate,
            parity=parity,
            timeout_second=answer_timeout_second,
            gap_second=gap_second,
        )
        self._controller = EurothermLink(modbus, decimals=decimals)
        self._lock = threading.RLock()  # orders set, track and stop between threads
        self._move: Move | None = None  # the last one that did not come to its end

    # ---- reader thread
    def _open_link(self) -> Identity:
        try:
            return self._controller.open()
        except BaseException:
            self._controller.close()
            raise

    def _close_link(self) -> None:
        self._controller.close()

    def _measure(self) -> ControllerReading:
        return self._controller.read()

    def _show(self, value: ControllerReading | None) -> None:
        """Publish a reading, raise what is wrong, and let the move under way judge it."""
        shown = value or _NO_READING
        self.temperature_celsius.put(shown.temperature_celsius)
        self.setpoint_celsius.put(shown.setpoint_celsius)
        self.working_setpoint_celsius.put(shown.working_setpoint_celsius)
        self.output_percent.put(shown.output_percent)
        self.status.put(int(shown.status))
        if value is not None:
            self._raise_troubles(value)
        move = self._move
        if move is not None:
            move.judge(value, self.last_reading_clock_second, time.monotonic())

    def _raise_troubles(self, value: ControllerReading) -> None:
        for trouble in TROUBLES:
            self.alarms.update(
                trouble.kind,
                bool(value.status & trouble.bits),
                trouble.words,
                value=value.temperature_celsius,
            )
        lost = self._controller.tracking is not None and bool(value.status & Status.REMOTE_FAILED)
        self.alarms.update(
            "remote_setpoint_lost",
            lost,
            "the remote setpoint came too late; the controller had gone to its own setpoint",
            value=value.setpoint_celsius,
        )

    def _change(self, action: Callable[..., T], *arguments: Any) -> T:
        """Write to the instrument, over a link that is opened again if need be."""
        if not self._link_open:
            self._reopen()
        try:
            return action(*arguments)
        finally:
            self.eeprom_writes.put(self._controller.eeprom_writes)

    def _begin(self, move: Move, ramp: float | None) -> None:
        if move.ended:
            return  # given up before its turn came: nothing is written
        self._change(self._controller.go_to, move.target_celsius, ramp)
        move.begin(self._clock.now(), time.monotonic())

    # ---- what a person or plan does
    def check_setpoint(self, celsius: float, ramp_kelvin_per_minute: float | None = None) -> float:
        """Refuse what station, cell or instrument do not allow; the setpoint as the instrument can hold it.

        Raises:
            ProtocolError: names the setpoint and the limit; nothing was sent.
            DeviceError: not connected, so that the instrument's own limits are not known.
        """
        self._require_worker()
        most = self.limits.temperature_max_celsius
        try:
            return self._controller.setup.allowed(celsius, ramp_kelvin_per_minute, most)
        except ProtocolError as error:
            raise ProtocolError(f"{self.name}: {error}") from None

    def set(
        self,
        celsius: float,
        *,
        ramp_kelvin_per_minute: float | None = None,
        **settling_options: float,
    ) -> DeviceStatus:
        """Go to `celsius` (degC) and stay there; the instrument ramps and holds by itself.

        Done when the temperature was within the tolerance for the dwell; failed on timeout, sensor break,
        heater failure, loss of the link, `stop()`, or a newer setpoint. At most one write to EEPROM.

        Args:
            celsius: rounded to the instrument's decimals.
            ramp_kelvin_per_minute: 0 is a step; None, the driver's own.
            settling_options: tolerance_kelvin, dwell_second, timeout_second in place of the driver's.

        Raises:
            ProtocolError: not allowed; nothing was sent.
        """
        ramp = self.ramp_kelvin_per_minute if ramp_kelvin_per_minute is None else ramp_kelvin_per_minute
        target = self.check_setpoint(celsius, ramp)
        settling = self._settling_for(target, ramp, settling_options)
        silence = max(_SILENT_PERIODS * self.period_second, _SILENT_WALL_SECOND)
        move = Move(DeviceStatus(self), target, settling, silence_wall_second=silence)
        with self._lock:
            begun = self._replace(move, lambda: self._begin(move, ramp or None))
        threading.Thread(
            target=self._follow, args=(move, begun), name=f"{self.name}-set", daemon=True
        ).start()
        return move.status

    def track(self, celsius: float) -> DeviceStatus:
        """Follow a path that the caller gives, one setpoint (degC) after the other, as often as one likes.

        Uses the remote setpoint: no EEPROM is written. Done when the instrument has it. The driver keeps it
        alive; if this process dies, the controller goes back to its own setpoint after 5 s, so `set()` what
        it shall fall back to before. `set()`, `stop()` and `disconnect()` end the following.

        Raises:
            ProtocolError: not allowed; nothing was sent.
        """
        target = self.check_setpoint(celsius)
        status = DeviceStatus(self)
        with self._lock:
            taken = self._replace(None, lambda: self._change(self._controller.track, target))
        taken.add_done_callback(lambda done: _settle(status, done.exception()))
        return status

    def stop(self, *, success: bool = False) -> None:
        """Abandon what is under way and hold the temperature of now; never raises.

        Nothing is written when the last `set()` was done, however often this is called. The status of an
        abandoned `set()` fails in any case: its temperature was not reached.
        """
        with self._lock:
            move = self._move
            if self._worker is None or not (self._controller.tracking or (move and move.may_be_under_way)):
                return
            held = self._replace(None, lambda: self._change(self._controller.hold), "stopped")
        self._wait_briefly(held, "the temperature of now could not be held")

    def disconnect(self) -> None:
        """Let go of the port; the instrument goes on holding what it holds."""
        with self._lock:
            if self._worker is not None:
                kept = self._replace(None, self._keep_tracked, "disconnected")
                self._wait_briefly(kept, "the tracked setpoint could not be kept")
        super().disconnect()

    def metadata(self) -> dict[str, Any]:
        """Identity, address and limits in force, for the start document."""
        if self._identity is None:
            return super().metadata()
        setup = self._controller.setup
        limits = {
            "temperature_max_celsius": self.limits.temperature_max_celsius,
            "setpoint_low_celsius": setup.low_celsius,
            "setpoint_high_celsius": setup.high_celsius,
        }
        return {**super().metadata(), "limits": limits}

    # ---- within
    def _settling_for(self, target: float, ramp: float | None, options: dict[str, float]) -> Settling:
        """The driver's settling with other `options`; a ramp has its own time on top of the timeout."""
        try:
            settling = replace(self.settling, **options)
        except (ValueError, TypeError) as error:
            raise ProtocolError(f"{self.name}: setpoint {target:g} degC: {error}") from None
        here = self._reading.value.temperature_celsius if self._reading and self._reading.value else nan
        distance = abs(target - here) if isfinite(here) else abs(target)
        return (
            replace(settling, timeout_second=settling.timeout_second + 60 * distance / ramp)
            if ramp
            else settling
        )

    def _replace(
        self, move: Move | None, job: Callable[[], T], reason: str = "a new setpoint was given"
    ) -> Future[T]:
        """Give the last move up for `move`, and queue its job."""
        future = self._require_worker().submit(job)
        last, self._move = self._move, move
        if last is not None:
            last.give_up(reason)
        return future

    def _keep_tracked(self) -> None:
        """Nobody will keep the remote setpoint alive: it becomes the instrument's own."""
        tracked = self._controller.tracked_celsius()
        if tracked is not None:
            self._change(self._controller.go_to, tracked)

    def _follow(self, move: Move, begun: Future[None]) -> None:
        """Let the clock pass, and look, until the move has ended."""
        try:
            self.wait_for(begun)
            while not move.ended:
                self._clock.sleep(max(self.period_second, move.settling.dwell_second / _LOOKS_PER_DWELL))
                with suppress(DeviceError):  # NaN and an alarm already; the move judges it
                    self.refresh()
        except DeviceError as error:
            move.fail(error)

    def _wait_briefly(self, future: Future[Any], trouble: str) -> None:
        try:
            future.result(STOP_WITHIN_SECOND)
        except (DeviceError, FutureTimeoutError) as error:
            action = f"{trouble}: {error or 'no answer'}"
            self.on_alarm(kind="hold", source=self.name, value=nan, limit=nan, action=action)


def _settle(status: DeviceStatus, error: BaseException | None) -> None:
    if error is None:
        status.set_finished()
    else:
        status.set_exception(error if isinstance(error, Exception) else DeviceError(str(error)))
