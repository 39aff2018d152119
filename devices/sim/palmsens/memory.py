"""What a running MethodSCRIPT knows: variables, arrays, its own time, and the lines it has to say."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from devices.sim.palmsens.package_text import Number, encode_value
from devices.sim.palmsens.syntax import Element, Literal, Operand, Place, Script, ScriptError, Variable

NANOSECOND = 1_000_000_000
DEFAULT_TYPE = "aa"
ARRAY_BOUNDS, BAD_TYPE = 0x400F, 0x4207

Metadata = Callable[[Number], str]


class Memory:
    """State of one run. Times are whole nanoseconds since its start, so that ticks fall on exact instants.

    A variable has a value, a type, and for measured values a function that gives the package's metadata.
    """

    def __init__(self, script: Script) -> None:
        self.values: list[Number] = [0.0] * len(script.variables)
        self.types = [DEFAULT_TYPE] * len(script.variables)
        self.metadata: list[Metadata | None] = [None] * len(script.variables)
        self.arrays: list[list[Number]] = [[0.0] * size for _, size in script.arrays]
        self.array_types = [[DEFAULT_TYPE] * size for _, size in script.arrays]
        self.now_nanosecond = 0
        self.timer_nanosecond = 0
        self.interval_nanosecond = 0
        self.interval_start_nanosecond = 0
        self.lines: list[str] = []
        self.muted = False
        self.package: list[str] = []

    def say(self, line: str) -> None:
        """A line of output, unless the script is muted."""
        if not self.muted:
            self.lines.append(line)

    def read(self, operand: Operand) -> Number:
        """The value of an operand."""
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Variable):
            return self.values[operand.index]
        return self.arrays[operand.array][self.position(operand)]

    def write(
        self, place: Place, value: Number, kind: str | None = None, metadata: Metadata | None = None
    ) -> None:
        """Store a value; with a type it becomes a value of that type."""
        if isinstance(place, Element):
            position = self.position(place)
            self.arrays[place.array][position] = value
            if kind is not None:
                self.array_types[place.array][position] = kind
            return
        self.values[place.index] = value
        if kind is not None:
            self.types[place.index] = kind
            self.metadata[place.index] = metadata

    def type_of(self, operand: Operand) -> tuple[str, Metadata | None]:
        """Type and metadata of a place."""
        if isinstance(operand, Variable):
            return self.types[operand.index], self.metadata[operand.index]
        if isinstance(operand, Element):
            return self.array_types[operand.array][self.position(operand)], None
        return DEFAULT_TYPE, None

    def position(self, element: Element) -> int:
        """Index into an array; refuses fractions and what lies outside."""
        index = self.read(element.index)
        if isinstance(index, float):
            if not isfinite(index) or index != int(index):
                raise ScriptError(BAD_TYPE)
            index = int(index)
        if not 0 <= index < len(self.arrays[element.array]):
            raise ScriptError(ARRAY_BOUNDS)
        return index

    def add_to_package(self, place: Operand) -> None:
        """`pck_add`: type, value and metadata as they are now."""
        value = self.read(place)
        kind, metadata = self.type_of(place)
        self.package.append(f"{kind}{encode_value(value)}{metadata(value) if metadata else ''}")

    def send_package(self) -> None:
        """`pck_end`."""
        self.say("P" + ";".join(self.package))
        self.package.clear()
