"""Keithley 2450, 2460 and 2461 source-measure units as cyclers: SCPI over VISA.

Commands are those of the reference manuals 2450-901-01 and 2461-901-01. Not verified on an instrument,
because the manuals leave it open:
* whether a new output-off mode takes effect at once while the output is off. After power on it is NORMAL,
  which sources 0 V: connect the cell only after the driver has connected;
* whether recalling a list entry of the other source function keeps the output on; each technique switches it
  on again, so that at worst the circuit is open for some milliseconds between techniques;
* that ABORt leaves the output as it is; it is always followed by OUTP OFF;
* that a branch to block 0 ends the model (as in published programs), and that a model has up to 63 blocks;
* which block number TRIG:STAT? gives after the end (used only when readings were lost);
* how long a measurement takes: nominally two conversions, now and then two more for the references.
"""

from __future__ import annotations

from typing import Any

from devices.core.cycler import CyclerDevice
from devices.core.models import ModelChoice
from devices.core.program import ProgramRecord, ProgramRun
from devices.core.protocols import Identity
from devices.core.take_over import output_is_on, program_is_running
from devices.core.techniques import Program
from devices.keithley.compiler import BUFFER, MEASURE_LIST, SOURCE_LIST, CompiledProgram, compile_program
from devices.keithley.link import GOING_ON, KeithleyLink
from devices.keithley.models import MODELS, WIDEST_VOLT, check_program
from devices.keithley.replay import OVERFLOW
from devices.keithley.run import KeithleyRun
from devices.keithley.settings import (
    SourceMeasureSettings,
    current_limit_ampere,
    settings_idle,
    voltage_limit_volt,
)
from devices.keithley.timing import LONGEST_REST_TICK_SECOND, LONGEST_TICK_SECOND
from devices.transport.visa_line import VisaLine
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, TransportError
from labctl.records.limits import Limits

_SAME = 1e-4  # relative difference between a limit and what is read back
_MAKE_ROOM = ("defbuffer1", "defbuffer2")
_SMALLEST_BUFFER = 10
_HOST_CHECKED = ("open_circuit.until_drift_volt_per_hour", "constant_voltage.until_charge_ah")


