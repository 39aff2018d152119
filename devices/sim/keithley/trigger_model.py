"""The trigger model of an emulated Keithley unit, as it is built by SCPI commands.

Counters follow the manuals' examples: `BRAN:COUN n, 5, m` behind one measurement gives five, and a counter
that has reached its target goes on and starts again from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, inf

from devices.sim.keithley.scpi import (
    ILLEGAL_VALUE,
    MISSING_PARAMETER,
    OUT_OF_RANGE,
    TOO_MANY_PARAMETERS,
    ScpiError,
    boolean,
    choice,
    number,
    string,
    whole,
)


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


_ROUNDING = 1e-6  # of a period


@dataclass
class Timer:
    """One timer. Its events are numbered from 1; `seen` is the last one that somebody has acted upon."""

    delay_second: float = 10e-6
    count: int = 1
    stimulus: str = "NONE"
    at_start: bool = False
    enabled: bool = False
    started_second: float | None = None
    seen: int = 0

    def start(self, now_second: float) -> None:
        """Its stimulus has come; a running timer goes on."""
        if self.enabled and (self.started_second is None or self.over(now_second)):
            self.started_second, self.seen = now_second, 0

    def stop(self) -> None:
        """Idle until its stimulus comes."""
        self.started_second, self.seen = None, 0

    def over(self, now_second: float) -> bool:
        """Whether no event comes any more."""
        return self.count > 0 and self.events_until(now_second) >= self.count

    def events_until(self, now_second: float) -> int:
        """How many events there were."""
        if self.started_second is None:
            return 0
        events = floor((now_second - self.started_second) / self.delay_second + _ROUNDING) + self.at_start
        return min(events, self.count) if self.count else events

    def time_of(self, event: int) -> float:
        """When an event comes; inf if it never does."""
        if self.started_second is None or (self.count and event > self.count):
            return inf
        return self.started_second + (event - self.at_start) * self.delay_second

    def pending(self, now_second: float) -> bool:
        """Whether an event has come that nobody has acted upon; several count as one."""
        return self.events_until(now_second) > self.seen

    def take(self, now_second: float) -> None:
        """Act upon all events so far."""
        self.seen = self.events_until(now_second)


LARGEST_MODEL = 63
MOST_EVENT_BRANCHES = 8
_LONGEST_DELAY_SECOND = 10_000.0
Arguments = tuple[str, ...]


def _take(arguments: Arguments, least: int, most: int) -> None:
    if len(arguments) < least:
        raise ScpiError(MISSING_PARAMETER)
    if len(arguments) > most:
        raise ScpiError(TOO_MANY_PARAMETERS)


def _target(text: str) -> int:
    value = whole(text)
    if not 0 <= value <= LARGEST_MODEL:
        raise ScpiError(OUT_OF_RANGE)
    return value


def _buffer_clear(a: Arguments) -> Block:
    _take(a, 0, 1)
    return BufferClear(string(a[0]) if a else "defbuffer1")


def _measure(a: Arguments) -> Block:
    _take(a, 0, 2)
    count = whole(a[1]) if len(a) > 1 else 1
    if count < 1:
        raise ScpiError(OUT_OF_RANGE)
    return Measure(string(a[0]) if a else "defbuffer1", count)


def _limit(a: Arguments) -> Block:
    _take(a, 4, 5)
    kind = choice(a[0], "ABOVe", "BELow", "INside", "OUTside")
    return LimitBranch(kind, number(a[1]), number(a[2]), _target(a[3]), _target(a[4]) if len(a) > 4 else 0)


def _counter(a: Arguments) -> Block:
    _take(a, 2, 2)
    count = whole(a[0])
    if count < 1:
        raise ScpiError(OUT_OF_RANGE)
    return CounterBranch(count, _target(a[1]))


def _counter_reset(a: Arguments) -> Block:
    _take(a, 1, 1)
    return CounterReset(_target(a[0]))


def event_name(text: str) -> str:
    """The short name of a trigger event that this emulator knows: COMM, NOT1 to NOT8, TIM1 to TIM4."""
    word = text.upper()
    for long, short, most in (("NOTIFY", "NOT", 8), ("TIMER", "TIM", 4)):
        digits = word.removeprefix(long) if word.startswith(long) else word.removeprefix(short)
        if digits != word and digits.isdigit() and 1 <= int(digits) <= most:
            return f"{short}{digits}"
    return choice(text, "COMMand")


def _event(a: Arguments) -> Block:
    _take(a, 2, 2)
    return EventBranch(event_name(a[0]), _target(a[1]))


def _always(a: Arguments) -> Block:
    _take(a, 1, 1)
    return AlwaysBranch(_target(a[0]))


def _delay(a: Arguments) -> Block:
    _take(a, 1, 1)
    second = number(a[0])
    if not (second == 0 or 167e-9 <= second <= _LONGEST_DELAY_SECOND):
        raise ScpiError(OUT_OF_RANGE)
    return Delay(second)


def _source_state(a: Arguments) -> Block:
    _take(a, 1, 1)
    return SourceState(boolean(a[0]))


def _recall(a: Arguments) -> Block:
    _take(a, 1, 4)
    first = (string(a[0]), whole(a[1]) if len(a) > 1 else 1)
    if len(a) < 3:
        return Recall((first,))
    return Recall((first, (string(a[2]), whole(a[3]) if len(a) > 3 else 1)))


def _notify(a: Arguments) -> Block:
    _take(a, 1, 1)
    return Notify(event_name(f"NOT{whole(a[0])}"))


def _wait(a: Arguments) -> Block:
    _take(a, 1, 2)
    return Wait(event_name(a[0]), len(a) > 1 and choice(a[1], "ENTer", "NEVer") == "ENT")


def _nop(a: Arguments) -> Block:
    _take(a, 0, 0)
    return Nop()


BUILDERS: dict[str, Callable[[Arguments], Block]] = {
    "BUFFer:CLEar": _buffer_clear,
    "MEASure": _measure,
    "MDIGitize": _measure,
    "BRANch:LIMit:CONStant": _limit,
    "BRANch:COUNter": _counter,
    "BRANch:COUNter:RESet": _counter_reset,
    "BRANch:EVENt": _event,
    "BRANch:ALWays": _always,
    "DELay:CONStant": _delay,
    "SOURce:STATe": _source_state,
    "CONFig:RECall": _recall,
    "NOTify": _notify,
    "WAIT": _wait,
    "NOP": _nop,
}


class TriggerModel:
    """Blocks by their number, from 1."""

    def __init__(self) -> None:
        self.blocks: dict[int, Block] = {}

    def clear(self) -> None:
        """No blocks."""
        self.blocks.clear()

    def set(self, place: int, block: Block) -> None:
        """Put `block` at number `place`."""
        if not 1 <= place <= LARGEST_MODEL:
            raise ScpiError(OUT_OF_RANGE)
        self.blocks[place] = block
        if sum(isinstance(b, EventBranch) for b in self.blocks.values()) > MOST_EVENT_BRANCHES:
            del self.blocks[place]
            raise ScpiError(OUT_OF_RANGE)

    def check(self, buffers: set[str], lists: set[str]) -> None:
        """Refuse to start what cannot run.

        Raises:
            ScpiError: blocks are missing, or refer to what is not there.
        """
        if not self.blocks:
            raise ScpiError(2731, "Trigger model, Initiate: no trigger model defined")
        last = max(self.blocks)
        for block in self.blocks.values():
            if getattr(block, "target", 0) > last:
                raise ScpiError(2732, "Trigger model, Initiate: branch to a missing block")
            if getattr(block, "buffer", None) not in (None, *buffers):
                raise ScpiError(ILLEGAL_VALUE)
            if isinstance(block, Recall) and not {name for name, _ in block.lists} <= lists:
                raise ScpiError(2790, "Configuration list, error, does not exist")
