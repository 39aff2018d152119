"""One run of a compiled script, seen from the host: follow its output, notice silence, end it early."""

from __future__ import annotations

import time
from math import isfinite, isnan, nan

from devices.core.end_reasons import COMPLETE, STOPPED, UNKNOWN, tripped
from devices.core.program import OnAlarm, OnReading, ProgramRecord, ProgramRun, Trouble
from devices.core.step_time import step_limit_second, time_end_reason
from devices.core.techniques import Impedance, OpenCircuit
from devices.palmsens.compiler import longest_silence_second, tick_second
from devices.palmsens.link import MethodScriptLink
from devices.palmsens.methodscript import OVERLOAD, PackageValue, parse_package
from labctl.clock import Clock
from labctl.errors import DeviceError, TransportError, TripError
from labctl.host_time import HOST

_POLL_SECOND = 0.05  # how soon a request to stop is seen
_LOOP_STOP_SECOND = 0.4  # after that the whole script is aborted
_ABORT_WITHIN_SECOND = 0.8  # after which it is tried over a new connection
_SILENT_INTERVALS, _SILENCE_SECOND = 3, 2.0  # of the station's clock, the longer of the two; 2 s awake
_MANY_DAMAGED_LINES = 20
_LAST_FREQUENCY_TOLERANCE = 1.001


