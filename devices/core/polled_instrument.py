"""An instrument that is asked for its reading again and again, and whose link may come and go.

The last reading is published with its time, so that signals and `read()` never touch the wire. A reading that
fails is NaN and an alarm; a lost link is opened again, and used only if the same instrument answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from math import nan
from typing import Any, Generic, TypeVar

from ophyd import Device, Kind

from devices.core.columns import Column
from devices.core.instrument import AlarmLatch, Instrument
from devices.core.protocols import Identity
from devices.transport.line_query import NoAnswerError
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, TransportError
from labctl.host_time import HOST, elapsed_second
from labctl.records.limits import Limits

R = TypeVar("R")
T = TypeVar("T")
STALE_PERIODS, STALE_WALL_SECOND = 5.0, 2.0
_LATE_PERIODS, _LATE_SECOND = 3.0, 2.0
_SILENT_POLLS = 3  # so many failures in a row: open the link anew, it may be a different one by now
_LONGEST_POLL_SECOND = 30.0  # opening a link to a machine that is switched off


@dataclass(frozen=True)
class Reading(Generic[R]):
    """A value and when it came; `value` is None when the reading failed."""

    value: R | None
    clock_second: float
    elapsed_second: float  # wall time, of labctl.host_time: a reading grows old while the machine sleeps, too


class PolledInstrument(Instrument, Generic[R]):
    """A sensor or controller at `address`, read every `period_second` of wall time.

    Args:
        address: the transport's own string.
        period_second: time between readings.
        limits: station limits narrowed by the cell's, for drivers that have use for them.
        options: as for every instrument: name, clock, on_alarm.
    """

    def __init__(
        self, address: str, *, period_second: float = 1.0, limits: Limits | None = None, **options: Any
    ) -> None:
        super().__init__(address, **options)
        if not 0 < period_second <= 3600:
            raise ConfigurationError(self.name, "period_second", period_second, "must be > 0 and <= 3600 s")
        self.period_second = period_second
        self.limits = limits or Limits()
        self.on_reading: list[
            Callable[[], None]
        ] = []  # called after each periodic reading, not by the reader
        self.alarms = AlarmLatch(lambda **alarm: self.on_alarm(source=self.name, **alarm))
        self._reading: Reading[R] | None = None
        self._link_open = False
        self._silent_polls = 0
        self._ticking: threading.Event | None = None
        self._ticker: threading.Thread | None = None

    # ---- what a driver adds; these run in the reader thread, as `_open_link` and `_close_link` do
    def _measure(self) -> R:
        """One reading, asked for now; DeviceError when there is none."""
        raise NotImplementedError

    def _show(self, value: R | None) -> None:
        """Put a reading, or that there is none, into the signals."""
        raise NotImplementedError

    def _make_safe(self) -> None:
        """Connecting changes nothing: what the instrument holds, it goes on holding."""

    # ---- connection
    def connect(self) -> Identity:
        """Open the port, learn who answers, read once, and go on reading.

        Raises:
            DeviceError: nothing, or the wrong thing, answers; the port is in use.
        """
        if self._identity is not None:
            return self._identity
        identity = super().connect()
        self._link_open, self._silent_polls = True, 0
        with suppress(DeviceError):  # NaN and an alarm already
            self.refresh()
        self._ticking = threading.Event()
        self._ticker = threading.Thread(
            target=self._tick, args=(self._ticking,), name=f"{self.name}-ticker", daemon=True
        )
        self._ticker.start()
        return identity

    def disconnect(self) -> None:
        """Read no more and let go of the port; may be called twice."""
        if self._ticking is not None and self._ticker is not None:
            self._ticking.set()
            if self._ticker is not threading.current_thread():
                self._ticker.join(2.0)
        self._ticking = self._ticker = None
        super().disconnect()
        self._link_open = False

    # ---- readings
    def check_reading(self) -> str:
        """The hinted signals, read now, for `labctl check`."""
        self.refresh()
        return hinted_text(self)

    def latest(self) -> R | None:
        """The last reading; None when it failed or is stale."""
        reading = self._reading
        if reading is None or self._identity is None:
            return None
        age = elapsed_second() - reading.elapsed_second
        return reading.value if age <= max(STALE_PERIODS * self.period_second, STALE_WALL_SECOND) else None

    @property
    def last_reading_clock_second(self) -> float:
        """When the last reading came, valid or not (clock's time); NaN before the first."""
        return self._reading.clock_second if self._reading is not None else nan

    @property
    def expected_by_clock_second(self) -> float:
        """When the next reading should have come at the latest (clock's time); NaN before the first."""
        return self.last_reading_clock_second + max(_LATE_PERIODS * self.period_second, _LATE_SECOND)

    def refresh(self) -> R:
        """A reading that is taken now; blocks until it has come.

        Raises:
            DeviceError: there is none.
        """
        return self.wait_for(self.refresh_later())

    def refresh_later(self) -> Future[R]:
        """Have the reader thread take a reading as soon as it can."""
        return self._require_worker().submit(self._poll)

    def wait_for(self, future: Future[T]) -> T:
        """The result of a job of the reader thread."""
        try:
            return HOST.result_within(future, _LONGEST_POLL_SECOND)
        except FutureTimeoutError:
            raise TransportError(f"{self.name}: no answer within {_LONGEST_POLL_SECOND:g} s") from None

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(self.period_second):
            with suppress(DeviceError):
                self.refresh()
            for callback in list(self.on_reading):
                with suppress(DeviceError):
                    callback()

    def _poll(self) -> R:
        """The reader thread's job: a reading, over a link that is opened again if need be."""
        try:
            if not self._link_open:
                self._reopen()
            value = self._measure()
        except DeviceError as error:
            self._failed(error)
            raise
        self._silent_polls = 0
        self._publish(value)
        self.alarms.clear("no_reading")
        return value

    def _failed(self, error: DeviceError) -> None:
        self._publish(None)
        silent = isinstance(error, NoAnswerError)
        self._silent_polls = self._silent_polls + 1 if silent else 0
        if (isinstance(error, TransportError) and not silent) or self._silent_polls >= _SILENT_POLLS:
            self._close_link()
            self._link_open, self._silent_polls = False, 0
        self.alarms.update("no_reading", True, str(error))

    def _publish(self, value: R | None) -> None:
        try:
            now = self._clock.now()
        except DeviceError:  # the bench and its clock are gone: the reading is as old as the one before
            now = self.last_reading_clock_second
        self._reading = Reading(value, now, elapsed_second())
        self._show(value)

    def _reopen(self) -> None:
        """Open the lost link; what answers must be the instrument that was there."""
        identity = self._open_link()
        if identity != self._identity:
            self._close_link()
            was = self._identity
            raise InstrumentError(
                f"{self.prefix}: {identity.model} {identity.serial} ({identity.firmware}) answers where "
                f"{was.model} {was.serial} ({was.firmware}) was before"
                if was is not None
                else f"{self.prefix}: not connected"
            )
        self._link_open = True


def hinted_text(device: Device) -> str:
    """Hinted signals of a device with their units."""
    shown = [(name, getattr(device, name)) for name in device.read_attrs]
    hinted = [s for _, s in shown if isinstance(s, Column) and s.kind == Kind.hinted]
    return ", ".join(f"{signal.get():.6g} {signal.units}" for signal in hinted)
