"""The commands of an Alicat pressure controller; all pressures here are gauge pressures in Pa.

Which command there is depends on the firmware (Alicat Serial Primer): the setpoint is `LS` from 9v00 and `S`
before, its source (`LSS`) and the units (`DCU`) can be asked for from 10v05, the ramp (`SR`) from 7v11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import nan

from devices.alicat_protocol import (
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
from devices.line_query import LineQuery
from devices.protocols import Identity
from devices.transport import Line
from labctl.errors import InstrumentError, TransportError

LAYOUT_FIRMWARE, RAMP_FIRMWARE, SETPOINT_FIRMWARE, SETTINGS_FIRMWARE = (6, 0), (7, 11), (9, 0), (10, 5)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")
_TIME_UNITS = ((4, 1.0), (5, 60.0), (6, 3600.0), (7, 86400.0))  # code of s, min, h, d; seconds
_RAMP_TOLERANCE = 0.1  # the instrument takes the nearest rate that it can do
_UNITS_ALLOWED = "Pa, hPa, kPa, MPa, mbar, bar and PSI"


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
        self._id = unit_id
        self._ambient_pressure_pa = ambient_pressure_pa
        self._query = LineQuery(
            line,
            end=b"\r",
            marker=f"{unit_id}VE",
            is_marker=self._is_version,
            timeout_second=timeout_second,
        )
        self._layout: Layout | None = None
        self._unit = Unit(2, "Pa", 1.0)
        self._ramping = False
        self.firmware = (0, 0)
        self.full_scale_pa = nan
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
            raise type(error)(f"{self._query.address}: unit {self._id}: {error}") from error
        return identity

    def close(self) -> None:
        """Close the port."""
        self._query.close()

    def _is_version(self, text: str) -> bool:
        return re.fullmatch(rf"{self._id}\s+\d+v\d.*", text.strip()) is not None

    def _identify(self) -> Identity:
        text = self._query.ask(f"{self._id}VE", lambda t: t.strip() if self._is_version(t) else None)
        firmware = parse_firmware(text)
        if firmware is None or firmware < LAYOUT_FIRMWARE:
            raise InstrumentError(f"firmware {text!r} is not supported; 6v00 or later is needed")
        self.firmware = firmware
        for last in (False, True):
            rows = parse_manufacturing(self._query.listing(f"{self._id}??M*"), self._id)
            if 4 in rows and 5 in rows:
                break
            if last:
                raise InstrumentError(f"model and serial number are missing in the answer to ??M*: {rows!r}")
        model, serial = rows[4].removeprefix("Model Number"), rows[5].removeprefix("Serial Number")
        return Identity("Alicat", model.strip(), serial.strip(), text.removeprefix(self._id).strip())

    def _learn(self) -> None:
        """Columns, units, controlled variable, range, source of the setpoint, ramp."""
        self._layout = layout = self._ask_layout()
        if self.firmware >= SETPOINT_FIRMWARE:
            variable = self._query.ask(f"{self._id}LV", lambda t: self._integer(t))
            if variable != layout.variable:
                known = VARIABLES.get(variable, (0, f"statistic {variable}"))[1]
                raise InstrumentError(
                    f"it regulates {known} pressure, but its data frame has the setpoint of "
                    f"{VARIABLES[layout.variable][1]} pressure"
                )
        self._unit = self._ask_unit()
        self.full_scale_pa = self._ask_full_scale()
        self.source = self.ask_source()
        self._ramping = self.firmware >= RAMP_FIRMWARE and self._ask_ramp("") > 0

    def _ask_layout(self) -> Layout:
        try:
            return parse_layout(self._query.listing(f"{self._id}??D*"), self._id)
        except InstrumentError:  # a line may have been damaged
            return parse_layout(self._query.listing(f"{self._id}??D*"), self._id)

    def _ask_unit(self) -> Unit:
        column = self._known().setpoint
        unit, label = column.unit, "the data frame's"
        if self.firmware >= SETTINGS_FIRMWARE:
            code, label = self._query.ask(f"{self._id}DCU {column.statistic}", self._unit_code)
            unit = find_unit(code, label)
        if unit is None:
            raise InstrumentError(f"its unit of pressure, {label}, is not known here; {_UNITS_ALLOWED} are")
        if column.unit is not None and column.unit.pascal != unit.pascal:
            raise InstrumentError(
                f"units of data frame ({column.unit.label}) and setpoint ({unit.label}) differ"
            )
        return unit

    def _ask_full_scale(self) -> float:
        """Highest gauge pressure (Pa) the instrument can regulate; NaN where it does not say."""
        try:
            number, label = self._query.ask(f"{self._id}FPF {self._known().variable}", self._amount)
        except InstrumentError:
            return nan
        if label.upper() not in (self._unit.label.upper(), self._unit.label.upper().rstrip("AGD")):
            raise InstrumentError(f"full scale is given in {label}, the setpoint in {self._unit.label}")
        return self._to_pa(number)

    def ask_source(self) -> str:
        """Where the setpoint comes from: S, U (serial, saved or not), A (analog); "" if it cannot tell."""
        if self.firmware < SETTINGS_FIRMWARE:
            return ""
        self.source = self._query.ask(f"{self._id}LSS", self._letter)
        return self.source

    # ---- readings
    def read(self) -> LineState:
        """Pressure, setpoint and status now.

        Raises:
            InstrumentError: over-range or a defect sensor, in plain words.
            TransportError: no answer; or the units were changed, so that all settings must be learnt again.
        """
        frame = self._query.ask(self._id, self._frame)
        if self.firmware >= SETTINGS_FIRMWARE:
            code, label = self._query.ask(f"{self._id}DCU {self._known().variable}", self._unit_code)
            if code != self._unit.code:
                raise TransportError(
                    f"{self._query.address}: the units were changed from {self._unit.label} to {label}"
                )
        return self._state(frame)

    def _state(self, frame: Frame) -> LineState:
        bad = sorted(frame.flags & INVALIDATING)
        if bad:
            words = ", ".join(f"{flag} ({STATUS_WORDS[flag]})" for flag in bad)
            raise InstrumentError(f"{self._query.address}: no valid pressure: {words}")
        return LineState(self._to_pa(frame.pressure), self._to_pa(frame.setpoint), frame.flags)

    # ---- orders; each is confirmed by the instrument's own answer
    def set_setpoint(self, gauge_pa: float) -> None:
        """Regulate towards `gauge_pa`, along the ramp if one is set.

        Raises:
            InstrumentError: the instrument did not take it.
        """
        column = self._known().setpoint
        value = round(self._from_pa(gauge_pa), column.decimals)
        text = f"{value:.{column.decimals}f}"
        if self.firmware >= SETPOINT_FIRMWARE:
            taken = self._query.ask(f"{self._id}LS {text}", self._requested)
            if taken != value:
                taken = self._query.ask(f"{self._id}LS", self._requested)
        else:
            before = self._query.ask(self._id, self._frame).setpoint
            taken = self._query.ask(f"{self._id}S {text}", self._frame).setpoint
            if self._ramping and min(before, value) <= taken <= max(before, value):
                return  # such firmware tells only how far the ramp is
        if taken != value:
            raise InstrumentError(
                f"{self._query.address}: asked for a setpoint of {text} {self._unit.label}, the instrument reports "
                f"{taken:g}; {self.why_ignored()}"
            )

    def why_ignored(self) -> str:
        """In plain words, why a setpoint may not be taken."""
        if self.source == "A":
            return (
                "its setpoint comes from the analog input (ALSS = A), so that setpoints sent to it are ignored "
                "without a word; choose the serial setpoint at the front panel, or send LSS S (saved) or LSS U"
            )
        return "look for limits of the setpoint, or for somebody at the front panel"

    def set_ramp(self, pa_per_second: float) -> None:
        """Let setpoints move at this rate from now on; 0: at once."""
        if self.firmware < RAMP_FIRMWARE:
            if pa_per_second > 0:
                raise InstrumentError(f"{self._query.address}: firmware before 7v11 has no setpoint ramp")
            return
        per_second = pa_per_second / self._unit.pascal
        # The time unit in which the rate has the most digits while it is a handy number.
        code, second = next(((c, s) for c, s in _TIME_UNITS if per_second * s >= 1.0), _TIME_UNITS[-1])
        if pa_per_second <= 0:
            code, second = _TIME_UNITS[0]
        taken = self._ask_ramp(f" {per_second * second:.4f} {code}") / self._unit.pascal
        if abs(taken - per_second) > _RAMP_TOLERANCE * per_second:
            raise InstrumentError(
                f"{self._query.address}: asked for a ramp of {per_second:g} {self._unit.label}/s, "
                f"the instrument reports {taken:g}"
            )
        self._ramping = pa_per_second > 0

    def _ask_ramp(self, arguments: str) -> float:
        """The ramp in Pa/s."""
        rate, code, unit_code = self._query.ask(f"{self._id}SR{arguments}", self._ramp)
        if unit_code != self._unit.code:
            raise InstrumentError(f"{self._query.address}: the ramp is in units of code {unit_code}")
        return rate * self._unit.pascal / dict(_TIME_UNITS).get(code, 1e-3)

    def hold_closed(self) -> LineState:
        """Close all valves: no gas in, none out."""
        return self._hold("HC")

    def hold_position(self) -> LineState:
        """Leave the valves as they are; gas goes on flowing through a valve that is open."""
        return self._hold("HP")

    def cancel_hold(self) -> LineState:
        """Regulate again."""
        return self._state(self._query.ask(f"{self._id}C", lambda t: self._held(t, False)))

    def _hold(self, command: str) -> LineState:
        frame = self._query.ask(f"{self._id}{command}", lambda t: self._held(t, True))
        return LineState(self._to_pa(frame.pressure), self._to_pa(frame.setpoint), frame.flags)

    def _held(self, text: str, held: bool) -> Frame | None:
        frame = self._frame(text)
        return frame if frame is not None and ("HLD" in frame.flags) == held else None

    # ---- answers
    def _frame(self, text: str) -> Frame | None:
        self._fields(text, 0)
        return self._known().frame(text)

    def _fields(self, text: str, count: int) -> list[str] | None:
        """The fields behind the unit id if there are so many."""
        fields = text.split()
        if fields in (["?"], [self._id, "?"]):
            raise InstrumentError(f"{self._query.address}: the instrument does not know this command (?)")
        return fields[1:] if fields and fields[0] == self._id and len(fields) == count + 1 else None

    def _letter(self, text: str) -> str | None:
        fields = self._fields(text, 1)
        return fields[0] if fields and fields[0] in ("S", "A", "U") else None

    def _integer(self, text: str) -> int | None:
        fields = self._fields(text, 1)
        return int(fields[0]) if fields and fields[0].isdecimal() else None

    def _unit_code(self, text: str) -> tuple[int, str] | None:
        fields = self._fields(text, 2)
        return (int(fields[0]), fields[1]) if fields and fields[0].isdecimal() else None

    def _amount(self, text: str) -> tuple[float, str] | None:
        fields = self._fields(text, 3)
        return (float(fields[0]), fields[2]) if fields and _NUMBER.fullmatch(fields[0]) else None

    def _requested(self, text: str) -> float | None:
        """The setpoint that was asked for, in `<setpoint now> <setpoint asked for> <unit code> <unit>`."""
        fields = self._fields(text, 4)
        return float(fields[1]) if fields and _NUMBER.fullmatch(fields[1]) else None

    def _ramp(self, text: str) -> tuple[float, int, int] | None:
        """Rate, code of its time unit, code of its unit of pressure."""
        fields = self._fields(text, 4)
        if not fields or not _NUMBER.fullmatch(fields[0]) or not (fields[1] + fields[2]).isdecimal():
            return None
        return float(fields[0]), int(fields[2]), int(fields[1])

    def _known(self) -> Layout:
        if self._layout is None:
            raise InstrumentError(f"{self._query.address}: the data frame's layout is not known yet")
        return self._layout

    def _ambient_pa(self) -> float:
        return self._ambient_pressure_pa if self._known().variable == 34 else 0.0

    def _to_pa(self, value: float) -> float:
        return value * self._unit.pascal - self._ambient_pa()

    def _from_pa(self, gauge_pa: float) -> float:
        return (gauge_pa + self._ambient_pa()) / self._unit.pascal