class ScriptRun(ProgramRun):
    """Follows one script from its start to the empty line that ends it."""

    def __init__(
        self,
        link: MethodScriptLink,
        record: ProgramRecord,
        clock: Clock,
        *,
        on_reading: OnReading,
        on_alarm: OnAlarm,
    ) -> None:
        super().__init__(record, on_reading=on_reading, on_alarm=on_alarm)
        self._link, self._clock = link, clock
        self._stop_sent_second: float | None = None  # of HOST.awake_second(), as the next one
        self._abort_sent = False
        self._trip: str | None = None
        self._newest = (nan, nan)  # voltage (V) and current (A); NaN where they are not valid
        self._sent = (nan, nan)  # the same as the instrument sent it, which it compared with its limits
        self._loop_open = False
        self._damaged_in_a_row = 0
        self._heard_second, self._gaps = HOST.look()
        self._heard_clock_second = 0.0

    def follow(self) -> None:
        """Start the loaded script and take in its output until it has ended with the cell off.

        Raises:
            TripError: a limit was passed; the script has opened the circuit.
            InstrumentError: the instrument stopped the script with an error; the cell may still be on.
            TransportError: the link is lost or silent; the cell may still be on.
        """
        if self._stop_reason is not None:
            return
        try:
            self._link.start_loaded()
        except DeviceError as error:
            self.started.set_exception(error)
            raise
        self.started.set_result(None)
        self._note_heard()
        while not self._take_in(self._link.read(_POLL_SECOND)) or self._link.script_runs():
            self._stop_if_asked()
            self._notice_silence()
        while rest := self._link.take_unread():  # what a made-up end of line has hidden
            self._take_in(rest)
        self._close_open_step()
        if self._trip is not None:
            raise self._trip_error(self._trip)

    def _take_in(self, lines: list[str]) -> bool:
        """Handle `lines`; True at an empty line, as it ends the script."""
        arrived = time.time()
        for number, line in enumerate(lines, start=1):
            if not line:  # or an end of line that the wire has made up: then more will come
                self._link.put_back(lines[number:])
                return True
            self._handle(line, arrived)
        if lines:
            self._note_heard()
            self._on_reading(*self._newest)
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
        if not isfinite(moment):  # a row without a time has no place
            self._damaged(line)
            return
        if isinstance(self.record.technique, Impedance):
            self._damaged_in_a_row = 0
            self._spectrum_package(values, moment, arrived)
            return
        at_rest = isinstance(self.record.technique, OpenCircuit)
        voltage = values.get("ab") or values.get("da")  # measured, else as applied
        current = PackageValue("ba", 0.0) if at_rest else values.get("ba") or values.get("db")
        if voltage is None or current is None:
            self._damaged(line)  # its end is missing
            return
        self._damaged_in_a_row = 0
        self._newest = (voltage.reading, current.reading)
        self._sent = (voltage.value, current.value)
        status = voltage.status | current.status
        self.record.sample(moment, *self._newest, status, arrived, _first_trouble(voltage, current))
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

    def _spectrum_package(self, values: dict[str, PackageValue], moment: float, arrived: float) -> None:
        """One frequency, or the package that tells when the loop ended."""
        technique = self.record.technique
        try:
            frequency, real, imaginary = (values[kind] for kind in ("dc", "cc", "cd"))
        except KeyError:
            self.record.note_time(moment)
            if isinstance(technique, Impedance) and not self._loop_open:
                last = technique.frequency_min_hertz * _LAST_FREQUENCY_TOLERANCE
                if self.record.last_frequency_hertz <= last:
                    self.record.end_step(COMPLETE)
            return
        voltage, current = (values.get(kind) or PackageValue(kind, nan) for kind in ("ci", "ck"))
        status = real.status | imaginary.status | voltage.status | current.status
        impedance = complex(real.reading, imaginary.reading)
        if isnan(abs(impedance)):  # the quotient of two phasors: without one of them there is no part of it
            impedance = complex(nan, nan)
        self._newest = (voltage.reading, current.reading)
        self._sent = (voltage.value, current.value)
        trouble = _first_trouble(real, imaginary, voltage, current)
        self.record.impedance(moment, frequency.value, impedance, *self._newest, status, arrived, trouble)

    def _text(self, text: str) -> None:
        words = text.split()
        match words:
            case ["step", index, "0"] if index.isdigit():
                self._close_open_step()
                self.record.begin_step(int(index))
            case ["step", _, part] if part.isdigit():
                self.record.begin_part()
            case ["end", reason] if reason == STOPPED:
                self.record.end_step(self._stop_reason or STOPPED)
            case ["end", reason]:
                self.record.end_reason = reason
            case ["trip", limit]:
                self._trip = limit
            case _:
                self._damaged("T" + text)

    def _close_open_step(self) -> None:
        """A step that nothing else closed: stopped by the host, tripped, or closed by damaged lines."""
        if self._trip is not None:
            self.record.end_step(tripped(self._trip))
        elif self._stop_reason is not None:
            self.record.end_step(self._stop_reason)
        else:
            self.record.end_step(self.record.end_reason or UNKNOWN)

    def _trip_error(self, limit: str) -> TripError:
        """What passed the limit is what the instrument sent, valid or not: an overload may be far beyond."""
        which, unit = (1, "A") if limit.startswith("current") else (0, "V")
        sent = self._sent[which]
        shown = "a reading that did not arrive" if isnan(sent) else f"{sent:g} {unit}"
        return self._trip_at(limit, sent, shown)

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
        if self._stop_sent_second is None:
            self._stop_sent_second = HOST.awake_second()
            self._link.stop_loop()
        elif not self._abort_sent and HOST.awake_second() - self._stop_sent_second > _LOOP_STOP_SECOND:
            self._abort_sent = True
            self._link.abort()

    def _note_heard(self) -> None:
        self._heard_second, self._gaps = HOST.look()
        self._heard_clock_second = self._clock.now()

    def _notice_silence(self) -> None:
        """Raise when neither wall time nor the station's clock leave room for a healthy instrument.

        Only what was said while this process ran can have been heard: after a gap in which it did not
        (labctl.host_time) what waits on the wire is read first, and the silence begins anew.
        """
        now, gaps = HOST.look()
        deaf_second = now - max(self._heard_second, self._stop_sent_second or 0.0)
        if self._abort_sent and deaf_second > _LOOP_STOP_SECOND + _ABORT_WITHIN_SECOND:
            raise TransportError(f"{self._link.address}: no answer to the abort command")
        if now - self._heard_second < _SILENCE_SECOND and gaps == self._gaps:
            return
        silence = self._clock.now() - self._heard_clock_second
        if HOST.look()[1] != self._gaps:
            self._note_heard()
        elif silence > max(_SILENT_INTERVALS * self._longest_interval_second(), _SILENCE_SECOND):
            raise TransportError(f"{self._link.address}: silent for {silence:.1f} s while a program runs")

    def _longest_interval_second(self) -> float:
        technique = self.record.technique
        if technique is None:
            return 1.0
        if isinstance(technique, Impedance):
            return longest_silence_second(technique)
        return max(stage.interval_second for stage in technique.sampling.stages)


_NAMES = {
    "ab": ("voltage", "V"),
    "da": ("set voltage", "V"),
    "ba": ("current", "A"),
    "db": ("set current", "A"),
    "cc": ("real part of the impedance", "ohm"),
    "cd": ("imaginary part of the impedance", "ohm"),
    "ci": ("DC voltage", "V"),
    "ck": ("DC current", "A"),
}


def trouble_of(value: PackageValue) -> Trouble:
    """Why a value without a valid reading has none."""
    name, unit = _NAMES.get(value.kind, (value.kind, ""))
    if value.status & OVERLOAD:
        return Trouble(
            "overload", f"{name} overload; the instrument sent {value.value:g} {unit}", value.value
        )
    return Trouble("no_reading", f"the instrument sent no number as {name}, status {value.status:#x}")


def _first_trouble(*values: PackageValue) -> Trouble | None:
    return next((trouble_of(value) for value in values if isnan(value.reading)), None)
