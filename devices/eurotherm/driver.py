"""Eurotherm 3200 series temperature controllers (3216, 3208, 3204): Modbus RTU, or TCP through a gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from math import isfinite, nan
from typing import Any, ParamSpec, TypeVar

from ophyd import Component
from ophyd.status import DeviceStatus

from devices.core.columns import Column
from devices.core.polled_instrument import PolledInstrument
from devices.core.protocols import Identity
from devices.eurotherm.link import ControllerReading, EurothermLink
from devices.eurotherm.move import SettlingOptions, TemperatureMove
from devices.eurotherm.registers import TROUBLES, Status
from devices.transport.modbus import ModbusLink
from labctl.errors import ConfigurationError, DeviceError, ProtocolError
from labctl.host_time import HOST
from labctl.schema import ColumnSpec

_NO_READING = ControllerReading(nan, nan, nan, nan, Status.NO_ANSWER)


class EurothermReadings(PolledInstrument[ControllerReading]):
    """A temperature controller that is read every `period_second` of wall time.

    `status` carries the instrument's own bits (register 75), and bit 16 when there is no reading; 0 is good.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or `socket://host:port`.
        protocol: `rtu`, or `tcp` for a Modbus TCP gateway.
        unit: the instrument's address on its bus.
        baudrate: bits per second of a device path; 8 data bits, 1 stop bit.
        parity: `none`, `even` or `odd`.
        answer_timeout_second: how long an answer may take (wall time).
        gap_second: rest between answer and next question (RTU; wall time); 20 to 100 ms are asked for.
        decimals: of temperatures, for an instrument that does not tell.
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
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        modbus = ModbusLink(
            address,
            protocol=protocol,
            unit=unit,
            baudrate=baudrate,
            parity=parity,
            timeout_second=answer_timeout_second,
            gap_second=gap_second,
            four_reads_too=True,
        )
        self._controller = EurothermLink(modbus, decimals=decimals)

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
        shown = value or _NO_READING
        self.temperature_celsius.put(shown.temperature_celsius)
        self.setpoint_celsius.put(shown.setpoint_celsius)
        self.working_setpoint_celsius.put(shown.working_setpoint_celsius)
        self.output_percent.put(shown.output_percent)
        self.status.put(int(shown.status))
        if value is not None:
            self._raise_troubles(value)

    def _raise_troubles(self, value: ControllerReading) -> None:
        here = value.temperature_celsius
        for trouble in TROUBLES:
            self.alarms.update(trouble.kind, bool(value.status & trouble.bits), trouble.words, value=here)
        self.alarms.update(
            "remote_setpoint_lost",
            self._controller.tracking is not None and bool(value.status & Status.REMOTE_FAILED),
            "the remote setpoint came too late: the controller uses its own again",
            value=value.setpoint_celsius,
        )


T = TypeVar("T")
P = ParamSpec("P")
STOP_WITHIN_SECOND = 2.0
_LOOKS_PER_DWELL, _FAR_SECOND = 20, 15.0  # steps in which the clock is slept on, near and far from the target
_SILENT_PERIODS, _SILENT_AWAKE_SECOND = 3.0, 2.0


