"""One run of a compiled program on a Keithley unit: start it, drain its buffer, see it end switched off."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isfinite, nan

from devices.core.end_reasons import CURRENT_MAX, UNKNOWN, VOLTAGE_MAX, tripped
from devices.core.program import OnAlarm, OnReading, ProgramRecord, ProgramRun
from devices.core.techniques import AnyTechnique
from devices.keithley.compiler import BUFFER, VOLTAGE_LIMIT, CompiledProgram
from devices.keithley.link import GOING_ON, MANY_DAMAGED_LINES, KeithleyLink
from devices.keithley.replay import ELEMENTS, OVERFLOW, Readings, Replay, parse_readings
from labctl.errors import DeviceError, InstrumentError, TransportError, TripError

_SHORTEST_PAUSE_SECOND, _LONGEST_PAUSE_SECOND = 0.005, 0.1  # between polls, while few readings come
_FIRST_BLOCK_READINGS, _LARGEST_BLOCK_READINGS = 2, 500
# An answer takes the wire for about so long, so that a stop is confirmed in time on a slow one as well.
_SHORTEST_ANSWER_SECOND, _LONGEST_ANSWER_SECOND = 0.25, 0.5
_FULL_READINGS = 8  # with so many at once, more are waiting: ask again without a pause
_ENDED = ("IDLE", "ABORTED")


class KeithleyRun(ProgramRun):
    """Follows one run of the loaded trigger model from its start to the output being off."""

    def __init__(
        self,
        link: KeithleyLink,
        record: ProgramRecord,
        program: CompiledProgram,
        techniques: tuple[AnyTechnique, ...],
        *,
        on_reading: OnReading,
        on_alarm: OnAlarm,
        on_open: Callable[[], None],
    ) -> None:
        super().__init__(record, on_reading=on_reading, on_alarm=on_alarm)
        self._on_open = on_open  # called when the output is seen to be off; readings may still be waiting
        self._link, self._program = link, program
        self._replay = Replay(program, techniques, record, on_reading)
        self._fetched = 0
        self._block_readings = _FIRST_BLOCK_READINGS
        self._off_sent = False
        self._pause_second = _SHORTEST_PAUSE_SECOND

    def follow(self) -> None:
        """Start the model and take in its readings until it has ended with the output off.

        Raises:
            TripError: a limit was passed; the model has switched the output off.
            InstrumentError: the instrument reports an error; the output may still be on.
            TransportError: the link is lost or silent; the output may still be on.
        """
        if self._stop_reason is not None:
            return
        self._link.on_wait, self._link.on_damaged = self._stop_if_asked, self._damaged
        try:
            self._start()
            while self._poll():
                if self._stop_reason is not None:
                    self._link.end_model()
                    break
            self._finish()
        finally:
            self._link.on_wait, self._link.on_damaged = (lambda: None), (lambda line: None)

    def _stop_if_asked(self) -> None:
        """Somebody who wants the circuit open does not wait for an answer that is still on its way."""
        if self._stop_reason is not None and not self._off_sent:
            self._off_sent = True
            self._link.send_off()

    def _start(self) -> None:
        try:
            self._link.command("INIT")
        except DeviceError as error:
            self.started.set_exception(error)
            raise
        self.started.set_result(None)

    # ---- while it runs
    def _poll(self) -> bool:
        """Take in what there is; whether the model still runs."""
        passed_before = self._replay.limit_passed
        state, block, stored = self._state()
        if passed_before is not None and state in GOING_ON:
            self._link.end_model()  # it has not acted on what its own reading says
            return False
        new = self._fetch(stored, until_stopped=True)
        if self._replay.holding:
            self._learn_where_it_ended(block, running=state in GOING_ON)
        elif self._replay.wants_end and state in GOING_ON:
            self._replay.holding = True  # what comes from here on may belong to the next step
            self._link.send("*TRG")
        if state not in GOING_ON:
            if state not in _ENDED:
                raise InstrumentError(f"{self._link.address}: the trigger model is {state.lower()}")
            return False
        self._pause(many=new >= _FULL_READINGS or self._replay.holding)
        return True

    def _pause(self, *, many: bool) -> None:
        """Leave the instrument alone for a while, the longer the less there was; a stop is seen at once."""
        if many:
            self._pause_second = _SHORTEST_PAUSE_SECOND
            return
        self._stop_asked.wait(self._pause_second)
        self._pause_second = min(2 * self._pause_second, _LONGEST_PAUSE_SECOND)

    def _state(self) -> tuple[str, int, int]:
        """State of the model, the block it is in, and how many readings the buffer has.

        Raises:
            InstrumentError: the error queue has something.
        """
        question, text = f'TRAC:ACT? "{BUFFER}";:TRIG:STAT?;:SYST:ERR:COUN?', ""
        for _ in range(MANY_DAMAGED_LINES):
            text = self._link.ask(question)
            answer = text.split(";")
            if len(answer) == 5 and all(answer[place].strip().isdigit() for place in (0, 3, 4)):
                break
            self._damaged(text)
        else:
            raise TransportError(f"{self._link.address}: the state of the program came as {text!r}")
        if answer[4].strip() != "0":
            code, text = self._link.errors()[0]
            raise InstrumentError(f"{self._link.address}: {code}, {text}", code)
        return answer[1].strip().upper(), int(answer[3]), int(answer[0])

    def _fetch(self, stored: int, *, until_stopped: bool = False) -> int:
        """Drain the buffer in blocks that the wire carries in a short time; how many readings came."""
        before = self._fetched
        while self._fetched < stored and not (until_stopped and self._stop_reason is not None):
            first = self._fetched + 1
            last = min(self._fetched + self._block_readings, stored)
            began = time.monotonic()
            readings = self._readings(first, last)
            self._suit_block(len(readings), time.monotonic() - began)
            self._fetched = last
            self._replay.feed(readings, time.time())
        return self._fetched - before

    def _suit_block(self, readings: int, took_second: float) -> None:
        """The number of readings that the next block has."""
        if took_second > _LONGEST_ANSWER_SECOND:
            self._block_readings = max(readings // 2, 1)
        elif took_second < _SHORTEST_ANSWER_SECOND and readings == self._block_readings:
            self._block_readings = min(2 * readings, _LARGEST_BLOCK_READINGS)

    def _readings(self, first: int, last: int) -> Readings:
        for _ in range(MANY_DAMAGED_LINES):
            text = self._link.ask(f'TRAC:DATA? {first}, {last}, "{BUFFER}", {ELEMENTS}')
            readings = parse_readings(text, last - first + 1)
            if readings is not None:
                return readings
            self._damaged(text)
        raise TransportError(f"{self._link.address}: readings {first} to {last} cannot be read")

    def _damaged(self, line: str) -> None:
        self._on_alarm(
            kind="damaged line", source=self._link.address, value=nan, limit=nan,
            action=f"left out {line[:60]!r} and requested again",
        )  # fmt: skip

    def _learn_where_it_ended(self, block: int, *, running: bool) -> None:
        """After *TRG: once the model has left the loop, its counter says how many readings it has made."""
        loop = self._replay.loop
        if loop is None or (running and loop.first_block <= block <= loop.last_block):
            return
        passes = round(self._link.ask_number(f"TRIG:BLOC:BRAN:COUN:COUN? {loop.last_block}"))
        self._replay.release(passes + 1, time.time())  # the last pass does not reach the counter

    # ---- ends
    def _finish(self) -> None:
        """The output seen to be off, and the last readings."""
        if self._link.ask("OUTP?") != "0":
            self._link.command("OUTP OFF")
            if self._link.ask("OUTP?") != "0":
                raise InstrumentError(f"{self._link.address}: the output cannot be switched off")
        self._on_open()
        state, block, stored = self._state()
        self._fetch(stored)
        if self._replay.holding:
            self._learn_where_it_ended(block, running=False)
        limit = self._replay.limit_passed or self._limit_of(block)
        if limit is not None:
            self._replay.close(tripped(limit), time.time())
            raise self._trip_error(limit)
        if not self._replay.finished:
            self._replay.close(self._stop_reason or f"{UNKNOWN} ({state.lower()})", time.time())

    def _limit_of(self, block: int) -> str | None:
        """The limit whose way out the model has taken, should its reading have been lost."""
        if self._replay.finished or self._stop_reason is not None:
            return None
        kind = self._program.exits.get(block)
        if kind is None:
            return None
        return VOLTAGE_MAX if kind == VOLTAGE_LIMIT else CURRENT_MAX

    def _trip_error(self, limit: str) -> TripError:
        value, unit = self._replay.last_measured, "A" if limit.startswith("current") else "V"
        readable = isfinite(value) and abs(value) < OVERFLOW
        return self._trip_at(limit, value, f"{value:g} {unit}" if readable else "a reading out of range")
