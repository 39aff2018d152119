"""What Alicat pressure controllers say: data frames, their layout, units and firmware.

A data frame is the unit id, then the columns that `??D*` declares, then status words that are there only when
they apply: `A +014.70 +030.00 HLD`. Each number has a declared width (sign and point included) and number of
decimals; a token of any other shape was damaged on its way. Shapes: captures published with alicatlib
(firmware 6v21, 8v17, 10v20, of flow controllers); words and codes: Alicat Serial Primer, revision 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import nan

from labctl.errors import InstrumentError

# Statistic codes: what is measured, and the setpoint that belongs to it.
VARIABLES = {34: (2, "absolute"), 38: (6, "gauge"), 39: (7, "differential")}
_PRESSURE_UNITS = {
    2: ("Pa", 1.0),
    3: ("hPa", 1e2),
    4: ("kPa", 1e3),
    5: ("MPa", 1e6),
    6: ("mbar", 1e2),
    7: ("bar", 1e5),
    10: ("PSI", 6894.757293168),
}
STATUS_WORDS = {
    "ADC": "the analog-to-digital converter fails",
    "COM": "communication within the instrument fails",
    "EXH": "the exhaust valve is held open",
    "HLD": "the valves are held",
    "LCK": "the front panel is locked",
    "OPL": "the over-pressure limit was reached",
    "POV": "the pressure is beyond what the sensor can measure",
    "P2O": "the second pressure is beyond what its sensor can measure",
    "TOV": "the temperature is beyond what the sensor can measure",
    "VOV": "the volumetric flow is beyond what the sensor can measure",
    "MOV": "the mass flow is beyond what the sensor can measure",
    "OVR": "the totalizer has overflown",
    "TMF": "the totalizer missed flow",
    "GTA": "the gas table is wrong",
    "VTM": "the valve is too warm",
}
INVALIDATING = frozenset({"ADC", "COM", "POV"})  # with these the pressure is not a reading
_ROW = re.compile(
    r"D(?P<row>\d\d) (?P<statistic>\d{3}) (?P<star>\*?)(?P<name>\S.*?)\s{2,}"
    r"(?P<signed>s )?(?P<type>decimal|string)\s+(?P<width>\d+)(?:/(?P<decimals>\d+))?"
    r"(?:\s+(?P<notes>\S.*?))?\s*"
)
_UNIT_NOTE = re.compile(r"(\d{3}) \d\d (\S+)")
_FIRMWARE = re.compile(r"(\d{1,2})v(\d{1,2})\S*")


@dataclass(frozen=True)
class Unit:
    """A pressure unit as the instrument names it; `pascal` is the size of one."""

    code: int
    label: str
    pascal: float


@dataclass(frozen=True)
class NumberColumn:
    """A number of fixed width."""

    statistic: int
    pattern: re.Pattern[str]
    decimals: int
    unit: Unit | None

    def value(self, token: str) -> float | None:
        """The number; NaN for dashes (no reading), None if the token is not of this shape."""
        if self.pattern.fullmatch(token):
            return float(token)
        return nan if token and set(token) == {"-"} else None


@dataclass(frozen=True)
class Frame:
    """One data frame in the instrument's own units."""

    pressure: float
    setpoint: float
    flags: frozenset[str]


@dataclass(frozen=True)
class Layout:
    """The columns of a data frame; None stands for a column of text."""

    unit_id: str
    columns: tuple[NumberColumn | None, ...]
    pressure_at: int
    setpoint_at: int
    status_words: frozenset[str]

    @property
    def pressure(self) -> NumberColumn:
        """The column of the controlled pressure."""
        return _number(self.columns[self.pressure_at])

    @property
    def setpoint(self) -> NumberColumn:
        """The column of its setpoint."""
        return _number(self.columns[self.setpoint_at])

    @property
    def variable(self) -> int:
        """Statistic code of the setpoint: 34 absolute, 38 gauge, 39 differential."""
        return self.setpoint.statistic

    def frame(self, text: str) -> Frame | None:
        """The data frame in `text`; None if it is not one of this unit, whole and undamaged."""
        unit_id, *tokens = text.split() or [""]
        numbers, words = tokens[: len(self.columns)], frozenset(tokens[len(self.columns) :])
        if unit_id != self.unit_id or len(numbers) < len(self.columns) or not words <= self.status_words:
            return None
        values = [c.value(t) if c is not None else nan for c, t in zip(self.columns, numbers, strict=True)]
        pressure, setpoint = values[self.pressure_at], values[self.setpoint_at]
        if pressure is None or setpoint is None or None in values:
            return None
        return Frame(pressure, setpoint, words)


