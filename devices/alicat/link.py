"""The commands of an Alicat pressure controller; all pressures here are gauge pressures in Pa.

Which command there is depends on the firmware (Alicat Serial Primer): the setpoint is `LS` from 9v00 and `S`
before, its source (`LSS`) and the units (`DCU`) can be asked for from 10v05, the ramp (`SR`) from 7v11.

Each function of `Answers` takes a line and gives None if it is not an answer of this unit to that question.
Shapes: alicatlib's captures of firmware 10v20; for the ramp (`SR`) there is the primer's text only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import nan

from devices.alicat.frames import (
    INVALIDATING,
    STATUS_WORDS,
    VARIABLES,
    Frame,
    Layout,
    Unit,
    find_unit,
    parse_firmware,
    parse_layout,
    parse_manufacturing,
)
from devices.core.protocols import Identity
from devices.transport.line_query import LineQuery
from devices.transport.serial_line import Line
from labctl.errors import InstrumentError, TransportError

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
_VERSION = re.compile(r"\d{1,2}v\d.*")


class Answers:
    """What unit `unit_id` may answer."""

    def __init__(self, unit_id: str) -> None:
        self._id = unit_id

    def fields(self, text: str, count: int | None = None) -> list[str] | None:
        """What follows the unit id, if there are so many fields.

        Raises:
            InstrumentError: the instrument refuses: `?`.
        """
        fields = text.split()
        if fields in (["?"], [self._id, "?"]):
            raise InstrumentError("the instrument does not support this command (?)")
        if not fields or fields[0] != self._id or count not in (None, len(fields) - 1):
            return None
        return fields[1:]

    def version(self, text: str) -> str | None:
        """`A   10v20.0-R24 Jan  9 2025,15:04:07`: all but the unit id."""
        unit_id, _, rest = text.strip().partition(" ")
        return rest.strip() if unit_id == self._id and _VERSION.fullmatch(rest.strip()) else None

    def source(self, text: str) -> str | None:
        """`A S`: the source of the setpoint."""
        fields = self.fields(text, 1)
        return fields[0] if fields and fields[0] in ("S", "A", "U") else None

    def statistic(self, text: str) -> int | None:
        """`A 38`: the statistic code of the controlled variable."""
        fields = self.fields(text, 1)
        return int(fields[0]) if fields and fields[0].isdecimal() else None

    def unit(self, text: str) -> tuple[int, str] | None:
        """`A 10 PSI`: code and label of a unit."""
        fields = self.fields(text, 2)
        return (int(fields[0]), fields[1]) if fields and fields[0].isdecimal() else None

    def amount(self, text: str) -> tuple[float, int, str] | None:
        """`A +600.00 10 PSI`: a number with code and label of its unit."""
        fields = self.fields(text, 3)
        if not fields or not _NUMBER.fullmatch(fields[0]) or not fields[1].isdecimal():
            return None
        return float(fields[0]), int(fields[1]), fields[2]

    def setpoint(self, text: str) -> float | None:
        """`A <setpoint now> <setpoint asked for> <unit code> <unit>`: the one asked for."""
        fields = self.fields(text, 4)
        return float(fields[1]) if fields and _NUMBER.fullmatch(fields[1]) else None

    def ramp(self, text: str) -> tuple[float, int, int] | None:
        """`A 25.0 10 4 PSI/s`: rate, code of its unit of pressure, code of its unit of time."""
        fields = self.fields(text, 4)
        if not fields or not _NUMBER.fullmatch(fields[0]) or not (fields[1] + fields[2]).isdecimal():
            return None
        return float(fields[0]), int(fields[1]), int(fields[2])


LAYOUT_FIRMWARE, RAMP_FIRMWARE, SETPOINT_FIRMWARE, SETTINGS_FIRMWARE = (6, 0), (7, 11), (9, 0), (10, 5)
_ABSOLUTE = 34
_TIME_UNITS = {4: 1.0, 5: 60.0, 6: 3600.0, 7: 86400.0}  # codes of s, min, h, d; seconds
_MILLISECOND = 1e-3  # the remaining time unit, code 3
_RAMP_TOLERANCE = 0.1  # the instrument takes the nearest rate that it can do
_UNITS_ALLOWED = "Pa, hPa, kPa, MPa, mbar, bar and PSI"
_ANALOG = (
    "its setpoint comes from the analog input (ALSS = A), so that setpoints sent to it are ignored without "
    "an error; choose a serial setpoint at the front panel, or send LSS S (saved) or LSS U (unsaved)"
)


@dataclass(frozen=True)
class LineState:
    """The gas line: gauge pressure and setpoint as it stands now (mid-ramp: on its way), Pa; status words."""

    pressure_pa: float
    setpoint_pa: float
    flags: frozenset[str]

    @property
    def held(self) -> bool:
        """Whether the valves are held, so that nothing is regulated."""
        return "HLD" in self.flags


class AlicatLink:
    """Questions to one unit on a line; other units' answers are never taken.

    Args:
        line: with CR as its terminator.
        unit_id: A to Z.
        ambient_pressure_pa: taken off where the instrument regulates absolute pressure.
        timeout_second: how long an answer may take.
    """

    def __init__(
        self, line: Line, unit_id: str, *, ambient_pressure_pa: float, timeout_second: float = 0.5
    ) -> None:
        self._id, self._answers = unit_id, Answers(unit_id)
        self._ambient_pressure_pa = ambient_pressure_pa
        self._query = LineQuery(
            line,
            end=b"\r",
            marker=f"{unit_id}VE",
            is_marker=lambda text: self._answers.version(text) is not None,
            timeout_second=timeout_second,
        )
        self._layout: Layout | None = None
        self._unit = Unit(2, "Pa", 1.0)
        self._ramping = False
        self.firmware = (0, 0)
        self.full_scale_pa = nan  # highest gauge pressure it can regulate; NaN where it does not say
        self.source = (
            ""  # S saved, U unsaved serial setpoint; A analog input; "" where it cannot be asked for
        )

    # ---- connection
    def open(self) -> Identity:
        """Open the port, ask who answers and how it is set; nothing is changed."""
        self._query.open()
        try:
            identity = self._identify()
            self._learn()
        except (TransportError, InstrumentError) as error:
            self._query.close()
            text = str(error).removeprefix(f"{self._query.address}: ")
            raise type(error)(f"{self._query.address}: unit {self._id}: {text}") from error
        return identity

    def close(self) -> None:
        """Close the port."""
        self._query.close()

    def _identify(self) -> Identity:
        version = self._query.ask(f"{self._id}VE", self._answers.version)
        self.firmware = parse_firmware(version) or (0, 0)
        if self.firmware < LAYOUT_FIRMWARE:
            raise InstrumentError(f"firmware {version!r} is not supported; 6v00 or later is needed")
        rows = self._manufacturing()
        model, serial = rows[4].removeprefix("Model Number"), rows[5].removeprefix("Serial Number")
        return Identity("Alicat", model.strip(), serial.strip(), version)

    def _manufacturing(self) -> dict[int, str]:
        rows: dict[int, str] = {}
        for _ in range(2):  # a line may have been damaged
            lines = self._query.listing(f"{self._id}??M*", lambda text: " M09 " in text)
            rows = parse_manufacturing(lines, self._id)
            if 4 in rows and 5 in rows:
                return rows
        raise InstrumentError(f"model and serial number are missing in the answer to ??M*: {rows!r}")

    def _learn(self) -> None:
        """Columns, units, controlled variable, range, source of the setpoint, ramp."""
        self._layout = layout = self._ask_layout()
        if self.firmware >= SETPOINT_FIRMWARE:
            variable = self._query.ask(f"{self._id}LV", self._answers.statistic)
            if variable != layout.variable:
                known = VARIABLES.get(variable, (0, f"statistic {variable}"))[1]
                framed = VARIABLES[layout.variable][1]
                raise InstrumentError(
                    f"it regulates {known} pressure, but its data frame has {framed} pressure"
                )
        self._unit = self._ask_unit()
        self.full_scale_pa = self._ask_full_scale()
        self.ask_source()
        self._ramping = self.firmware >= RAMP_FIRMWARE and self._ask_ramp("") > 0

    def _ask_layout(self) -> Layout:
        try:
            return parse_layout(self._query.listing(f"{self._id}??D*"), self._id)
        except InstrumentError:  # a line may have been damaged
            return parse_layout(self._query.listing(f"{self._id}??D*"), self._id)

    def _ask_unit(self) -> Unit:
        column = self._known().setpoint
        unit, label = column.unit, "that of the data frame"
        if self.firmware >= SETTINGS_FIRMWARE:
            code, label = self._query.ask(f"{self._id}DCU {column.statistic}", self._answers.unit)
            unit = find_unit(code, label)
        if unit is None:
            raise InstrumentError(f"its unit of pressure, {label}, is not known here; {_UNITS_ALLOWED} are")
        if column.unit is not None and column.unit.pascal != unit.pascal:
            raise InstrumentError(f"the data frame is in {column.unit.label}, the setpoint in {unit.label}")
        return unit

    def _ask_full_scale(self) -> float:
        try:
            number, code, label = self._query.ask(
                f"{self._id}FPF {self._known().variable}", self._answers.amount
            )
        except InstrumentError:
            return nan
        unit = find_unit(code, label)
        return nan if unit is None else number * unit.pascal - self._ambient_pa()

    def ask_source(self) -> str:
        """Where the setpoint comes from: S, U (serial, saved or not), A (analog); "" if it cannot tell."""
        if self.firmware >= SETTINGS_FIRMWARE:
            self.source = self._query.ask(f"{self._id}LSS", self._answers.source)
        return self.source

    # ---- readings
    def read(self) -> LineState:
        """Pressure, setpoint and status now.

        Raises:
            InstrumentError: over-range or a defect sensor, in plain words.
            TransportError: no answer; or the units were changed, so that all settings must be learnt again.
        """
        frame = self._query.ask(self._id, self._frame)
        if self.firmware >= SETTINGS_FIRMWARE:  # a data frame does not tell its units
            code, label = self._query.ask(f"{self._id}DCU {self._known().variable}", self._answers.unit)
            if code != self._unit.code:
                raise TransportError(
                    f"{self._query.address}: the units were changed from {self._unit.label} to {label}"
                )
        return self._state(frame)

    def _state(self, frame: Frame) -> LineState:
        bad = ", ".join(f"{flag} ({STATUS_WORDS[flag]})" for flag in sorted(frame.flags & INVALIDATING))
        if bad or frame.pressure != frame.pressure:
            raise InstrumentError(f"{self._query.address}: no valid pressure: {bad or 'dashes for a number'}")
        return LineState(self._to_pa(frame.pressure), self._to_pa(frame.setpoint), frame.flags)

    # ---- orders; each is confirmed by the instrument's own answer
    def set_setpoint(self, gauge_pa: float) -> None:
        """Regulate towards `gauge_pa`, along the ramp if one is set.

        Raises:
            InstrumentError: the instrument did not take it.
        """
        decimals = self._known().setpoint.decimals
        value = round(self._from_pa(gauge_pa), decimals) + 0.0
        text = f"{value:.{decimals}f}"
        taken = (self._set if self.firmware >= SETPOINT_FIRMWARE else self._set_old)(text, value)
        if taken != value:
            raise InstrumentError(
                f"{self._query.address}: requested a setpoint of {text} {self._unit.label}, the instrument "
                f"reports {taken:g}; {self.why_ignored()}"
            )

    def _set(self, text: str, value: float) -> float:
        """The setpoint that the instrument reports, asked again if it is not the wanted one."""
        taken = self._query.ask(f"{self._id}LS {text}", self._answers.setpoint)
        return taken if taken == value else self._query.ask(f"{self._id}LS", self._answers.setpoint)

    def _set_old(self, text: str, value: float) -> float:
        """As `_set`; old firmware tells only how far the ramp is, which must lie on the way."""
        before = self._query.ask(self._id, self._frame).setpoint
        taken = self._query.ask(f"{self._id}S {text}", self._frame).setpoint
        return value if self._ramping and min(before, value) <= taken <= max(before, value) else taken

    def why_ignored(self) -> str:
        """In plain words, why a setpoint is or may not be taken."""
        return _ANALOG if self.source == "A" else "check its limits, and whether the front panel is in use"

    def set_ramp(self, pa_per_second: float) -> None:
        """Let setpoints move at this rate from now on; 0: at once."""
        if self.firmware < RAMP_FIRMWARE:
            if pa_per_second > 0:
                raise InstrumentError(f"{self._query.address}: firmware before 7v11 has no setpoint ramp")
            return
        rate = pa_per_second / self._unit.pascal
        # The shortest time unit in which the rate is not a small number, so that its digits suffice.
        code = next((c for c, second in _TIME_UNITS.items() if rate * second >= 1.0 or rate <= 0), 7)
        taken = self._ask_ramp(f" {rate * _TIME_UNITS[code]:.4f} {code}") / self._unit.pascal
        if abs(taken - rate) > _RAMP_TOLERANCE * rate:
            unit = self._unit.label
            raise InstrumentError(
                f"{self._query.address}: requested {rate:g} {unit}/s, the instrument reports {taken:g}"
            )
        self._ramping = pa_per_second > 0

    def _ask_ramp(self, arguments: str) -> float:
        """The ramp in Pa/s."""
        rate, unit_code, time_code = self._query.ask(f"{self._id}SR{arguments}", self._answers.ramp)
        if unit_code != self._unit.code:
            raise InstrumentError(f"{self._query.address}: the ramp is in units of code {unit_code}")
        return rate * self._unit.pascal / _TIME_UNITS.get(time_code, _MILLISECOND)

    def hold_closed(self) -> LineState:
        """Close all valves: no gas in, none out."""
        return self._raw_state(self._query.ask(f"{self._id}HC", lambda text: self._held(text, True)))

    def hold_position(self) -> LineState:
        """Leave the valves as they are; gas goes on flowing through one that is open."""
        return self._raw_state(self._query.ask(f"{self._id}HP", lambda text: self._held(text, True)))

    def cancel_hold(self) -> LineState:
        """Regulate again."""
        return self._raw_state(self._query.ask(f"{self._id}C", lambda text: self._held(text, False)))

    def _held(self, text: str, held: bool) -> Frame | None:
        frame = self._frame(text)
        return frame if frame is not None and ("HLD" in frame.flags) == held else None

    # ---- answers
    def _frame(self, text: str) -> Frame | None:
        return self._known().frame(text) if self._answers.fields(text) else None

    def _known(self) -> Layout:
        if self._layout is None:
            raise InstrumentError(f"{self._query.address}: the layout of its data frame is not known yet")
        return self._layout

    def _raw_state(self, frame: Frame) -> LineState:
        return LineState(self._to_pa(frame.pressure), self._to_pa(frame.setpoint), frame.flags)

    def _ambient_pa(self) -> float:
        return self._ambient_pressure_pa if self._known().variable == _ABSOLUTE else 0.0

    def _to_pa(self, value: float) -> float:
        return value * self._unit.pascal - self._ambient_pa()

    def _from_pa(self, gauge_pa: float) -> float:
        return (gauge_pa + self._ambient_pa()) / self._unit.pascal
