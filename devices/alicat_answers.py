"""The short answers of an Alicat unit to questions about its settings.

Each function of `Answers` takes a line and gives None if it is not an answer of this unit to that question.
Shapes: alicatlib's captures of firmware 10v20; for the ramp (`SR`) there is the primer's text only.
"""

from __future__ import annotations

import re

from labctl.errors import InstrumentError

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
            raise InstrumentError("the instrument does not know this command (?)")
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
