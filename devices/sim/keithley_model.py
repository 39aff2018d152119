"""The trigger model of an emulated Keithley unit, as it is built by SCPI commands."""

from __future__ import annotations

from collections.abc import Callable

from devices.sim.keithley_blocks import (
    AlwaysBranch,
    Block,
    BufferClear,
    CounterBranch,
    CounterReset,
    Delay,
    EventBranch,
    LimitBranch,
    Measure,
    Nop,
    Notify,
    Recall,
    SourceState,
    Wait,
)
from devices.sim.keithley_scpi import (
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