def parse_layout(lines: list[str], unit_id: str) -> Layout:
    """The layout in the answer to `??D*`.

    Raises:
        InstrumentError: not the answer of a pressure controller, or one of firmware before 6v00.
    """
    rows = [_ROW.fullmatch(line.removeprefix(f"{unit_id} ").strip()) for line in lines if line.strip()]
    columns: list[NumberColumn | None] = []
    words = set(STATUS_WORDS)
    for row in rows:
        if row is None or row["statistic"] == "700":  # the heading; the unit id itself
            continue
        if row["star"]:
            words.add((row["notes"] or "").strip())
        else:
            columns.append(_column(row) if row["type"] == "decimal" else None)
    numbers = sorted(int(row["row"]) for row in rows if row is not None)
    if numbers != list(range(1, len(numbers) + 1)) or len(rows) != len(numbers) + 1:
        raise InstrumentError(
            f"the layout of the data frame (??D*) is incomplete, or of a firmware before 6v00: {lines!r}"
        )
    return Layout(unit_id, tuple(columns), *_controlled(columns), frozenset(words - {""}))


def _column(row: re.Match[str]) -> NumberColumn:
    width, decimals = int(row["width"]), int(row["decimals"] or 0)
    before = width - bool(row["signed"]) - decimals - 1
    sign = "[+-]" if row["signed"] else ""
    # Without decimals the point may be there or not: no published frame shows it.
    digits = rf"\d{{{before}}}\.\d{{{decimals}}}" if decimals else rf"(?:\d{{{before + 1}}}|\d{{{before}}}\.)"
    note = _UNIT_NOTE.fullmatch(row["notes"] or "")
    unit = find_unit(int(note[1]), note[2]) if note else None
    return NumberColumn(int(row["statistic"]), re.compile(sign + digits), decimals, unit)


def _controlled(columns: list[NumberColumn | None]) -> tuple[int, int]:
    """Where the controlled pressure and its setpoint are."""
    at = {column.statistic: place for place, column in enumerate(columns) if column is not None}
    for setpoint, (pressure, _) in VARIABLES.items():
        if setpoint in at and pressure in at:
            return at[pressure], at[setpoint]
    raise InstrumentError(
        "no pressure with its setpoint is in the data frame: this is not a pressure controller, or its frame "
        f"was changed (its columns have the statistic codes {sorted(at)})"
    )


def _number(column: NumberColumn | None) -> NumberColumn:
    if column is None:
        raise InstrumentError("the controlled pressure is not a number")
    return column


def find_unit(code: int, label: str) -> Unit | None:
    """The pressure unit with this code, if the label says the same; None for any other."""
    name, pascal = _PRESSURE_UNITS.get(code, ("", 0.0))
    bare = label.upper()
    if not name or bare not in {name.upper() + suffix for suffix in ("", "A", "G", "D")}:
        return None
    return Unit(code, label, pascal)


def parse_firmware(text: str) -> tuple[int, int] | None:
    """Generation and revision in "A   10v20.0-R24 Jan  9 2025,15:04:07"; None if there is none."""
    match = _FIRMWARE.search(text)
    return (int(match[1]), int(match[2])) if match else None


def parse_manufacturing(lines: list[str], unit_id: str) -> dict[int, str]:
    """Rows of the answer to `??M*` by their number: 4 model, 5 serial number, 9 software."""
    rows = [re.fullmatch(rf"{unit_id}?\s*M(\d\d)\s(.*?)\s*", line) for line in lines]
    return {int(row[1]): row[2] for row in rows if row is not None}
