"""Questions and answers over a line without numbers or checksums, so that none is taken for another's.

Such instruments answer in order. Whenever an answer did not come as it should, a *marker* is asked for whose
answer looks like nothing else (a firmware line, a list of settings): once that has come, everything asked
before is answered or lost, and the next line belongs to the next question.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from devices.transport import Line
from labctl.errors import InstrumentError, TransportError

T = TypeVar("T")
_QUIET_SECOND = 0.02  # after a disturbance: nothing may be on its way any more
_LISTING_QUIET_SECOND = 0.2  # longer than a line of a listing takes at 9600 baud, and any pause between two


class NoAnswerError(TransportError):
    """The link is there, but the answer did not come, or not as it should be."""


class LineQuery:
    """One instrument on a line; used by its reader thread only.

    Args:
        line: the way to the instrument.
        end: what ends a question.
        marker: the question whose answer cannot be mistaken.
        is_marker: whether a line is its answer.
        timeout_second: how long an answer may take (wall time).
    """

    def __init__(
        self,
        line: Line,
        *,
        end: bytes,
        marker: str,
        is_marker: Callable[[str], bool],
        timeout_second: float = 0.5,
    ) -> None:
        self._line, self._end = line, end
        self._marker, self._is_marker = marker, is_marker
        self._timeout_second = timeout_second
        self._unread: deque[str] = deque()
        self._in_step = False

    @property
    def address(self) -> str:
        """Where the instrument is."""
        return self._line.address

    def open(self) -> None:
        """Take the port."""
        self._in_step = False
        self._unread.clear()
        self._line.open()

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    def ask(self, question: str, take: Callable[[str], T | None]) -> T:
        """The answer to `question`, asked once more if it does not come (so it must bear repeating).

        Args:
            question: without its end.
            take: makes the answer of a line; None for a line that is no answer. It may raise
                InstrumentError: the instrument's refusal, which is an answer too.

        Raises:
            NoAnswerError: no answer within the timeout, twice.
            TransportError: the link is gone.
        """
        self._get_in_step()
        try:
            return self._ask_once(question, take)
        except NoAnswerError:
            self.resynchronise()
            return self._ask_once(question, take)

    def _ask_once(self, question: str, take: Callable[[str], T | None]) -> T:
        self._in_step = False
        self._send(question)
        strange = ""
        for text in self._lines_within(self._timeout_second):
            try:
                answer = take(text)
            except InstrumentError as error:
                self._in_step = True
                raise InstrumentError(f"{self.address}: {question!r}: {error}", error.code) from error
            if answer is not None:
                self._in_step = True
                return answer
            strange = text
        raise NoAnswerError(
            f"{self.address}: no answer to {question!r} within {self._timeout_second:g} s{_instead(strange)}"
        )

    def listing(self, question: str) -> list[str]:
        """All lines that answer `question`; the marker's answer ends them, however slowly they came."""
        self._get_in_step()
        self._in_step = False
        self._send(question)
        lines = [*self._lines_until_quiet()]
        self._send(self._marker)
        for text in self._lines_within(self._timeout_second):
            if self._is_marker(text):
                self._in_step = True
                return lines
            lines.append(text)
        raise NoAnswerError(f"{self.address}: the answer to {question!r} did not come to its end")

    def resynchronise(self) -> None:
        """Forget what is on its way: the next line belongs to the next question.

        Raises:
            NoAnswerError: nobody answers, or not with the marker's answer.
        """
        self._in_step = False
        self._drain()
        self._send(self._marker)
        strange = ""
        for text in self._lines_within(self._timeout_second):
            if self._is_marker(text):
                self._in_step = True
                return
            strange = text
        raise NoAnswerError(
            f"{self.address}: no answer to {self._marker!r} within {self._timeout_second:g} s"
            f"{_instead(strange)}"
        )

    def _get_in_step(self) -> None:
        """Whatever arrived unasked is nobody's answer, and a sign that question and answer may be apart."""
        if self._in_step and not self._unread and not self._line.read_lines(0.0):
            self._line.discard_input()
            return
        self.resynchronise()

    def _drain(self) -> None:
        deadline = time.monotonic() + self._timeout_second
        while self._line.read_lines(_QUIET_SECOND) and time.monotonic() < deadline:
            pass
        self._line.discard_input()
        self._unread.clear()

    def _send(self, question: str) -> None:
        self._line.write(question.encode("ascii") + self._end)

    def _lines_until_quiet(self) -> Iterator[str]:
        deadline = time.monotonic() + 4 * self._timeout_second + _LISTING_QUIET_SECOND
        wait = self._timeout_second  # the first line may take as long as any answer
        while time.monotonic() < deadline and self._fill(wait):
            yield from self._take_unread()
            wait = _LISTING_QUIET_SECOND

    def _lines_within(self, timeout_second: float) -> Iterator[str]:
        """Lines one by one; what comes after the last one taken stays for later."""
        deadline = time.monotonic() + timeout_second
        while True:
            while self._unread:
                yield self._unread.popleft()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._fill(left)

    def _take_unread(self) -> Iterator[str]:
        while self._unread:
            yield self._unread.popleft()

    def _fill(self, timeout_second: float) -> bool:
        """Bytes that are not ASCII become U+FFFD and so never parse as a value."""
        lines = self._line.read_lines(timeout_second)
        self._unread.extend(line.decode("ascii", errors="replace") for line in lines)
        return bool(lines)


def _instead(strange: str) -> str:
    """What came in place of the answer, for the message."""
    return f"; the last line that came was {strange.strip()[:60]!r}" if strange.strip() else ""