class Keithley2450(CyclerDevice[CompiledProgram]):
    """A source-measure unit at a VISA resource, connected to the cell by four wires.

    Args:
        address: `TCPIP::host::5025::SOCKET`, `USB0::0x05E6::0x2450::serial::INSTR`, `GPIB0::18::INSTR`.
        model: expected model ("2450", "2460", "2461"); a different one is refused at connection.
        terminals: "front" or "rear"; None leaves them as they are.
        visa_library: "@py", or "@ivi" for one installed by a vendor.
        options: as for every cycler: name, clock, limits, on_alarm.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str | None = None,
        terminals: str | None = None,
        visa_library: str = "@py",
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        self._model = ModelChoice("Keithley2450", MODELS, model)
        self._terminals = _known_terminals(terminals)
        self._link = KeithleyLink(VisaLine(address, library=visa_library))
        self._line_hertz = 50.0
        self._loaded: CompiledProgram | None = None
        self._limits_read_back: dict[str, float] = {}

    def _compile(self, program: Program, limits: Limits) -> CompiledProgram:
        model = self._model.known
        if model is None:  # it may be any of them: what all can do is checked first
            check_program(program, None, limits)
        return compile_program(program, model or MODELS["2450"], limits, self._line_hertz)

    def _compiled_for(self) -> tuple[object, ...]:
        return self._model.known, self._line_hertz

    def metadata(self) -> dict[str, Any]:
        """Identity, limits as set and as read back, how often they are checked, what the host checks."""
        return {
            **super().metadata(),
            "limits_read_back": dict(self._limits_read_back),
            "limit_check_second": {"current_on": LONGEST_TICK_SECOND, "rest": LONGEST_REST_TICK_SECOND},
            "checked_by_host": list(_HOST_CHECKED),
        }

    @property
    def host_checked(self) -> tuple[str, ...]:
        """Conditions of the prepared program that the host evaluates, because the instrument cannot."""
        return self._loaded.host_checked if self._loaded is not None else ()

    def _without_host(self) -> str:
        ends = f", but not to the ends that the host checks ({', '.join(self.host_checked)})"
        return (
            f"a running trigger model continues within its limits{ends if self.host_checked else ''}; "
            "if none runs, the output stays as it is"
        )

    # ---- connection; in the reader thread
    def _open_port(self) -> Identity:
        return self._link.open(ours=self._identity is not None)

    def _set_up(self, identity: Identity) -> None:
        self._model.take(MODELS.get(identity.model), self.prefix, identity.model)
        try:
            running = self._link.model_state() in GOING_ON
        except TransportError:
            if self.take_over:
                self._link.send_off()
            raise
        if not self.take_over:
            self._require_idle(running)
        self._note_found(running=running)
        self._resynchronise()

    def _require_idle(self, running: bool) -> None:
        if running:
            raise program_is_running(
                self.prefix, "while its trigger model runs, one of labctl's ends by itself at its limits"
            )
        if self._link.ask("OUTP?") != "0":
            raise output_is_on(self.prefix, "trigger model")

    def _resynchronise(self) -> None:
        self._disarm()
        self._set_limits()

    def _disarm(self) -> None:
        """The high-impedance output-off mode before anything else, confirmed; *RST would undo it.

        A trigger model that an earlier host has left behind is ended first: while it runs nothing can be set.
        Its output is switched off in the same write: an instrument whose answers are lost is safe as well.
        """
        self._link.end_model("*CLS")
        self._link.command("OUTP:CURR:SMOD HIMP", "OUTP:VOLT:SMOD HIMP", "OUTP OFF")
        self._confirm_off()

    def _confirm_off(self) -> None:
        answer = self._link.ask("OUTP:CURR:SMOD?;:OUTP:VOLT:SMOD?;:OUTP?")
        if answer != "HIMP;HIMP;0":
            raise InstrumentError(
                f"{self.prefix}: output-off modes (current; voltage) and output are {answer}, but must be "
                "HIMP;HIMP;0: the cell would be discharged with the output off"
            )

    def _set_limits(self) -> None:
        """Protection limits, set and read back; buffers; formats. The output is off."""
        model = self._model.require(self.name)
        volt, ampere = voltage_limit_volt(self.limits), current_limit_ampere(self.limits, model, WIDEST_VOLT)
        self._link.command(
            *settings_idle(1.0).commands,
            f"SOUR:CURR:VLIM {volt:.9g}",
            f"SOUR:VOLT:ILIM {ampere:.9g}",
            *((f"ROUT:TERM {self._terminals}",) if self._terminals else ()),
            "FORM:DATA ASC",
            "FORM:ASC:PREC 16",  # digits enough for host and instrument to decide alike
            *(f'TRAC:POIN {_SMALLEST_BUFFER}, "{name}"' for name in _MAKE_ROOM),
        )
        self._limits_read_back = {
            "voltage_volt": self._read_back("SOUR:CURR:VLIM?", volt),
            "current_ampere": self._read_back("SOUR:VOLT:ILIM?", ampere),
        }
        self._line_hertz = self._link.ask_number("SYST:LFR?")

    def _read_back(self, question: str, wanted: float) -> float:
        found = self._link.ask_number(question)
        if abs(found - wanted) > _SAME * abs(wanted):
            raise InstrumentError(f"{self.prefix}: {question} gives {found:g}, but {wanted:g} was set")
        return found

    def _close_link(self) -> None:
        self._link.close()

    def _switch_off(self) -> None:
        self._link.command("OUTP OFF")
        self._confirm_off()

    def _look_at_open_circuit(self) -> str:
        """The voltage is not measured: that would need the output on."""
        self._confirm_off()
        return "output off and of high impedance, read back, so 0 A; the voltage is not measured with it off"

    def _rest_voltage(self) -> float:
        self._circuit_maybe_closed = True
        try:
            self._link.command(*settings_idle(1.0).commands, "OUTP ON")
            volt = self._link.ask_number('READ? "defbuffer1", READ')
        finally:
            self._switch_off()
            self._circuit_maybe_closed = False
        if not abs(volt) < OVERFLOW:
            raise InstrumentError(f"{self.prefix}: the voltage at rest has no value ({volt:g}): out of range")
        return volt

    # ---- programs; `_load` in the reader thread
    def _load(self, compiled: CompiledProgram) -> None:
        """Settings into configuration lists, blocks into the trigger model; the output stays off."""
        self._loaded = None
        self._confirm_off()
        self._link.send(  # refused when there are none, which does not matter
            f'SOUR:CONF:LIST:DEL "{SOURCE_LIST}"',
            f'SENS:CONF:LIST:DEL "{MEASURE_LIST}"',
            f'TRAC:DEL "{BUFFER}"',
        )
        self._link.errors()
        self._link.command(
            f'SOUR:CONF:LIST:CRE "{SOURCE_LIST}"',
            f'SENS:CONF:LIST:CRE "{MEASURE_LIST}"',
            f'TRAC:MAKE "{BUFFER}", {compiled.buffer_readings}',
        )
        for settings in compiled.settings:
            self._store(settings)
        self._link.command(*settings_idle(1.0).commands)
        self._link.command('TRIG:LOAD "Empty"', *_timer(compiled.base_second), *compiled.blocks)
        self._loaded = compiled

    def _store(self, settings: SourceMeasureSettings) -> None:
        self._link.command(*settings.commands)
        self._read_back(settings.limit_question, settings.limit)
        self._link.command(f'SOUR:CONF:LIST:STOR "{SOURCE_LIST}"', f'SENS:CONF:LIST:STOR "{MEASURE_LIST}"')

    def _new_run(self, program: Program, record: ProgramRecord) -> ProgramRun:
        if self._loaded is None:
            raise DeviceError(f"{self.name}: no program is loaded")
        return KeithleyRun(
            self._link,
            record,
            self._loaded,
            program.techniques,
            on_reading=self._publish,
            on_alarm=self._alarm,
            on_open=self._seen_open,
        )

    def _seen_open(self) -> None:
        self._circuit_maybe_closed = False


def _timer(period_second: float) -> tuple[str, ...]:
    """Timer 1 gives an event each period, from the notify block on."""
    return (
        "TRIG:TIM1:STAT OFF",
        "TRIG:TIM1:COUN 0",
        f"TRIG:TIM1:DEL {period_second:.9g}",
        "TRIG:TIM1:STAR:STIM NOT1",
        "TRIG:TIM1:STAR:GEN OFF",
        "TRIG:TIM1:STAT ON",
    )


def _known_terminals(name: str | None) -> str | None:
    words = {None: None, "front": "FRON", "rear": "REAR"}
    if name not in words:
        raise ConfigurationError("Keithley2450", "terminals", name, 'allowed are "front" and "rear"')
    return words[name]
