"""The half of the Eurotherm driver that looks: its link, its signals, and what is wrong as alarms."""

from __future__ import annotations

from math import nan
from typing import Any

from ophyd import Component

from devices.columns import Column, ColumnSpec
from devices.eurotherm_link import ControllerReading, EurothermLink
from devices.eurotherm_registers import TROUBLES, Status
from devices.modbus import ModbusLink
from devices.polled_instrument import PolledInstrument
from devices.protocols import Identity

_NO_READING = ControllerReading(nan, nan, nan, nan, Status.NO_ANSWER)


class EurothermReadings(PolledInstrument[ControllerReading]):
    """A temperature controller that is read every `period_second` of wall time.

    `status` carries the instrument's own bits (register 75), and bit 16 when there is no reading; 0 is good.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or `socket://host:port`.
        protocol: `rtu`, or `tcp` for a Modbus TCP gateway.
        unit: the instrument's address on its bus.
        baudrate: bits per second of a device path; 8 data bits, 1 stop bit.
        parity: `none`, `even` or `odd`.
        answer_timeout_second: how long an answer may take (wall time).
        gap_second: rest between answer and next question (RTU; wall time); 20 to 100 ms are asked for.
        decimals: of temperatures, for an instrument that does not tell.
        options: as for every polled instrument: name, clock, limits, period_second, on_alarm.
    """

    temperature_celsius = Component(
        Column, spec=ColumnSpec("temperature_celsius", "float", "degC"), value=nan, kind="hinted"
    )
    setpoint_celsius = Component(
        Column, spec=ColumnSpec("setpoint_celsius", "float", "degC"), value=nan, kind="normal"
    )
    working_setpoint_celsius = Component(
        Column, spec=ColumnSpec("working_setpoint_celsius", "float", "degC"), value=nan, kind="normal"
    )
    output_percent = Component(
        Column, spec=ColumnSpec("output_percent", "float", "%"), value=nan, kind="normal"
    )
    status = Component(Column, spec=ColumnSpec("status", "integer", "1"), value=0, kind="normal")
    eeprom_writes = Component(
        Column, spec=ColumnSpec("eeprom_writes", "integer", "1"), value=0, kind="config"
    )

    def __init__(
        self,
        address: str,
        *,
        protocol: str = "rtu",
        unit: int = 1,
        baudrate: int = 9600,
        parity: str = "none",
        answer_timeout_second: float = 0.5,
        gap_second: float = 0.02,
        decimals: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        modbus = ModbusLink(
            address,
            protocol=protocol,
            unit=unit,
            baudrate=baudrate,
            parity=parity,
            timeout_second=answer_timeout_second,
            gap_second=gap_second,
            four_reads_too=True,
        )
        self._controller = EurothermLink(modbus, decimals=decimals)

    def metadata(self) -> dict[str, Any]:
        """Identity, address and limits in force, for the start document."""
        if self._identity is None:
            return super().metadata()
        setup = self._controller.setup
        limits = {
            "temperature_max_celsius": self.limits.temperature_max_celsius,
            "setpoint_low_celsius": setup.low_celsius,
            "setpoint_high_celsius": setup.high_celsius,
        }
        return {**super().metadata(), "limits": limits}

    # ---- reader thread
    def _open_link(self) -> Identity:
        try:
            return self._controller.open()
        except BaseException:
            self._controller.close()
            raise

    def _close_link(self) -> None:
        self._controller.close()

    def _measure(self) -> ControllerReading:
        return self._controller.read()

    def _show(self, value: ControllerReading | None) -> None:
        shown = value or _NO_READING
        self.temperature_celsius.put(shown.temperature_celsius)
        self.setpoint_celsius.put(shown.setpoint_celsius)
        self.working_setpoint_celsius.put(shown.working_setpoint_celsius)
        self.output_percent.put(shown.output_percent)
        self.status.put(int(shown.status))
        if value is not None:
            self._raise_troubles(value)

    def _raise_troubles(self, value: ControllerReading) -> None:
        here = value.temperature_celsius
        for trouble in TROUBLES:
            self.alarms.update(trouble.kind, bool(value.status & trouble.bits), trouble.words, value=here)
        self.alarms.update(
            "remote_setpoint_lost",
            self._controller.tracking is not None and bool(value.status & Status.REMOTE_FAILED),
            "the remote setpoint came too late: the controller went back to its own",
            value=value.setpoint_celsius,
        )
