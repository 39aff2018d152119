"""PalmSens EmStat4 and EmStat Pico potentiostats: MethodSCRIPT over a serial line or socket."""

from __future__ import annotations

from math import isnan
from typing import Any

from devices.core.cycler import CyclerDevice
from devices.core.program import ProgramRecord, ProgramRun
from devices.core.protocols import Identity
from devices.core.techniques import Program
from devices.palmsens.compiler import compile_program
from devices.palmsens.link import MethodScriptLink
from devices.palmsens.methodscript import parse_package
from devices.palmsens.models import MODELS, SCRIPT_BITS, InstrumentModel, check_program, needed_commands
from devices.palmsens.run import ScriptRun, trouble_of
from devices.transport.serial_line import SerialLine
from labctl.errors import ConfigurationError, DeviceError, InstrumentError, ProtocolError

_CELL_OFF, _OVERLOAD = ["cell_off"], 2
_MEASURE_AT_REST = [
    "var p", "set_pgstat_chan 0", "cell_off", "set_pgstat_mode 3", "set_max_bandwidth 100",
    "meas 100m p ab", "pck_start", "pck_add p", "pck_end",
]  # fmt: skip


_OPEN_CURRENT_RANGE, _OPEN_CURRENT_AMPERE = "100u", 2e-6  # 2 % of the range: its offset, and no test current


class PalmSens(CyclerDevice):
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
        self._expected_model = _known_model(model)
        self._model: InstrumentModel | None = None
        self._capabilities: int | None = None
        self._channel = channel
        self._link = MethodScriptLink(SerialLine(address, baudrate=baudrate))

    def check(self, program: Program) -> None:
        """Refuse, naming technique and field, what instrument, station or cell do not allow."""
        check_program(program, self._model or self._expected_model, self.limits_for(program))
        if self._capabilities is None:
            return
        for number, technique in enumerate(program.techniques, start=1):
            for command in needed_commands(technique):
                if not self._capabilities >> SCRIPT_BITS[command] & 1:
                    firmware = self.identity.firmware if self.identity else "unknown"
                    raise ProtocolError(
                        f"technique {number} ({technique.kind}): the firmware ({firmware}) does not support "
                        f"{command}; a newer one, or a licence, is needed"
                    )

    def _require_model(self) -> InstrumentModel:
        model = self._model or self._expected_model
        if model is None:
            raise DeviceError(f"{self.name}: not connected")
        return model

    def _without_host(self) -> str:
        return (
            "a running script continues within its limits, unless it stops with a run-time error, which "
            "leaves the cell on, or waits for its output to be read"
        )

    # ---- in the reader thread
    def _open_port(self) -> Identity:
        """A script that runs there is ended: while it runs the instrument does not say who it is."""
        identity = self._link.open(take_over=self.take_over)
        if self._identity is None:
            self.found_clock_second, self.found_running = self._clock.now(), self._link.script_was_running
        return identity

    def _set_up(self, identity: Identity) -> None:
        model = MODELS.get(self._link.model_identifier)
        if model is None:
            known = ", ".join(m.name for m in MODELS.values())
            raise InstrumentError(
                f"{self.prefix}: {identity.model!r} is not supported; supported are {known}"
            )
        if self._expected_model is not None and model is not self._expected_model:
            expected = self._expected_model.name
            raise InstrumentError(f"{self.prefix}: the station expects {expected}, but {model.name} answers")
        self._model, self._capabilities = model, self._link.capabilities()

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

    def _load(self, program: Program) -> None:
        self._link.load(
            compile_program(program, self._require_model(), self.limits_for(program), self._channel)
        )

    def _new_run(self, program: Program, record: ProgramRecord) -> ProgramRun:
        return ScriptRun(self._link, record, self._clock, on_reading=self._publish, on_alarm=self._alarm)


def _known_model(name: str | None) -> InstrumentModel | None:
    if name is None:
        return None
    for model in MODELS.values():
        if model.name == name:
            return model
    allowed = ", ".join(model.name for model in MODELS.values())
    raise ConfigurationError("PalmSens", "model", name, f"allowed are {allowed}")
