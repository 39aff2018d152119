"""One run of a compiled script, seen from the host: follow its output, notice silence, end it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from math import nan

from devices.methodscript import Value, parse_package
from devices.methodscript_compiler import step_limit_second, tick_second, time_end_reason
from devices.methodscript_impedance import longest_silence_second
from devices.methodscript_link import MethodScriptLink
from devices.program_record import ProgramRecord
from devices.techniques import Impedance
from labctl.clock import Clock
from labctl.errors import DeviceError, TransportError, TripError

_POLL_SECOND = 0.05  # how soon a request to stop is seen
_LOOP_STOP_SECOND = 0.4  # after that the whole script is aborted
_SILENCE_SECOND = 2.0  # wall time at least, and 3 sampling intervals of the station's clock
_MANY_DAMAGED_LINES = 20
_LAST_FREQUENCY_TOLERANCE = 1.001


class ScriptRun:
    """Follows one script from its start to the empty line that ends it.

    Used by the reader thread only, except for `request_stop`, `started` and `ended`.
    """

    def __init__(
        self,
        link: MethodScriptLink,
        record: ProgramRecord,
        clock: Clock,
        *,
        on_reading: Callable[[float, float], None],
        on_alarm: Callable[..., None],
    ) -> None:
        self._link = link
        self.record = record
        self._clock = clock
        self._on_reading = on_reading
        self._on_alarm = on_alarm
        self.started: Future[None] = Future()
        self.ended = threading.Event()
        self._stop_reason: str | None = None
        self._stop_sent_wall_second: float | None = None
        self._abort_sent = False
        self._trip: str | None = None
        self._loop_open = False
        self._damaged_in_a_row = 0
        self._heard_wall_second = time.monotonic()
        self._heard_clock_second = 0.0

    def request_stop(self, reason: str) -> None:
        """End the program early; the open step gets `reason` as its end reason."""
        if self._stop_reason is None:
            self._stop_reason = reason

    def follow(self) -> None:
        """Start the loaded script and take in its output until it has ended with the cell off.

        Raises:
            TripError: a limit was passed; the script has opened the circuit.
            InstrumentError: the instrument stopped the script with an error; the cell may still be on.
            TransportError: the link is lost or silent; the cell may still be on.
        """
        if self._stop_reason is not None:
            self.started.set_result(None)
            return
        try:
            self._link.start_loaded()
        except DeviceError as error:
            self.started.set_exception(error)
            raise
        self.started.set_result(None)
        self._note_heard()
        while not self._take_in(self._link.read(_POLL_SECOND)):
            self._stop_if_asked()
            self._notice_silence()
        self._close_open_step()
        if self._trip is not None:
            raise self._trip_error(self._trip)

    def close(self) -> None:
        """Whatever happened, nobody waits for the start of this run any more."""
        if not self.started.done():
            self.started.set_result(None)

    def _take_in(self, lines: list[str]) -> bool:
        """Handle `lines`; True at the empty line that ends the script."""
        arrived = time.time()
        for line in lines:
            if not line:
                return True
            self._handle(line, arrived)
        if lines:
            self._note_heard()
            self._on_reading(*self.record.last_reading)
        return False

    def _handle(self, line: str, arrived: float) -> None:
        first = line[0]
        if first == "P":
            self._package(line, arrived)
        elif first == "T":
            self._text(line[1:])
        elif first == "M":
            self._loop_open = True
        elif first == "*":
            self._loop_open = False
        elif first == "!":
            self._link.raise_run_error(line)
        elif line not in ("Y", "Z") and not line.startswith(("Y!", "Z!", "L", "+", "C", "-")):
            self._damaged(line)

    def _package(self, line: str, arrived: float) -> None:
        try:
            values = {value.kind: value for value in parse_package(line)}
            moment = values["eb"].value
        except (TransportError, KeyError):
            self._damaged(line)
            return
        self._damaged_in_a_row = 0
        at_rest = self.record.technique is not None and self.record.technique.kind == "open_circuit"
        if isinstance(self.record.technique, Impedance):
            self._spectrum_package(values, moment, arrived)
            return
        voltage = values.get("ab") or values.get("da") or Value("ab", nan)  # measured, else as applied
        current = values.get("ba") or values.get("db") or Value("ba", 0.0 if at_rest else nan)
        status = voltage.status | current.status
        self.record.sample(moment, voltage.value, current.value, status, arrived)
        if not self._loop_open:
            self._part_closed()

    def _part_closed(self) -> None:
        """The package after a loop: the step has ended, unless it has further parts."""
        technique = self.record.technique
        if technique is None or isinstance(technique, Impedance):
            return
        if self.record.end_reason is not None:
            self.record.end_step(self.record.end_reason)
        elif self.record.step_time_second >= step_limit_second(technique) - 0.75 * tick_second(technique):
            self.record.end_step(time_end_reason(technique))

    def _spectrum_package(self, values: dict[str, Value], moment: float, arrived: float) -> None:
        """One frequency, or the package that tells when the loop ended."""
        technique = self.record.technique
        try:
            frequency, real, imaginary = (values[kind] for kind in ("dc", "cc", "cd"))
        except KeyError:
            self.record.note_time(moment)
            if isinstance(technique, Impedance) and not self._loop_open:
                last = technique.frequency_min_hertz * _LAST_FREQUENCY_TOLERANCE
                if self.record.last_frequency_hertz <= last:
                    self.record.end_step("complete")
            return
        voltage, current = (values.get(kind) or Value(kind, nan) for kind in ("ci", "ck"))
        status = real.status | imaginary.status
        impedance = complex(real.value, imaginary.value)
        self.record.impedance(
            moment, frequency.value, impedance, voltage.value, current.value, status, arrived
        )

    def _text(self, text: str) -> None:
        words = text.split()
        match words:
            case ["step", index, "0"] if index.isdigit():
                self._close_open_step()
                self.record.begin_step(int(index))
            case ["step", _, part] if part.isdigit():
                self.record.begin_part()
            case ["end", "stopped"]:
                self.record.end_step(self._stop_reason or "stopped")
            case ["end", reason]:
                self.record.end_reason = reason
            case ["trip", limit]:
                self._trip = limit
            case _:
                self._damaged("T" + text)

    def _close_open_step(self) -> None:
        """A step that nothing else closed: stopped by the host, tripped, or closed by damaged lines."""
        if self._trip is not None:
            self.record.end_step(f"trip {self._trip}")
        elif self._stop_reason is not None:
            self.record.end_step(self._stop_reason)
        else:
            self.record.end_step(self.record.end_reason or "unknown")

    def _trip_error(self, limit: str) -> TripError:
        voltage, current = self.record.last_reading
        shown = f"{current:g} A" if limit.startswith("current") else f"{voltage:g} V"
        self._on_alarm(
            kind="trip",
            source=limit,
            value=current if limit.startswith("current") else voltage,
            limit=nan,
            action="circuit open",
        )
        return TripError(f"{shown} passed the limit {limit}; the instrument has opened the circuit")

    def _damaged(self, line: str) -> None:
        self._damaged_in_a_row += 1
        self._on_alarm(
            kind="damaged line",
            source=self._link.address,
            value=nan,
            limit=nan,
            action=f"left out {line[:60]!r}",
        )
        if self._damaged_in_a_row >= _MANY_DAMAGED_LINES:
            raise TransportError(
                f"{self._link.address}: {_MANY_DAMAGED_LINES} damaged lines one after another"
            )

    def _stop_if_asked(self) -> None:
        """First end the loop, so that the instrument tells exactly when it ended; then abort the script."""
        if self._stop_reason is None:
            return
        if self._stop_sent_wall_second is None:
            self._stop_sent_wall_second = time.monotonic()
            self._link.stop_loop()
        elif not self._abort_sent and time.monotonic() - self._stop_sent_wall_second > _LOOP_STOP_SECOND:
            self._abort_sent = True
            self._link.abort()

    def _note_heard(self) -> None:
        self._heard_wall_second = time.monotonic()
        self._heard_clock_second = self._clock.now()

    def _notice_silence(self) -> None:
        """Raise when neither wall time nor the station's clock leave room for a healthy instrument."""
        if time.monotonic() - self._heard_wall_second < _SILENCE_SECOND:
            return
        silence = self._clock.now() - self._heard_clock_second
        if silence > self._longest_interval_second() * 3 + _SILENCE_SECOND:
            raise TransportError(f"{self._link.address}: silent for {silence:.1f} s while a program runs")

    def _longest_interval_second(self) -> float:
        technique = self.record.technique
        if technique is None:
            return 1.0
        if isinstance(technique, Impedance):
            return longest_silence_second(technique)
        return max(stage.interval_second for stage in technique.sampling.stages)
