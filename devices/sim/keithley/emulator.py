"""The emulated Keithley 2450, 2460 or 2461: SCPI over a socket, around its analog side and trigger model.

After power on or *RST the output is off in the NORMAL mode: the unit then sources 0 V and discharges the cell
on its leads. Emulated is what a driver or a careful user needs for cycling; other headers give -113, as wrong
ones do. What the published texts leave open is answered so: ABORt leaves the output as it is; settings cannot
be changed while the trigger model runs (-221); a query that is refused gives no answer at all.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Annotated, Any

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import TwoPole
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.keithley.actions import ActionCommands
from devices.sim.keithley.pace import AbortError, ModelError
from devices.sim.keithley.run import Machine, ModelRun
from devices.sim.keithley.scpi import (
    INIT_IGNORED,
    MISSING_PARAMETER,
    SETTINGS_CONFLICT,
    CommandTable,
    Request,
    ScpiError,
    choice,
    requests,
)
from devices.sim.keithley.setting_commands import SettingCommands
from devices.sim.keithley.settings import MODELS
from devices.sim.keithley.source_measure_unit import READING_FAULTS
from devices.sim.keithley.state import KeithleyState
from devices.sim.keithley.trigger_model import TriggerModel
from devices.sim.unattended_current import UnattendedCurrent
from devices.sim.wire.emulator import OnWire
from devices.sim.wire.faults import FaultyOutlet, Within, check_arguments, line_fault
from devices.sim.wire.wire import Wire
from labctl.errors import DeviceError

GAP_SECOND = 1.0  # virtual time between the end of a program and the start of the next
LONGEST_MESSAGE_BYTE = 65536
_POLLS_WITHOUT_FETCHING = 20  # a host that only looks on does not stop time
_QUIET_WALL_SECOND, _TURNS = 0.3, 10  # turns of the loop in which a run that can go on does
_FIXED_WHILE_RUNNING = (
    *(":SOUR", ":SENS", ":CURR", ":VOLT", ":FUNC", ":CONF", ":TRIG"),
    *(":TRAC:MAKE", ":TRAC:DEL", ":TRAC:POIN", ":TRAC:FILL"),
)


class Keithley2450Emulator(OnWire):
    """One unit with its wire; `seed` decides its noise and its serial number."""

    def __init__(
        self,
        clock: VirtualClock,
        record: BenchRecord,
        *,
        seed: int,
        surroundings: Surroundings | None = None,
        model: str = "2450",
        language: str = "SCPI",
    ) -> None:
        self._clock, self._record, self._language = clock, record, language
        self.state = KeithleyState(MODELS[model], record, seed, lambda: clock.now)
        self._serial = f"0{9_000_000 + seed % 1_000_000}"
        self.wire = Wire(self.feed)
        self._outlet = FaultyOutlet(self.wire, seed)
        self._table = CommandTable()
        SettingCommands(self.state, self._table)
        ActionCommands(self.state, self, self._table)
        self._table.add("*IDN?", lambda: f"KEITHLEY INSTRUMENTS,MODEL {model},{self._serial},1.7.12b")
        self._table.add("*LANG?", lambda: self._language)
        self._table.add("*LANG", self._set_language)
        self._pending = bytearray()
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._server: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.run: ModelRun | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._awaited = False  # somebody waits for the end of the run by *WAI or *OPC?
        self._polls = 0
        self._unattended = UnattendedCurrent(
            clock,
            lambda: self.state.settings.output and self.circuit_closed and self.run is None,
            lambda now: self.state.unit.advance_to(now),
        )
        self._programs = 0
        self._program_end_second = clock.now

    # ---- what the bench asks
    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        port = await super().open()
        self._server = asyncio.get_running_loop().create_task(self._serve())
        self._server.add_done_callback(_report_failure)
        return port

    def open_pty(self) -> str:
        """There is none."""
        raise DeviceError("a Keithley 2450 has no serial port; use its socket address")

    @property
    def running(self) -> bool:
        """Whether the trigger model runs."""
        return self.run is not None

    @property
    def circuit_closed(self) -> bool:
        """Whether it drives the cell, be it with the output off."""
        return self.state.unit.closed

    def connect_leads(self, leads: TwoPole, reason: str) -> None:
        """Put a cell onto the leads; the output is switched off, and what that means its mode decides."""
        self.state.settings.output = False
        self.state.connect(leads, reason)

    async def close(self) -> None:
        """Power off: the relay opens."""
        await self._power_off()
        self._unattended.close()
        if self._server is not None:
            self._server.cancel()
            await asyncio.gather(self._server, return_exceptions=True)
        self.state.switch_off("power off")
        self._outlet.stop()
        await self.wire.close()

    # ---- faults
    def inject(self, fault: str, /, **arguments: Any) -> None:
        """Arm a fault: of the line (see faults.LINE_FAULTS), `clear`, or of the instrument itself.

        `overrange` and `nan` concern what is measured: `lines` readings after `after_lines` good ones (0: all
        until cleared) are 9.9e37 or 9.91e37 with the questionable bit, for the trigger model too.
        `error` (with `code` and `text`) puts an error into the queue and stops a running trigger model with
        its output as it is; `reboot` opens the relay, then comes back with all settings as after *RST.

        Raises:
            ValueError: no such fault, or an impossible argument.
        """
        own = {"clear": self._clear_faults, "error": self._fail, "reboot": self._begin_reboot}.get(fault)
        if own is not None:
            check_arguments(fault, own, arguments)
            own(**arguments)
        elif fault in READING_FAULTS:
            self.state.unit.faults.arm(line_fault(fault, arguments))
        else:
            self._outlet.arm(line_fault(fault, arguments))
        self._record.add("fault", fault=fault, **arguments)

    def _clear_faults(self) -> None:
        self._outlet.clear()
        self.state.unit.faults.clear()

    def _fail(
        self,
        code: Annotated[int, Within(-32768, 32767)] = 5074,
        text: str = "Overtemperature, output turned off",
    ) -> None:
        self.state.note_error(code, text)
        if self.run is not None:
            self.run.pace.end(ModelError(text))

    def _begin_reboot(self) -> None:
        self._rebooting = asyncio.get_running_loop().create_task(self._reboot())

    async def _reboot(self) -> None:
        self.wire.drop()
        await self._power_off()
        self.state.switch_off("reboot")
        self._pending.clear()
        self.state.power_on("reboot")

    async def _power_off(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # ---- messages
    def feed(self, data: bytes) -> None:
        """Bytes from the host."""
        self._pending += data
        while b"\n" in self._pending:
            line, _, rest = self._pending.partition(b"\n")
            self._pending = rest
            self._messages.put_nowait(line.decode("latin-1").strip())
        if len(self._pending) > LONGEST_MESSAGE_BYTE:
            self._pending.clear()
            self.state.note_error(-363, "Input buffer overrun")

    async def _serve(self) -> None:
        """Messages one after another; the answers of one message come in one line."""
        while True:
            message = await self._messages.get()
            await self._quiet()
            answers: list[str] = []
            try:
                for request in requests(message):
                    answer = await self._answer(request)
                    if answer is not None:
                        answers.append(answer)
            except ScpiError as error:  # what came before it in the message is done, what follows is not
                self.state.note_error(error.code, error.text)
            self._unattended.look()
            if answers:
                self._outlet.write_line(";".join(answers))

    async def _quiet(self) -> None:
        """At full speed the run first gets as far as it may, so that what follows never depends on chance."""
        loop = asyncio.get_running_loop()
        deadline, seen = loop.time() + _QUIET_WALL_SECOND, -1
        while self.run is not None and not self.run.pace.parked and loop.time() < deadline:
            if self.run.pace.progress == seen:
                return  # it waits for time that has to pass
            seen = self.run.pace.progress
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _answer(self, request: Request) -> str | None:
        if self._language != "SCPI" and request.header not in ("*IDN?", "*LANG?", "*LANG"):
            raise ScpiError(-285, "TSP Syntax error")
        if request.header in ("*WAI", "*OPC?", "*OPC"):
            await self._completion()
            return "1" if request.is_query else None
        if self.run is not None and not request.is_query and request.header.startswith(_FIXED_WHILE_RUNNING):
            raise ScpiError(SETTINGS_CONFLICT)
        handler, numbers = self._table.find(request.header)
        try:
            inspect.signature(handler).bind(*numbers, *request.arguments)
        except TypeError:
            raise ScpiError(MISSING_PARAMETER) from None
        return handler(*numbers, *request.arguments)

    async def _completion(self) -> None:
        self._awaited = True
        try:
            await self._idle.wait()
        finally:
            self._awaited = False

    def _set_language(self, text: str) -> None:
        self._language = choice(text, "SCPI", "TSP")

    # ---- the trigger model
    def initiate(self) -> None:
        """Start the trigger model, GAP_SECOND after the last run ended: a slow host adds no rest."""
        if self.run is not None:
            raise ScpiError(INIT_IGNORED)
        state, model = self.state, self.state.trigger_model
        settings = state.settings
        model.check(set(state.buffers), set(settings.source_lists) | set(settings.sense_lists))
        self._programs += 1
        state.unit.use_noise_of(self._programs)
        for timer in state.timers.values():
            timer.stop()
        start = max(self._program_end_second + GAP_SECOND, self._clock.now)
        self.run = self._new_run(model, start)
        self._idle.clear()
        self._record.add("program", virtual_second=start, state="start", number=self._programs)
        self._task = asyncio.get_running_loop().create_task(self._follow(self.run))
        self._task.add_done_callback(_report_failure)

    def _new_run(self, model: TriggerModel, start_second: float) -> ModelRun:
        machine = Machine(self.state.unit, self.state.buffers, self.state.timers)
        return ModelRun(model.blocks, machine, self._clock, start_second, self._nobody_fetches)

    def _nobody_fetches(self) -> bool:
        return self._awaited or not self.wire.connected

    async def _follow(self, run: ModelRun) -> None:
        reason = "power lost"
        try:
            reason = await run.run()
        finally:
            self.run = None
            self.state.trigger_state, self.state.last_block = reason, run.block
            self.state.last_counters = run.counters
            self._program_end_second = run.pace.now_second
            self._record.add(
                "program",
                virtual_second=run.pace.now_second,
                state="end",
                number=self._programs,
                reason=reason,
            )
            self._idle.set()
            self._unattended.look(after_program=True)

    def abort(self) -> None:
        """Stop the trigger model."""
        if self.run is not None:
            self.run.pace.end(AbortError())

    def fetched(self, *, all_readings: bool) -> None:
        """The host has asked for readings, or only how things are."""
        self._polls = 0 if all_readings else self._polls + 1
        if self.run is not None and (all_readings or self._polls >= _POLLS_WITHOUT_FETCHING):
            self._polls = 0
            self.run.pace.grant()


def _report_failure(task: asyncio.Task[None]) -> None:
    """A fault of the emulator itself goes to the log at once."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        asyncio.get_running_loop().call_exception_handler({"message": "emulator failed", "exception": error})
