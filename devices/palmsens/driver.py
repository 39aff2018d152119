"""PalmSens EmStat4 and EmStat Pico potentiostats: MethodSCRIPT over a serial line or socket."""

from __future__ import annotations

from math import isnan
from typing import Any

from devices.core.cycler import CyclerDevice
from devices.core.models import ModelChoice
from devices.core.program import ProgramRecord, ProgramRun
from devices.core.protocols import Identity
from devices.core.techniques import Program
from devices.palmsens.compiler import Script, compile_program
from devices.palmsens.link import MethodScriptLink
from devices.palmsens.methodscript import parse_package
from devices.palmsens.models import MODELS, check_firmware, check_program
from devices.palmsens.run import ScriptRun, trouble_of
from devices.transport.serial_line import SerialLine
from labctl.errors import InstrumentError
from labctl.records.limits import Limits

_CELL_OFF, _OVERLOAD = ["cell_off"], 2
_MEASURE_AT_REST = [
    "var p", "set_pgstat_chan 0", "cell_off", "set_pgstat_mode 3", "set_max_bandwidth 100",
    "meas 100m p ab", "pck_start", "pck_add p", "pck_end",
]  # fmt: skip


_OPEN_CURRENT_RANGE, _OPEN_CURRENT_AMPERE = "100u", 2e-6  # 2 % of the range: its offset, and no test current


class PalmSens(CyclerDevice[Script]):
    """A MethodSCRIPT potentiostat at a pyserial address.

    Args:
        address: device path (`/dev/ttyACM0`, `COM3`) or URL (`socket://host:port`).
        model: expected model (`EmStat4 HR`, ...); a different one is refused at connection.
        channel: channel of a multi-channel instrument, from 0.
        baudrate: of a serial line; 230400 for an EmStat Pico, of no meaning over USB.
        options: as for every cycler: name, clock, limits, on_alarm.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str | None = None,
        channel: int = 0,
        baudrate: int = 921600,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        self._model = ModelChoice("PalmSens", {known.name: known for known in MODELS.values()}, model)
        self._capabilities: int | None = None
        self._channel = channel
        self._link = MethodScriptLink(SerialLine(address, baudrate=baudrate))

    def check(self, program: Program) -> None:
        """Refuse, naming technique and field, what instrument, station or cell do not allow.

        Raises:
            ProtocolError: with what is allowed; nothing was sent.
        """
        if self._model.known is None:  # which ranges a script may name nobody can say yet
            check_program(program, None, self.limits_for(program))
        else:
            super().check(program)

    def _compile(self, program: Program, limits: Limits) -> Script:
        script = compile_program(program, self._model.require(self.name), limits, self._channel)
        if self._capabilities is not None:
            firmware = self.identity.firmware if self.identity else "unknown"
            check_firmware(program, self._capabilities, firmware)
        return script

    def _compiled_for(self) -> tuple[object, ...]:
        return self._model.known, self._channel, self._capabilities

    def _without_host(self) -> str:
        return (
            "a running script continues within its limits, unless it stops with a run-time error, which "
            "leaves the cell on, or waits for its output to be read"
        )

    # ---- in the reader thread
    def _open_port(self) -> Identity:
        """A script that runs there is ended: while it runs the instrument does not say who it is."""
        identity = self._link.open(take_over=self.take_over)
        self._note_found(running=self._link.script_was_running)
        return identity

    def _set_up(self, identity: Identity) -> None:
        self._model.take(MODELS.get(self._link.model_identifier), self.prefix, identity.model)
        self._capabilities = self._link.capabilities()

    def _close_link(self) -> None:
        self._link.close()

    def _switch_off(self) -> None:
        self._link.run_to_end(_CELL_OFF)

    def _resynchronise(self) -> None:
        self._link.resynchronise()

    def _rest_voltage(self) -> float:
        output = self._link.run_to_end(_MEASURE_AT_REST)
        values = [value for line in output if line.startswith("P") for value in parse_package(line)]
        if not values:
            raise InstrumentError(f"{self.prefix}: no reading in {output!r}")
        if isnan(values[-1].reading):
            raise InstrumentError(f"{self.prefix}: no valid voltage: {trouble_of(values[-1]).words}")
        return values[-1].value

    def _look_at_open_circuit(self) -> str:
        """Switch the cell off once more, and measure voltage and current so."""
        output = self._link.run_to_end(
            [
                "var p", "var c", f"set_pgstat_chan {self._channel}", "cell_off", "set_pgstat_mode 3",
                "set_max_bandwidth 100", f"set_range ba {_OPEN_CURRENT_RANGE}",
                "meas 100m p ab", "meas 100m c ba", "pck_start", "pck_add p", "pck_add c", "pck_end",
            ]
        )  # fmt: skip
        values = {v.kind: v for line in output if line.startswith("P") for v in parse_package(line)}
        if not {"ab", "ba"} <= values.keys():
            raise InstrumentError(f"{self.prefix}: the cell is switched off, but no reading in {output!r}")
        volt, current = values["ab"].value, values["ba"]
        seen = f"{volt:.4g} V, {0.0 if abs(current.value) < 1e-9 else current.value:.2g} A"
        if current.status & _OVERLOAD or not abs(current.value) <= _OPEN_CURRENT_AMPERE:
            raise InstrumentError(f"{self.prefix}: the cell is switched off, but current flows: {seen}")
        return f"output off, read back; {seen}"

    def _load(self, compiled: Script) -> None:
        self._link.load(compiled)

    def _new_run(self, program: Program, record: ProgramRecord) -> ProgramRun:
        return ScriptRun(self._link, record, self._clock, on_reading=self._publish, on_alarm=self._alarm)
