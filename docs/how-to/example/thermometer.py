"""Driver of a small ASCII thermometer: `T?` gives `23.45 C`, `ID?` gives `Acme T100 4711 1.2`."""

from __future__ import annotations

import re
from math import nan
from typing import Any

from ophyd import Component

from devices.core.columns import Column
from labctl.schema import ColumnSpec
from devices.transport.line_query import LineQuery
from devices.core.polled_instrument import PolledInstrument
from devices.core.protocols import Identity
from devices.transport.serial_line import SerialLine
from labctl.errors import InstrumentError

_READING = re.compile(r"([+-]?\d{1,3}\.\d\d) C\r?")
_NAME = re.compile(r"(\S+) (\S+) (\S+) (\S+)\r?")


class Thermometer(PolledInstrument[float]):
    """A thermometer at a pyserial address; NaN and an alarm when it has no valid reading.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or URL (`socket://host:port`).
        options: as for every polled instrument: name, clock, limits, period_second, on_alarm.
    """

    temperature_celsius = Component(
        Column, spec=ColumnSpec("temperature_celsius", "float", "degC"), value=nan, kind="hinted"
    )

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self._query = LineQuery(
            SerialLine(address, baudrate=9600),
            end=b"\r",
            marker="ID?",
            is_marker=lambda line: _NAME.fullmatch(line) is not None,
        )

    def check_reading(self) -> str:
        """The temperature now."""
        return f"{self.refresh():.2f} °C"

    def _open_link(self) -> Identity:
        self._query.open()
        try:
            return self._query.ask("ID?", _identity)
        except Exception:
            self._query.close()
            raise

    def _close_link(self) -> None:
        self._query.close()

    def _measure(self) -> float:
        return self._query.ask("T?", _celsius)

    def _show(self, value: float | None) -> None:
        self.temperature_celsius.put(nan if value is None else value)


def _identity(line: str) -> Identity | None:
    match = _NAME.fullmatch(line)
    return None if match is None else Identity(*match.groups())


def _celsius(line: str) -> float | None:
    if line.strip() == "OPEN":
        raise InstrumentError("the sensor is broken or not plugged in")
    match = _READING.fullmatch(line)
    return None if match is None else float(match[1])
