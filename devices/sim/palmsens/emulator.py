"""The emulated PalmSens EmStat4 HR: its communication protocol, around the MethodSCRIPT interpreter.

It answers as the instrument does: the first letter of the command and the result, or `<letter>!XXXX`; after
an error it is deaf for a while. Emulated is a unit without a licence for voltammetry; such commands are
refused with 4034 and missing from the capabilities.

What the published texts leave open is answered so: an abort ends the measurement loop with `*`; a run-time
error is the last line of a script's output; a change of the control mode opens the circuit; the set potential
of `meas_loop_ca` and the set current of `meas_loop_cp` have the types da and db, without metadata, as in the
vendor's samples; `time(t)` of an impedance loop is what `timer_get` would say at each point.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import TwoPole
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.palmsens.grammar import communication_capabilities, script_capabilities
from devices.sim.palmsens.parser import ScriptParser
from devices.sim.palmsens.potentiostat import Potentiostat
from devices.sim.palmsens.run import ScriptRun
from devices.sim.palmsens.syntax import Script, ScriptError
from devices.sim.unattended_current import UnattendedCurrent
from devices.sim.wire.emulator import OnWire
from devices.sim.wire.faults import FaultyOutlet, Within, check_arguments, line_fault
from devices.sim.wire.wire import Wire

UNKNOWN_COMMAND, UNKNOWN_REGISTER, READ_ONLY, WRONG_MODE = 0x0003, 0x0004, 0x0005, 0x0006
LINE_TOO_LONG, NO_SCRIPT, BAD_LENGTH, NOT_HEXADECIMAL = 0x0008, 0x000C, 0x0053, 0x006D
LONGEST_LINE = 255
DEAF_WALL_SECOND = 0.075  # published: 50 to 100 ms after an error
GAP_SECOND = 1.0  # virtual time between the end of a program and the start of the next
_PERIPHERAL_REGISTER, _SERIAL_REGISTER = 0x01, 0x06
_REGISTER = re.compile(r"([GS])([0-9A-Fa-f]{2})([0-9A-Fa-f]*)\Z")


class EmStat4(OnWire):
    """One instrument with its wire; `seed` decides its noise and its serial number."""

    def __init__(
        self,
        clock: VirtualClock,
        record: BenchRecord,
        *,
        seed: int,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._clock, self._record = clock, record
        self.potentiostat = Potentiostat(record, seed, lambda: clock.now)
        self.wire = Wire(self.feed)
        self._outlet = FaultyOutlet(self.wire, seed)
        self._serial = f"ES4HR00S{seed % 10_000:04d}"  # no real unit has S in this place
        self._pending = bytearray()
        self._deaf_until_wall = 0.0
        self._upload: tuple[str, ScriptParser] | None = None
        self._loaded: Script | None = None
        self._stored: Script | None = None
        self._registers = {_PERIPHERAL_REGISTER: "00000000"}
        self._run: ScriptRun | None = None
        self._task: asyncio.Task[None] | None = None
        self._rebooting: asyncio.Task[None] | None = None
        self._unattended = UnattendedCurrent(
            clock,
            lambda: self.potentiostat.closed and not self.running,
            lambda now: self.potentiostat.leads.advance_to(now),
        )
        self._programs = 0
        self._program_end_second = clock.now

    @property
    def running(self) -> bool:
        """Whether a script runs."""
        return self._run is not None

    @property
    def circuit_closed(self) -> bool:
        """Whether the cell switch is closed."""
        return self.potentiostat.closed

    def connect_leads(self, leads: TwoPole, reason: str) -> None:
        """Put a cell onto the leads, circuit open."""
        self.potentiostat.cell_off(reason)
        self.potentiostat.leads = leads

    async def close(self) -> None:
        """Power off: the script ends, the circuit opens."""
        await self._power_off("power off")
        self._unattended.close()
        self._outlet.stop()
        await self.wire.close()

    # ---- faults
    def inject(self, fault: str, /, **arguments: Any) -> None:
        """Arm a fault: of the line (see faults.LINE_FAULTS), `clear`, or of the instrument itself.

        `error` (with `code`) stops the running script as the instrument would; `reboot` opens the circuit,
        forgets scripts, registers and the link.

        Raises:
            ValueError: no such fault, or an impossible argument.
        """
        own = {"clear": self._outlet.clear, "error": self._fail, "reboot": self._begin_reboot}.get(fault)
        if own is None:
            self._outlet.arm(line_fault(fault, arguments))
        else:
            check_arguments(fault, own, arguments)
            own(**arguments)
        self._record.add("fault", fault=fault, **arguments)

    def _fail(self, code: Annotated[int, Within(1, 0xFFFF)] = 0x0001) -> None:
        if self._run is None:
            raise ValueError("fault = 'error': no script runs that could fail")
        self._run.requests.fail(code)

    def _begin_reboot(self) -> None:
        self._rebooting = asyncio.get_running_loop().create_task(self._reboot())

    async def _reboot(self) -> None:
        self.wire.drop()
        await self._power_off("reboot")
        self._registers = {_PERIPHERAL_REGISTER: "00000000"}
        self._upload = self._loaded = None
        self._pending.clear()

    async def _power_off(self, reason: str) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.potentiostat.reset(reason)

    # ---- input
    def feed(self, data: bytes) -> None:
        """Bytes from the host."""
        if asyncio.get_running_loop().time() < self._deaf_until_wall:
            return
        self._pending += data
        while b"\n" in self._pending:
            line, _, rest = self._pending.partition(b"\n")
            self._pending = rest
            self._take_line(line.decode("latin-1"))
        if len(self._pending) > LONGEST_LINE:
            self._refuse(chr(self._pending[0]), LINE_TOO_LONG)

    def _take_line(self, line: str) -> None:
        if len(line) > LONGEST_LINE:
            self._refuse(self._upload[0] if self._upload else line[0], LINE_TOO_LONG)
        elif self._upload is not None:
            self._take_script_line(*self._upload, line)
        elif not line:
            if not self.running:
                self._reply("")
        elif self.running:
            self._command_while_running(line)
        else:
            self._command(line)

    def _take_script_line(self, letter: str, parser: ScriptParser, line: str) -> None:
        try:
            if line:
                parser.feed(line)
                return
            self._loaded = parser.finish()
        except ScriptError as error:
            self._upload = None
            self._reply(letter + error.wire_text())
            self._go_deaf()
            return
        self._upload = None
        self._reply(letter)
        if letter == "e":
            self._start(self._loaded)

    def _command(self, line: str) -> None:
        answers = {
            "t": "es4_hr1500#Mar 12 2026 14:28:01\nR*",
            "i": self._serial,
            "v": "01.09.00",
            "CC": communication_capabilities(),
            "CM": script_capabilities(),
        }
        if line in answers:
            self._reply(line[0] + answers[line])
        elif line in ("e", "l"):
            self._upload = (line, ScriptParser())
        elif line in ("r", "Fmscr", "Lmscr"):
            self._use_script(line)
        elif line in ("Z", "Y", "h", "H", "R"):
            self._refuse(line, WRONG_MODE)  # no script is running
        elif line[0] in "GS" and (match := _REGISTER.match(line)):
            self._register(match[1], int(match[2], 16), match[3])
        else:
            self._refuse(line[0], UNKNOWN_COMMAND)

    def _command_while_running(self, line: str) -> None:
        requests = self._run.requests if self._run else None
        if requests is None or line not in ("Z", "Y", "h", "H") or (line == "Y" and not requests.measuring):
            self._refuse(line[0], WRONG_MODE)
            return
        self._reply(line)
        if line == "Y":
            requests.stop_loop()
        else:
            {"Z": requests.abort, "h": requests.halt, "H": requests.resume}[line]()

    def _use_script(self, line: str) -> None:
        script = self._stored if line == "Lmscr" else self._loaded
        if script is None:
            self._refuse(line[0], NO_SCRIPT)
            return
        self._reply(line[0])
        if line == "Fmscr":
            self._stored = script
        elif line == "Lmscr":
            self._loaded = script
        else:
            self._start(script)

    def _register(self, letter: str, number: int, value: str) -> None:
        if number not in (_PERIPHERAL_REGISTER, _SERIAL_REGISTER):
            self._refuse(letter, UNKNOWN_REGISTER)
        elif letter == "G":
            self._reply("G" + (self._serial if number == _SERIAL_REGISTER else self._registers[number]))
        elif number == _SERIAL_REGISTER:
            self._refuse(letter, READ_ONLY)
        elif len(value) != len(self._registers[number]):
            self._refuse(letter, BAD_LENGTH)
        else:
            self._registers[number] = value.upper()
            self._reply("S")

    # ---- output
    def _reply(self, text: str) -> None:
        self._outlet.write_line(text)

    def _refuse(self, letter: str, code: int) -> None:
        self._upload = None
        self._reply(f"{letter}!{code:04X}")
        self._go_deaf()

    def _go_deaf(self) -> None:
        self._pending.clear()
        self._deaf_until_wall = asyncio.get_running_loop().time() + DEAF_WALL_SECOND

    # ---- scripts
    def _start(self, script: Script) -> None:
        """A program starts GAP_SECOND after the last one ended, so that a slow host adds no rest."""
        is_program = script.measures()
        self._programs += is_program
        self.potentiostat.use_noise_of(self._programs if is_program else 0)
        earliest = self._program_end_second + GAP_SECOND if is_program else self._clock.now
        start = max(earliest, self._clock.now)
        self._run = ScriptRun(script, self._clock, self.potentiostat, self._outlet, start)
        if is_program:
            self._record.add("program", virtual_second=start, state="start", number=self._programs)
        self._task = asyncio.get_running_loop().create_task(self._follow(self._run, is_program))
        self._task.add_done_callback(_report_failure)

    async def _follow(self, run: ScriptRun, is_program: bool) -> None:
        reason = "failed, see bench.log"
        try:
            reason = await run.run()
        except asyncio.CancelledError:
            reason = "power lost"
            raise
        finally:
            self._run = None
            if reason.startswith("error"):
                self._go_deaf()
            if is_program:
                self._program_end_second = run.now_second
                self._record.add(
                    "program",
                    virtual_second=run.now_second,
                    state="end",
                    number=self._programs,
                    reason=reason,
                )
            self._unattended.look(after_program=True)


def _report_failure(task: asyncio.Task[None]) -> None:
    """A fault of the emulator itself goes to the log at once."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a script run failed", "exception": error}
        )
