"""Mark-10 force gauges and indicators (Series 5, 7, 5i, 7i) as load cells, over a serial line or socket.

Gauge Control Language 2 (user's guides of Series 5 and Model 7i): `?C` asks for the reading of this moment,
whatever the display shows (it may show a peak), `?` for the displayed one; the answer is `12.345 N` and CR
LF, without the unit if the gauge is set to "numeric only"; errors are `*10` (illegal command) and the like.
Compression is positive unless the gauge is set otherwise. Older gauges (Series 4) know only `?`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import nan
from typing import Any

from ophyd import Component

from devices.core.columns import Column
from devices.core.polled_instrument import PolledInstrument
from devices.core.protocols import Identity
from devices.transport.line_query import LineQuery, NoAnswerError
from devices.transport.serial_line import Line, SerialLine
from labctl.errors import ConfigurationError, InstrumentError, TransportError
from labctl.schema import ColumnSpec

_POUND_FORCE_NEWTON, _KILOGRAM_FORCE_NEWTON = 4.4482216152605, 9.80665
UNITS_NEWTON = {
    "N": 1.0,
    "mN": 1e-3,
    "kN": 1e3,
    "lbF": _POUND_FORCE_NEWTON,
    "ozF": _POUND_FORCE_NEWTON / 16,
    "kgF": _KILOGRAM_FORCE_NEWTON,
    "gF": _KILOGRAM_FORCE_NEWTON * 1e-3,
}
_LISTED_UNITS = {  # as the answer to LIST abbreviates them
    "N": "N", "MN": "mN", "KN": "kN", "LB": "lbF", "LBF": "lbF", "OZ": "ozF", "OZF": "ozF",
    "KG": "kgF", "KGF": "kgF", "G": "gF", "GF": "gF",
}  # fmt: skip
_ERRORS = {
    "10": "illegal command",
    "11": "not applicable",
    "12": "invalid specifier",
    "22": "value too large",
}
_READING = re.compile(r"\s*(?P<number>[+-]?\d+(?:\.(?P<decimals>\d+))?)(?: (?P<unit>[A-Za-z]+))?\r")
_ERROR = re.compile(r"\*(\d\d)\r")
_SETTINGS = re.compile(r"[\w.]+(?:;[\w.]*){3,}\r", re.ASCII)
_NAME = re.compile(r"([!-~][ -~]*)\r")
_NO_VALUE = re.compile(
    r"\s*([+-]?(?:O[VU]ER(?:LOAD)?|OL|NAN|ERR(?:OR)?|NO SENSOR|-{2,}))(?: \S+)?\s*\r", re.I
)
_ILLEGAL = 10
_CHECK_SETTINGS_EVERY = 10  # readings; somebody may press a key
# A line has no checksum, and a digit lost or added in front of a number changes it by more than this share: a
# reading so far from the one before counts only if so many in a row are alike.
_JUMP_SHARE, _JUMP_STEPS = 0.25, 20
_ALIKE, _MOST_QUESTIONS = 3, 8


@dataclass(frozen=True)
class GaugeReading:
    """A reading as the gauge shows it; `unit` is empty if the gauge sends numbers only."""

    value: float
    decimals: int
    unit: str


class Mark10LoadCell(PolledInstrument[float]):
    """A load cell at a pyserial address; `force_newton` is positive in compression.

    Args:
        address: device path (`/dev/ttyUSB0`, `COM3`) or URL (`socket://host:port`).
        unit: of the numbers, for gauges set to "numeric only" (N, kN, lbF, kgF, ...); others send it.
        capacity_newton: of the sensor; beyond it there is no valid reading.
        compression_sign: -1 where the gauge is set to show compression as negative.
        baudrate: as set at the gauge.
        answer_timeout_second: how long an answer may take (wall time).
        line: the way to the gauge, if not a pyserial port.
        options: as for every polled instrument: name, clock, limits (it drives nothing, so none applies),
            period_second, on_alarm.
    """

    force_newton = Component(Column, spec=ColumnSpec("force_newton", "float", "N"), value=nan, kind="hinted")

    def __init__(
        self,
        address: str,
        *,
        unit: str | None = None,
        capacity_newton: float | None = None,
        compression_sign: int = 1,
        baudrate: int = 115200,
        answer_timeout_second: float = 0.5,
        line: Line | None = None,
        **options: Any,
    ) -> None:
        super().__init__(address, **options)
        if unit is not None and unit not in UNITS_NEWTON:
            raise ConfigurationError(self.name, "unit", unit, f"must be one of {', '.join(UNITS_NEWTON)}")
        if compression_sign not in (1, -1):
            raise ConfigurationError(self.name, "compression_sign", compression_sign, "must be 1 or -1")
        if capacity_newton is not None and not capacity_newton > 0:
            raise ConfigurationError(self.name, "capacity_newton", capacity_newton, "must be > 0 N")
        self._unit, self._sign, self._capacity_newton = unit, compression_sign, capacity_newton
        self._query = LineQuery(
            line or SerialLine(address, baudrate=baudrate),
            end=b"\r\n",
            marker="LIST",
            is_marker=lambda text: _settings(text) is not None,
            timeout_second=answer_timeout_second,
        )
        self._question = "?C"
        self._settings: list[str] = []
        self._asked = 0
        self._last: GaugeReading | None = None

    # ---- the reader thread's jobs
    def _open_link(self) -> Identity:
        self._query.open()
        try:
            self._settings = self._ask_settings()
            names = [self._ask_name(question) for question in ("RM", "RS", "RV")]
            self._choose_question()
        except (TransportError, InstrumentError):
            self._query.close()
            raise
        self._last, self._asked = None, 0
        return Identity("Mark-10", *names)

    def _close_link(self) -> None:
        self._query.close()

    def _ask_settings(self) -> list[str]:
        """The fields of `V1.00;LBF;CUR;FLTC8;FLTP1;AOUT00;AOFF5;FULL;MIT;POL;B0`; [] from older gauges."""
        settings = self._query.ask("LIST", _settings)
        listed = _LISTED_UNITS.get(settings[1]) if len(settings) > 1 else None
        if listed is not None and self._unit not in (None, listed):
            raise InstrumentError(
                f"{self.prefix}: the gauge shows {listed}, the station file has {self._unit}; make them agree"
            )
        automatic = next((s for s in settings if re.fullmatch(r"AOUT0*[1-9]\d*", s)), None)
        if automatic is not None:
            raise InstrumentError(
                f"{self.prefix}: the gauge sends readings unasked ({automatic}); switch that off"
            )
        return settings

    def _ask_name(self, question: str) -> str:
        """Model (RM), serial number (RS) or firmware (RV), said twice; "unknown" if it does not tell."""
        name = self._query.ask(question, _name)
        for _ in range(_MOST_QUESTIONS):
            before, name = name, self._query.ask(question, _name)
            if name == before:
                return name
        raise NoAnswerError(f"{self.prefix}: the answers to {question!r} differ; the last was {name!r}")

    def _choose_question(self) -> None:
        """`?C` if the gauge knows it; and whether its numbers have a unit."""
        self._question = "?C"
        try:
            reading = self._query.ask("?C", _reading)
        except InstrumentError as error:
            if error.code != _ILLEGAL:
                return  # overload and the like: connected all the same
            self._question = "?"
            reading = self._query.ask("?", _reading)
        self._factor(reading)

    def _measure(self) -> float:
        reading = self._confirmed()
        self._asked += 1
        if self._settings and (not reading.unit or self._asked % _CHECK_SETTINGS_EVERY == 0):
            settings = self._ask_settings()
            if settings[1:2] != self._settings[1:2]:
                raise TransportError(f"{self.prefix}: the unit was changed to {settings[1:2]}")
        newton = self._sign * reading.value * self._factor(reading)
        if self._capacity_newton is not None and abs(newton) > self._capacity_newton:
            most = self._capacity_newton
            raise InstrumentError(f"{self.prefix}: {newton:.6g} N is beyond the capacity of {most:.6g} N")
        return newton

    def _confirmed(self) -> GaugeReading:
        """A reading that agrees with the one before; after a jump, one of several in a row that agree."""
        before, alike = self._last, 0
        for _ in range(_MOST_QUESTIONS):
            reading = self._query.ask(self._question, _reading)
            alike = alike + 1 if before is not None and _agree(reading, before) else 1
            if alike >= _ALIKE or (self._last is not None and _agree(reading, self._last)):
                self._last = reading
                return reading
            before = reading
        self._last = None
        raise NoAnswerError(f"{self.prefix}: {_MOST_QUESTIONS} readings that differ; the last was {before!r}")

    def _factor(self, reading: GaugeReading) -> float:
        """Newton per unit of the reading."""
        unit = reading.unit or self._unit
        if unit is None:
            raise InstrumentError(
                f"{self.prefix}: the gauge sends numbers without a unit; state it in the option `unit`, or "
                "set the gauge to send units"
            )
        known = unit if unit in UNITS_NEWTON else _LISTED_UNITS.get(unit.upper(), "")
        if known not in UNITS_NEWTON:
            raise InstrumentError(f"{self.prefix}: the gauge shows {unit!r}, which is no unit of force")
        return UNITS_NEWTON[known]

    def _show(self, value: float | None) -> None:
        self.force_newton.put(nan if value is None else value)

    def check_reading(self) -> str:
        """The force now, for `labctl check`."""
        return f"{self.refresh():.1f} N"

    def check_limits(self) -> str:
        """The sensor's capacity if it is known, for `labctl check`."""
        most = self._capacity_newton
        return "none" if most is None else f"up to {most:g} N"

    def metadata(self) -> dict[str, Any]:
        """Identity, address and the gauge's own list of settings, for the start document."""
        return {**super().metadata(), "settings": ";".join(self._settings)}


