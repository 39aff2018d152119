"""A line that damages answers in every way a serial line can, but never invents a well-formed one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from labctl.errors import TransportError

KINDS = tuple("garbage line_of_garbage truncated cut lost late very_late twice foreign split".split())


class FuzzLine:
    """A `Line` in front of `respond`, which gives the lines that answer a question.

    `rate` is the share of answers that are damaged; it is 0 until set, so that one can connect first. Late
    answers come after 1.2 or 2.5 times `timeout_second`.
    """

    def __init__(
        self,
        respond: Callable[[str], list[str]],
        *,
        end: bytes,
        foreign: bytes,
        seed: int,
        timeout_second: float = 3e-4,
        digits: bool = False,
    ) -> None:
        self.address = "fuzz"
        self.rate = 0.0
        self.damaged: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.is_open = False
        self._respond, self._end, self._other, self._digits = respond, end, foreign, digits
        self._timeout_second = timeout_second
        self._random = np.random.default_rng(seed)
        self._coming: deque[bytes] = deque()
        self._held: deque[bytes] = deque()  # late, and what is behind it: answers never overtake one another
        self._late_until = 0.0
        self._pending = bytearray()

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def write(self, data: bytes) -> None:
        if not self.is_open:
            raise TransportError("fuzz: not open")
        self._release()
        question = data.decode("ascii").strip()
        for line in self._respond(question):
            self._send(line.encode("ascii") + self._end)

    def read_lines(self, timeout_second: float) -> list[bytes]:
        deadline, mark = time.monotonic() + timeout_second, self._end[-1:]
        while True:
            expired = time.monotonic() >= deadline
            self._release()
            if self._coming:
                self._pending += self._coming.popleft()
            if mark in self._pending:
                *lines, rest = self._pending.split(mark)
                self._pending = bytearray(rest)
                return [bytes(line) for line in lines]
            if not self._coming and expired:
                return []

    def discard_input(self) -> None:
        self._coming.clear()
        self._pending.clear()

    def _send(self, line: bytes) -> None:
        if self._random.random() >= self.rate:
            self._arrive([line])
            return
        kind = str(self._random.choice(KINDS))
        self.damaged[kind] += 1
        getattr(self, f"_{kind}")(line)

    def _release(self) -> None:
        if time.monotonic() >= self._late_until:
            self._coming += self._held
            self._held.clear()

    def _arrive(self, pieces: list[bytes]) -> None:
        """Now, or behind what is late."""
        self._release()
        if self._held or time.monotonic() < self._late_until:
            self._held += pieces
        else:
            self._coming += pieces

    def _noise(self) -> bytes:
        """Random bytes without a line end; digits are among them, or the only ones."""
        count = int(self._random.integers(1, 12))
        if self._digits and self._random.random() < 0.2:
            return bytes(self._random.integers(48, 58, min(count, 2), dtype=np.uint8))
        noise = self._random.integers(0, 256, count, dtype=np.uint8).tobytes()
        return noise.replace(b"\r", b"?").replace(b"\n", b"?")

    def _garbage(self, line: bytes) -> None:
        self._arrive([self._noise() + line])

    def _line_of_garbage(self, line: bytes) -> None:
        self._arrive([self._noise() + self._end, line])

    def _truncated(self, line: bytes) -> None:
        kept = int(self._random.integers(0, len(line) - len(self._end)))
        self._arrive([line[:kept] + self._end[-1:]])

    def _cut(self, line: bytes) -> None:
        self._arrive([line[: int(self._random.integers(1, len(line)))]])

    def _lost(self, line: bytes) -> None:
        pass

    def _late(self, line: bytes) -> None:
        self._delay(1.2, line)

    def _very_late(self, line: bytes) -> None:
        self._delay(2.5, line)

    def _delay(self, timeouts: float, line: bytes) -> None:
        if not self._held:
            self._late_until = time.monotonic() + timeouts * self._timeout_second
        self._arrive([line])

    def _twice(self, line: bytes) -> None:
        self._arrive([line, line])

    def _foreign(self, line: bytes) -> None:
        self._arrive([self._other + self._end, line])

    def _split(self, line: bytes) -> None:
        place = int(self._random.integers(1, len(line)))
        self._arrive([line[:place], line[place:]])