class Eurotherm3200(EurothermReadings):
    """A temperature controller.

    Readings are taken every `period_second` of wall time, so that a simulated clock does not run because
    somebody looks; while a `set()` is under way the driver also sleeps on the station's clock, which makes
    simulated time pass until it has ended. Dwells and timeouts are the clock's.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or `socket://host:port`.
        ramp_kelvin_per_minute: rate of `set()` unless it is given; None is a step.
        tolerance_kelvin: how near counts as there.
        dwell_second: how long it must stay near.
        timeout_second: how long `set()` may take, not counting its ramp.
        options: as for EurothermReadings: protocol, unit, baudrate, parity, answer_timeout_second,
            gap_second, decimals; name, clock, limits, period_second, on_alarm.
    """

    def __init__(
        self,
        address: str,
        *,
        ramp_kelvin_per_minute: float | None = None,
        tolerance_kelvin: float = 0.5,
        dwell_second: float = 60.0,
        timeout_second: float = 7200.0,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        self.ramp_kelvin_per_minute = ramp_kelvin_per_minute
        try:
            self.settling = SettlingOptions(tolerance_kelvin, dwell_second, timeout_second)
        except ValueError as error:
            raise ConfigurationError(self.name, "options", None, str(error)) from None
        self._lock = threading.RLock()  # orders set, track and stop between threads
        self._move: TemperatureMove | None = None  # the last one
        self._path = False  # whether `track` was the last order

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
        tolerance_kelvin: float | None = None,
        dwell_second: float | None = None,
        timeout_second: float | None = None,
    ) -> DeviceStatus:
        """Go to `celsius` (degC) and stay there; the instrument ramps and holds by itself.

        Done when the temperature was within the tolerance for the dwell; failed on timeout, sensor break,
        heater failure, loss of the link, `stop()`, or a newer setpoint. The setpoint is rounded to the
        instrument's decimals. What is not given is as the driver was made; a ramp of 0 is a step. At most
        one write to EEPROM.

        Raises:
            ProtocolError: not allowed; nothing was sent.
        """
        ramp = self.ramp_kelvin_per_minute if ramp_kelvin_per_minute is None else ramp_kelvin_per_minute
        target = self.check_setpoint(celsius, ramp)
        try:
            settling = self.settling.changed(tolerance_kelvin, dwell_second, timeout_second)
        except ValueError as error:
            raise ProtocolError(f"{self.name}: setpoint {celsius:g} degC: {error}") from None
        ramp_second = 60.0 * self._distance_kelvin(target) / ramp if ramp else 0.0
        move = TemperatureMove(
            self.name,
            DeviceStatus(self, call_stop_on_failure=False),
            settling.target(target, ramp_second),
            silence_awake_second=max(_SILENT_PERIODS * self.period_second, _SILENT_AWAKE_SECOND),
        )
        with self._lock:
            begun = self._replace(move, lambda: self._begin(move, ramp or None))
        name = f"{self.name}-set"
        threading.Thread(target=self._follow, args=(move, begun), name=name, daemon=True).start()
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
        with self._lock:
            taken = self._replace(None, lambda: self._change(self._controller.track, target))
            self._path = True
        return self._status_of(taken)

    def stop(self, *, success: bool = False) -> None:
        """Abandon what is under way and hold the temperature of now; never raises.

        Nothing is written when the last `set()` was done, however often this is called. The status of an
        abandoned `set()` fails in any case: its temperature was not reached.
        """
        with self._lock:
            move = self._move
            if self._worker is None or not (self._path or (move is not None and not move.succeeded)):
                return
            held = self._replace(None, lambda: self._hold(move), "stopped")
        self._wait_briefly(held, "the temperature of now could not be held")

    def disconnect(self) -> None:
        """Let go of the port; the instrument goes on with what it was told."""
        with self._lock:
            kept = None
            if self._worker is not None:
                kept = self._replace(None, self._keep_tracked, "disconnected")
        if kept is not None:
            self._wait_briefly(kept, "the tracked setpoint could not be made the controller's own")
        super().disconnect()

    # ---- reader thread
    def _show(self, value: ControllerReading | None) -> None:
        super()._show(value)
        move = self._move
        if move is not None:
            move.judge_reading(value, self.last_reading_clock_second, *HOST.look())

    def _begin(self, move: TemperatureMove, ramp: float | None) -> None:
        self._change(self._controller.require_control)
        if move.over:
            return  # given up before its turn came: nothing is written
        asked_second, move.told = self._clock.now(), True  # simulated time may run while it is written
        self._change(self._controller.go_to, move.target.value, ramp)
        move.begin_at(asked_second, *HOST.look())

    def _hold(self, move: TemperatureMove | None) -> None:
        """Hold the temperature of now, unless the instrument never heard of `move`."""
        if self._controller.tracking is not None or (move is not None and move.told):
            self._change(self._controller.hold)

    def _keep_tracked(self) -> None:
        """Nobody will keep the remote setpoint alive: it becomes the instrument's own."""
        tracked = self._controller.tracked_celsius()
        if tracked is not None:
            self._change(self._controller.go_to, tracked)

    def _change(self, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Write to the instrument, over a link that is opened again if need be."""
        if not self._link_open:
            self._reopen()
        try:
            return action(*arguments, **options)
        finally:
            self.eeprom_writes.put(self._controller.eeprom_writes)

    # ---- other threads
    def _replace(
        self, move: TemperatureMove | None, job: Callable[[], T], reason: str = "a new setpoint was given"
    ) -> Future[T]:
        """Give the last move up for `move`, and queue its job."""
        future = self._require_worker().submit(job)
        last, self._move, self._path = self._move, move, False
        if last is not None:
            last.give_up(reason)
        return future

    def _follow(self, move: TemperatureMove, begun: Future[None]) -> None:
        """Let the clock pass, and look, until the move has ended."""
        try:
            self.wait_for(begun)
            while not move.over:
                step = move.target.dwell_second / _LOOKS_PER_DWELL if move.inside else _FAR_SECOND
                self._clock.sleep(max(self.period_second, step))
                with suppress(DeviceError):  # NaN and an alarm already; the move judges it
                    self.refresh()
        except DeviceError as error:
            move.fail(error)

    def _distance_kelvin(self, target_celsius: float) -> float:
        reading = self.latest()
        here = reading.temperature_celsius if reading is not None else nan
        return abs(target_celsius - here) if isfinite(here) else abs(target_celsius)

    def _wait_briefly(self, future: Future[T], trouble: str) -> None:
        try:
            HOST.result_within(future, STOP_WITHIN_SECOND)
        except (DeviceError, FutureTimeoutError) as error:
            action = f"{trouble}: {str(error) or 'no answer'}"
            self.on_alarm(kind="hold", source=self.name, value=nan, limit=nan, action=action)