def _agree(one: GaugeReading, other: GaugeReading) -> bool:
    if (one.unit, one.decimals) != (other.unit, other.decimals):
        return False
    allowed = max(_JUMP_SHARE * max(abs(one.value), abs(other.value)), _JUMP_STEPS * 10.0**-one.decimals)
    return abs(one.value - other.value) <= allowed


def _reading(text: str) -> GaugeReading | None:
    """The reading in a line with its CR; InstrumentError if the gauge reports that it has none."""
    _raise_error(text)
    if no_value := _NO_VALUE.fullmatch(text):
        raise InstrumentError(f"the gauge reports {no_value[1]!r} instead of a value")
    match = _READING.fullmatch(text)
    if match is None:
        return None
    return GaugeReading(float(match["number"]), len(match["decimals"] or ""), match["unit"] or "")


def _settings(text: str) -> list[str] | None:
    if _ERROR.fullmatch(text):
        return []
    return text.strip().split(";") if _SETTINGS.fullmatch(text) else None


def _name(text: str) -> str | None:
    if _ERROR.fullmatch(text):
        return "unknown"
    match = _NAME.fullmatch(text)
    reading = _READING.fullmatch(text)
    other = match is None or ";" in text or (reading is not None and reading["unit"] is not None)
    return None if other or match is None else match[1].strip()


def _raise_error(text: str) -> None:
    if error := _ERROR.fullmatch(text):
        words = _ERRORS.get(error[1], "unknown error")
        raise InstrumentError(f"the gauge answers *{error[1]} ({words})", int(error[1]))
