"""One run of a compiled program on a Keithley unit: start it, drain its buffer, see it end switched off."""

from __future__ import annotations

import time
from math import isfinite, nan

from devices.keithley_conditions import VOLTAGE_LIMIT
from devices.keithley_link import GOING_ON, KeithleyLink
from devices.keithley_program import BUFFER, CompiledProgram
from devices.keithley_readings import ELEMENTS, OVERFLOW, Readings, parse_readings
from devices.keithley_replay import Replay
from devices.program_record import ProgramRecord
from devices.program_run import OnAlarm, OnReading, ProgramRun
from devices.techniques import AnyTechnique
from labctl.errors import DeviceError, InstrumentError, TransportError, TripError

_SHORTEST_PAUSE_SECOND, _LONGEST_PAUSE_SECOND = 0.005, 0.1  # between polls, while few readings come
_BLOCK_READINGS = 500
_FULL_READINGS = 8  # with so many at once, more are waiting: ask again without a pause
_ENDED = ("IDLE", "ABORTED")
_DAMAGED_TRIES = 3


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
    ) -> None:
        super().__init__(record, on_reading=on_reading, on_alarm=on_alarm)
        self._link, self._program = link, program
        self._replay = Replay(program, techniques, record, on_reading)
        self._fetched = 0
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
        self._start()
        while self._poll():
            if self._stop_reason is not None:
                self._abort()
                break
        self._finish()

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
        state, block, stored = self._state()
        new = self._fetch(stored)
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
        answer = self._link.ask(f'TRAC:ACT? "{BUFFER}";:TRIG:STAT?;:SYST:ERR:COUN?').split(";")
        if len(answer) != 5 or not all(answer[place].strip().isdigit() for place in (0, 3, 4)):
            raise TransportError(f"{self._link.address}: the state of the program came as {answer!r}")
        if answer[4].strip() != "0":
            code, text = self._link.errors()[0]
            raise InstrumentError(f"{self._link.address}: {code}, {text}", code)
        return answer[1].strip().upper(), int(answer[3]), int(answer[0])

    def _fetch(self, stored: int) -> int:
        """Drain the buffer in blocks; how many readings came."""
        before = self._fetched
        while self._fetched < stored:
            first = self._fetched + 1
            last = min(self._fetched + _BLOCK_READINGS, stored)
            readings = self._readings(first, last)
            self._fetched = last
            self._replay.feed(readings, time.time())
        return self._fetched - before

    def _readings(self, first: int, last: int) -> Readings:
        for _ in range(_DAMAGED_TRIES):
            text = self._link.ask(f'TRAC:DATA? {first}, {last}, "{BUFFER}", {ELEMENTS}')
            readings = parse_readings(text, last - first + 1)
            if readings is not None:
                return readings
            self._on_alarm(
                kind="damaged line", source=self._link.address, value=nan, limit=nan,
                action=f"asked again for readings {first} to {last}",
            )  # fmt: skip
        raise TransportError(f"{self._link.address}: readings {first} to {last} cannot be read")

    def _learn_where_it_ended(self, block: int, *, running: bool) -> None:
        """After *TRG: once the model has left the loop, its counter says how many readings it has made."""
        loop = self._replay.loop
        if loop is None or (running and loop.first_block <= block <= loop.last_block):
            return
        passes = round(self._link.ask_number(f"TRIG:BLOC:BRAN:COUN:COUN? {loop.last_block}"))
        self._replay.release(passes + 1, time.time())  # the last pass does not reach the counter

    # ---- ends
    def _abort(self) -> None:
        """The output stays as it is when a model is aborted, so that it is switched off as well."""
        self._link.end_model("OUTP OFF")

    def _finish(self) -> None:
        """The last readings, and the output seen to be off."""
        state, block, stored = self._state()
        self._fetch(stored)
        if self._replay.holding:
            self._learn_where_it_ended(block, running=False)
        if self._link.ask("OUTP?") != "0":
            self._link.command("OUTP OFF")
            if self._link.ask("OUTP?") != "0":
                raise InstrumentError(f"{self._link.address}: the output cannot be switched off")
        limit = self._replay.limit_passed or self._limit_of(block)
        if limit is not None:
            self._replay.close(f"trip {limit}", time.time())
            raise self._trip_error(limit)
        if not self._replay.finished:
            self._replay.close(self._stop_reason or f"unknown ({state.lower()})", time.time())

    def _limit_of(self, block: int) -> str | None:
        """The limit whose way out the model has taken, should its reading have been lost."""
        if self._replay.finished or self._stop_reason is not None:
            return None
        kind = self._program.exits.get(block)
        if kind is None:
            return None
        return "voltage_max" if kind == VOLTAGE_LIMIT else "current_max"

    def _trip_error(self, limit: str) -> TripError:
        value, unit = self._replay.last_measured, "A" if limit.startswith("current") else "V"
        readable = isfinite(value) and abs(value) < OVERFLOW
        return self._trip_at(limit, value, f"{value:g} {unit}" if readable else "a reading out of range")
