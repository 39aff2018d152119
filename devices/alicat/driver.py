"""Alicat PC and PCD pressure controllers: the gas line in front of a press, over a serial line or socket."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf, isfinite, isnan, nan
from typing import Any, Literal, get_args

from ophyd import Component
from ophyd.status import DeviceStatus

from devices.alicat.frames import STATUS_WORDS
from devices.alicat.link import AlicatLink, LineState
from devices.core.columns import Column
from devices.core.polled_instrument import PolledInstrument
from devices.core.protocols import Identity
from devices.core.settling import Approach, Target
from devices.transport.serial_line import Line, SerialLine
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, ProtocolError
from labctl.host_time import HOST
from labctl.schema import ColumnSpec

HoldMode = Literal["closed", "setpoint", "position"]
HOLD_MODES: tuple[str, ...] = get_args(HoldMode)
_DUAL_VALVE = re.compile(r"E?PC[A-Z]*D")


class LineHold:
    """How a controller holds; used by the reader thread.

    "closed" shuts both valves: no gas in, none out. "setpoint" keeps regulating at the present pressure.
    "position" freezes the valves; in mid-ramp one of them is open then, and the pressure runs on.

    Args:
        link: to the controller.
        mode: None chooses "closed" for dual-valve models (PCD), else "setpoint".
    """

    def __init__(self, link: AlicatLink, mode: HoldMode | None) -> None:
        self._link, self._mode = link, mode
        self.by_us = False  # whether valves that are held are held by this program
        self.owed = False  # whether a hold could not be sent yet

    def hold(self, model: str) -> None:
        """Hold here; owed until it is done."""
        self.owed = True
        mode = self._mode or ("closed" if _DUAL_VALVE.match(model) else "setpoint")
        if mode == "closed":
            self._link.hold_closed()
        elif mode == "position" or not self._regulate_here():
            self._link.hold_position()
        self.owed, self.by_us = False, True

    def release(self) -> None:
        """A new order: nothing is held any more, nor owed."""
        self.by_us = self.owed = False

    def _regulate_here(self) -> bool:
        """Regulate at the present pressure; False where that cannot be done."""
        try:
            here = max(self._link.read().pressure_pa, 0.0)
            self._link.set_ramp(0.0)
            self._link.set_setpoint(here)
        except InstrumentError:
            return False
        return True


_ASK_SOURCE_EVERY = 10  # readings; somebody may change it at the front panel
_STANDARD_ATMOSPHERE_PA = 101_325.0
_HOLD_WITHIN_SECOND = 2.0
_FLAG_ALARMS = {"OPL": "over_pressure", "EXH": "exhaust"}
_PRESSURE = ColumnSpec("line_pressure_pa", "float", "Pa")
_SETPOINT = ColumnSpec("line_setpoint_pa", "float", "Pa")


class AlicatPressureController(PolledInstrument[LineState]):
    """A pressure controller at a pyserial address. All its pressures are gauge pressures in Pa.

    Connecting and disconnecting change nothing at the instrument.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or URL (`socket://host:port`).
        unit_id: the letter the instrument is set to.
        baudrate: as set at the instrument.
        line_pressure_max_pa: nothing above it is sent, beside the instrument's own full scale.
        hold: how "hold here" is done, see `LineHold`; by default "closed" for dual-valve models (PCD), else
            "setpoint".
        ambient_pressure_pa: for instruments that regulate absolute pressure.
        answer_timeout_second: how long an answer may take (wall time).
        line: the way to the instrument, if not a pyserial port.
        options: as for every polled instrument: name, clock, limits (of the stack pressure, which the heated
            cell applies: only it knows the piston), period_second, on_alarm.
    """

    line_pressure_pa = Component(Column, spec=_PRESSURE, value=nan, kind="hinted")
    line_setpoint_pa = Component(Column, spec=_SETPOINT, value=nan, kind="normal")
    flags = Component(Column, spec=ColumnSpec("flags", "string", ""), value="", kind="normal")

    def __init__(
        self,
        address: str,
        *,
        unit_id: str = "A",
        baudrate: int = 19200,
        line_pressure_max_pa: float | None = None,
        hold: HoldMode | None = None,
        ambient_pressure_pa: float = _STANDARD_ATMOSPHERE_PA,
        answer_timeout_second: float = 0.5,
        line: Line | None = None,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        if not re.fullmatch("[A-Z]", unit_id):
            raise ConfigurationError(self.name, "unit_id", unit_id, "must be one letter, A to Z")
        if hold is not None and hold not in HOLD_MODES:
            raise ConfigurationError(self.name, "hold", hold, f"must be one of {', '.join(HOLD_MODES)}")
        self.line_pressure_max_pa = line_pressure_max_pa
        self.setpoint_writes = 0  # since it was made; a saved setpoint wears the instrument's memory
        self._link = AlicatLink(
            line or SerialLine(address, baudrate=baudrate, terminator=b"\r"),
            unit_id,
            ambient_pressure_pa=ambient_pressure_pa,
            timeout_second=answer_timeout_second,
        )
        self._asked = 0
        self._hold = LineHold(self._link, hold)
        self._approach: Approach | None = None
        self._order = threading.Lock()  # no drive of an approach that is over goes out after the hold

    # ---- the reader thread's jobs
    def _open_link(self) -> Identity:
        self._asked = 0
        return self._link.open()

    def _close_link(self) -> None:
        self._link.close()

    def _measure(self) -> LineState:
        if self._hold.owed:
            self._do_hold()
        if self._asked % _ASK_SOURCE_EVERY == 0:
            analog = self._link.ask_source() == "A"
            self.alarms.update("setpoint_source", analog, self._link.why_ignored())
        self._asked += 1
        state = self._link.read()
        self._note_flags(state)
        return state

    def _note_flags(self, state: LineState) -> None:
        for flag, kind in _FLAG_ALARMS.items():
            self.alarms.update(kind, flag in state.flags, STATUS_WORDS[flag], value=state.pressure_pa)
        foreign = state.held and not self._hold.by_us
        self.alarms.update(
            "held", foreign, "the valves are held, but not by this program: nothing is regulated"
        )

    def _show(self, value: LineState | None) -> None:
        self.line_pressure_pa.put(nan if value is None else value.pressure_pa)
        self.line_setpoint_pa.put(nan if value is None else value.setpoint_pa)
        self.flags.put("" if value is None else " ".join(sorted(value.flags)))

    def _do_drive(self, line_pa: float, ramp_pa_per_second: float) -> None:
        """Regulate; out of a hold the ramp starts at the present pressure, not at the setpoint of before."""
        if not self._link_open:
            self._reopen()
        state = self._link.read()
        if self._link.ask_source() == "A":
            raise InstrumentError(f"{self.name}: {self._link.why_ignored()}")
        self._hold.release()
        if state.held:
            self._link.set_ramp(0.0)
            self._write_setpoint(max(state.pressure_pa, 0.0))
        self._link.set_ramp(ramp_pa_per_second)
        self._write_setpoint(line_pa)
        if state.held:
            self._link.cancel_hold()
        with suppress(DeviceError):  # NaN and an alarm; the order was confirmed
            self._poll()

    def _write_setpoint(self, line_pa: float) -> None:
        self.setpoint_writes += 1
        self._link.set_setpoint(line_pa)

    def _do_hold(self) -> None:
        """Hold here; while it cannot be done it is owed, and done as soon as the instrument answers again."""
        self._hold.owed = True
        if not self._link_open:
            self._reopen()
        self._hold.hold(self._identity.model if self._identity is not None else "")
        self.alarms.clear("hold")

    # ---- orders
    def check(self, line_pa: float) -> None:
        """Refuse a line pressure that is not allowed or would not be taken.

        Raises:
            ProtocolError: names the value and the limit; nothing was sent.
            DeviceError: not connected, or the setpoint does not come from here.
        """
        if not (isfinite(line_pa) and line_pa >= 0):
            raise ProtocolError(
                f"{self.name}: line pressure = {line_pa!r} Pa: must be a number >= 0 Pa (gauge)"
            )
        if line_pa > (most := self.highest_line_pa):
            raise ProtocolError(
                f"{self.name}: line pressure = {line_pa:.6g} Pa: must not exceed {most:.6g} Pa, the lower "
                "one of line_pressure_max_pa and the instrument's full scale"
            )
        self._require_worker()
        if self._link.source == "A":
            raise InstrumentError(f"{self.name}: {self._link.why_ignored()}")

    def drive_later(self, line_pa: float, ramp_pa_per_second: float) -> Future[None]:
        """Have the reader thread regulate to `line_pa` at a rate (0: at once); done when confirmed."""
        self.check(line_pa)
        return self._require_worker().submit(lambda: self._do_drive(line_pa, ramp_pa_per_second))

    def hold_later(self) -> Future[None]:
        """Have the reader thread hold the pressure that is there; done when confirmed."""
        return self._require_worker().submit(self._do_hold)

    def set(
        self,
        line_pa: float,
        *,
        ramp_pa_per_second: float = 0.0,
        tolerance_pa: float | None = None,
        dwell_second: float = 5.0,
        timeout_second: float | None = None,
    ) -> DeviceStatus:
        """Bring the line to a gauge pressure.

        Args:
            line_pa: gauge pressure in Pa.
            ramp_pa_per_second: rate of the setpoint; 0 is a step.
            tolerance_pa: default 1 % of the value, at least 1 kPa.
            dwell_second: time within the tolerance before the status is done.
            timeout_second: default twice the ramp's time and 120 s; then the status fails, and the instrument
                goes on regulating.

        Raises:
            ProtocolError: not allowed; nothing was sent.
        """
        self.check(line_pa)
        state = self.latest()
        way_pa = abs(line_pa - state.pressure_pa) if state is not None else line_pa
        most_second = 2 * way_pa / ramp_pa_per_second if ramp_pa_per_second > 0 else 0.0
        target = Target(
            value=line_pa,
            tolerance=max(0.01 * line_pa, 1e3) if tolerance_pa is None else tolerance_pa,
            dwell_second=dwell_second,
            timeout_second=most_second + dwell_second + 120.0 if timeout_second is None else timeout_second,
            unit="Pa",
        )
        target.check(self.name)
        return self._approach_to(target, lambda: self.drive_later(line_pa, ramp_pa_per_second))

    def _approach_to(self, target: Target, drive: Callable[[], Future[None]]) -> DeviceStatus:
        def begin() -> None:
            with self._order:
                driving = None if approach.over else drive()
            if driving is not None:
                self.wait_for(driving)

        status = DeviceStatus(self, call_stop_on_failure=False)
        approach = Approach(
            self.name,
            status,
            self._clock,
            target,
            begin=begin,
            observe=lambda: self.refresh().pressure_pa,
            on_failure=lambda error: None,
            period_second=self.period_second,
        )
        with self._order:
            before, self._approach = self._approach, approach
            if before is not None:
                before.end(DeviceError(f"{self.name}: another pressure was requested"))
        approach.start()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Abandon a ramp and hold here; without one nothing changes, the pressure stays regulated."""
        with self._order:
            approach, self._approach = self._approach, None
            stopped = DeviceError(f"{self.name}: stopped")
            moving = approach is not None and approach.end(None if success else stopped)
        if moving:
            self.hold()

    def hold(self) -> None:
        """Hold the pressure that is there now; never raises: a failure is an alarm, and tried again."""
        try:
            HOST.result_within(self.hold_later(), _HOLD_WITHIN_SECOND)
        except (DeviceError, TimeoutError) as error:
            self.alarms.update("hold", True, f"could not be sent yet, is tried again: {error or 'no answer'}")

    # ---- what others ask
    @property
    def highest_line_pa(self) -> float:
        """No line pressure above this is sent; the full scale is known once connected."""
        full_scale_pa = self._link.full_scale_pa
        most = inf if self.line_pressure_max_pa is None else self.line_pressure_max_pa
        return most if isnan(full_scale_pa) else min(most, full_scale_pa)

    @property
    def saves_setpoints(self) -> bool:
        """Whether each setpoint goes to a memory that wears (ALSS = S, or firmware that cannot tell)."""
        return self._link.source != "U"

    def check_reading(self) -> str:
        """Line pressure and setpoint, and that a setpoint would be taken, for `labctl check`."""
        if self._link.source == "A":
            raise InstrumentError(f"{self.name}: {self._link.why_ignored()}")
        state = self.refresh()
        held = ", valves held" if state.held else ""
        return f"{state.pressure_pa / 1e5:.3f} bar, setpoint {state.setpoint_pa / 1e5:.3f} bar{held}"

    def check_limits(self) -> str:
        """Highest line pressure that is sent, for `labctl check`."""
        most = self.highest_line_pa
        return f"line up to {most / 1e5:.2f} bar" if isfinite(most) else "none"

    def metadata(self) -> dict[str, Any]:
        """Identity, address, range and source of the setpoint, for the start document."""
        source, full_scale_pa = self._link.source or "unknown", self._link.full_scale_pa
        known = None if isnan(full_scale_pa) else full_scale_pa
        about = {"full_scale_pa": known, "setpoint_source": source, "setpoint_writes": self.setpoint_writes}
        return {**super().metadata(), **about}
