"""Faults of an instrument's line, put between the emulator and the wire.

Delays are wall time: a bad link is bad at any speed of the bench.

A parameter of the function that takes them says by its annotation what it allows:
`Annotated[float, Within(0, 10)]`, `Annotated[str, OneOf("S", "U")]`, or its type alone.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Any, get_args, get_origin

import numpy as np

from devices.sim.wire.wire import Wire

_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, both allowed."""

    low: float
    high: float

    def allows(self, value: Any) -> bool:
        """Whether `value` is among them."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """The end of a sentence."""
        return f" from {self.low:g} to {self.high:g}"


class OneOf:
    """Some values, and no others."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def allows(self, value: Any) -> bool:
        """Whether `value` is one of them."""
        return value in self._values

    def __str__(self) -> str:
        """The end of a sentence."""
        return f", one of {', '.join(map(str, self._values))}"


def check_arguments(fault: str, takes: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse `arguments` that `takes` cannot have; it is not called. A parameter `kind` is none of a fault.

    Raises:
        ValueError: names the fault, the argument, its value and what is allowed.
    """
    parameters = dict(inspect.signature(takes, eval_str=True).parameters)
    parameters.pop("kind", None)
    unknown = sorted(arguments.keys() - parameters.keys())
    if unknown:
        names = ", ".join(sorted(parameters)) or "none, it takes no arguments"
        raise ValueError(f"{fault}: argument {unknown[0]!r} is unknown: must be among {names}")
    for name, parameter in parameters.items():
        kind, bounds = _allowed(parameter.annotation)
        allowed = f"must be {_KINDS[kind]}{''.join(map(str, bounds))}"
        if name not in arguments:
            if parameter.default is parameter.empty:
                raise ValueError(f"{fault}: argument {name!r} is missing: {allowed}")
            continue
        value = arguments[name]
        if not (_is_of(kind, value) and all(bound.allows(value) for bound in bounds)):
            raise ValueError(f"{fault}: {name} = {value!r}: {allowed}")


def _allowed(annotation: Any) -> tuple[type, tuple[Any, ...]]:
    """The type of a parameter, and its bounds."""
    if get_origin(annotation) is None:
        return annotation, ()
    kind, *bounds = get_args(annotation)
    return kind, tuple(bounds)


def _is_of(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


LINE_FAULTS = {
    "drop_link": "the connection is cut instead of sending the line",
    "garbage": "`count` random bytes come before the line",
    "split": "the line comes in pieces of `size` bytes, milliseconds apart",
    "merged": "the lines are held back and come all at once",
    "late": "the line comes `delay_second` late",
    "slow": "each line comes `delay_second` late, until cleared or after `lines`",
    "slow_wire": "`bytes_per_second` and no more, until cleared or after `lines`",
    "truncated": "the second half of the line is lost, without `newline` its end as well",
    "silent": "the line is lost; until cleared or after `lines`",
    "nan": "measured values of a package are NaN",
    "overrange": "measured values of a package carry the overload status",
}
_ENDLESS = frozenset({"slow", "slow_wire", "silent"})
_PACKAGES_ONLY = frozenset({"nan", "overrange"})
_SLOW_PIECE_WALL_SECOND = 0.02
_MEASURED = re.compile(rb"(?<=[P;])(ab|ba|c[cdhijk]).{8}(,1.)?")


@dataclass
class LineFault:
    """A fault that begins after `after_lines` lines and concerns `lines` lines (0: until cleared)."""

    kind: str
    after_lines: Annotated[int, Within(0, 1e9)] = 0
    lines: Annotated[int, Within(0, 1e9)] = 1
    delay_second: Annotated[float, Within(0, 3600)] = 1.0
    size: Annotated[int, Within(1, 1e6)] = 1
    count: Annotated[int, Within(0, 1e6)] = 20
    newline: bool = True
    bytes_per_second: Annotated[float, Within(1, 1e9)] = 500.0

    def strikes(self, line: bytes) -> bool:
        """Whether this line is concerned; counts it."""
        if self.kind in _PACKAGES_ONLY and not line.startswith(b"P"):
            return False
        if self.after_lines > 0:
            self.after_lines -= 1
            return False
        return True


def line_fault(kind: str, arguments: dict[str, Any]) -> LineFault:
    """A fault of the line from its name and arguments.

    Raises:
        ValueError: no such fault, or an impossible argument; says what is allowed.
    """
    if kind not in LINE_FAULTS:
        raise ValueError(f"fault = {kind!r}: must be one of {', '.join(LINE_FAULTS)}")
    check_arguments(kind, LineFault, arguments)
    return LineFault(kind, **arguments)


class FaultyOutlet:
    """Sends lines to a wire, as they are or through the faults that are armed."""

    def __init__(self, wire: Wire, seed: int) -> None:
        self._wire = wire
        self._random = np.random.default_rng([seed, 0xFA])
        self._faults: list[LineFault] = []
        self._queue: deque[bytes] = deque()
        self._merged = bytearray()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pump: asyncio.Task[None] | None = None

    def arm(self, fault: LineFault) -> None:
        """One more fault."""
        if fault.kind in _ENDLESS and fault.lines == 1:
            fault.lines = 0
        self._faults.append(fault)

    def clear(self) -> None:
        """No faults any more."""
        self._faults.clear()

    def write_line(self, line: str) -> None:
        """Send one line; its end is added."""
        data = line.encode("latin-1", errors="replace") + b"\n"
        if not self._faults and self._idle.is_set():
            self._wire.write(data)
            return
        self._queue.append(data)
        if self._idle.is_set():
            self._idle.clear()
            self._pump = asyncio.get_running_loop().create_task(self._send_queue())

    @property
    def is_full(self) -> bool:
        """Whether the host, or a fault, is behind."""
        return not self._idle.is_set() or self._wire.is_full

    async def drained(self) -> None:
        """Wait until everything is on its way."""
        await self._idle.wait()
        await self._wire.drained()

    def stop(self) -> None:
        """Send nothing more."""
        self._queue.clear()
        if self._pump is not None:
            self._pump.cancel()

    async def _send_queue(self) -> None:
        try:
            while self._queue:
                await self._send(self._queue.popleft())
                if not self._faults:
                    self._flush_merged()
        finally:
            self._idle.set()

    async def _send(self, line: bytes) -> None:
        pieces, bytes_per_second = [line], inf
        for fault in list(self._faults):
            if not fault.strikes(line):
                continue
            if fault.kind == "slow_wire":
                bytes_per_second = min(bytes_per_second, fault.bytes_per_second)
            pieces = await self._apply(fault, b"".join(pieces))
            if fault.lines == 1:
                self._faults.remove(fault)
                if fault.kind == "merged":
                    pieces = [bytes(self._merged)]
                    self._merged.clear()
            fault.lines = max(fault.lines - 1, 0)
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.002)  # let the host see the pieces apart
            await self._write(piece, bytes_per_second)

    async def _write(self, data: bytes, bytes_per_second: float) -> None:
        """A slow wire carries a few bytes at a time, each when its time has come."""
        if bytes_per_second == inf:
            self._wire.write(data)
            return
        loop = asyncio.get_running_loop()
        size, began = max(round(bytes_per_second * _SLOW_PIECE_WALL_SECOND), 1), loop.time()
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await asyncio.sleep(max(began + (start + len(piece)) / bytes_per_second - loop.time(), 0.0))
            self._wire.write(piece)

    async def _apply(self, fault: LineFault, data: bytes) -> list[bytes]:
        match fault.kind:
            case "drop_link":
                self._wire.drop()
                return []
            case "silent":
                return []
            case "late" | "slow":
                await asyncio.sleep(fault.delay_second)
            case "garbage":
                noise = self._random.integers(11, 256, fault.count, dtype=np.uint8).tobytes()  # no line end
                return [noise + data]
            case "split":
                return [data[i : i + fault.size] for i in range(0, len(data), fault.size)]
            case "merged":
                self._merged += data
                return []
            case "truncated":
                return [data[: len(data) // 2] + (b"\n" if fault.newline else b"")]
            case "nan":
                return [_MEASURED.sub(rb"\1     nan,10", data)]
            case "overrange":
                return [_MEASURED.sub(lambda m: m[0][:10] + b",12", data)]
        return [data]

    def _flush_merged(self) -> None:
        if self._merged:
            self._wire.write(bytes(self._merged))
            self._merged.clear()
