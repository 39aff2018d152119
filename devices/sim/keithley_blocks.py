"""Blocks of the trigger model of an emulated Keithley unit.

Counters follow the manuals' examples: `BRAN:COUN n, 5, m` behind one measurement gives five, and a counter
that has reached its target goes on and starts again from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class BufferClear:
    """Empties a buffer."""

    buffer: str


@dataclass(frozen=True)
class Measure:
    """Makes `count` readings into a buffer."""

    buffer: str
    count: int


@dataclass(frozen=True)
class LimitBranch:
    """Goes to a block if the last reading of a measure block lies so (0: the measure block before this)."""

    kind: str  # ABOV, BEL, IN, OUT
    low: float
    high: float
    target: int
    measure: int

    def bounds(self) -> tuple[float, float]:
        """The open interval in which no branch is taken; for IN that in which one is."""
        if self.kind == "ABOV":
            return -inf, self.high
        if self.kind == "BEL":
            return self.low, inf
        return min(self.low, self.high), max(self.low, self.high)

    def holds(self, value: float) -> bool:
        """Whether the branch is taken."""
        low, high = self.bounds()
        inside = low <= value <= high
        return inside if self.kind == "IN" else not inside


@dataclass(frozen=True)
class CounterBranch:
    """Goes to a block until it was reached `count` times."""

    count: int
    target: int


@dataclass(frozen=True)
class CounterReset:
    """Sets the counter of another block to 0."""

    counter: int


@dataclass(frozen=True)
class EventBranch:
    """Goes to a block if an event has occurred since this branch was last taken."""

    event: str
    target: int


@dataclass(frozen=True)
class AlwaysBranch:
    """Goes to a block; 0 ends the model."""

    target: int


@dataclass(frozen=True)
class Delay:
    """Waits."""

    second: float


@dataclass(frozen=True)
class SourceState:
    """Output on or off."""

    on: bool


@dataclass(frozen=True)
class Recall:
    """Makes stored settings the active ones: list names and indices, one or two lists."""

    lists: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Notify:
    """Generates a notify event."""

    event: str


@dataclass(frozen=True)
class Wait:
    """Waits for an event; `fresh` forgets an earlier one."""

    event: str
    fresh: bool


@dataclass(frozen=True)
class Nop:
    """Does nothing."""


Block = (
    BufferClear | Measure | LimitBranch | CounterBranch | CounterReset | EventBranch | AlwaysBranch | Delay
    | SourceState | Recall | Notify | Wait | Nop
)  # fmt: skip
