"""Questions and answers over a line without numbers or checksums, so that none is taken for another's.

Such instruments answer in order. Whenever an answer did not come as it should, a *marker* is asked for whose
answer looks like nothing else (a firmware line, a list of settings): once that has come, everything asked
before is answered or lost, and the next line belongs to the next question. One marker looks like another,
though: while the answer to an earlier one may still come, none is asked for. It is given up only after a long
silence, so that an answer must be late by more than three times the timeout to be taken for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from devices.transport.serial_line import Line
from labctl.errors import InstrumentError, TransportError
from labctl.host_time import HOST

T = TypeVar("T")
_QUIET_TIMEOUTS = 0.04  # after a disturbance: so many timeouts without a byte, 20 ms by default
_SILENCE_TIMEOUTS = 2.0  # so many timeouts without a byte: what is still owed is lost
_TRIES = 3  # to find the line quiet after a marker
_LISTING_TIMEOUTS = 0.2  # and so many end a listing: longer than one of its lines takes at 9600 baud


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
        self._owed = 0  # answers to markers that have not come

    @property
    def address(self) -> str:
        """Where the instrument is."""
        return self._line.address

    def open(self) -> None:
        """Take the port."""
        self._in_step, self._owed = False, 0
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

    def listing(self, question: str, is_last: Callable[[str], bool] = lambda text: False) -> list[str]:
        """All lines that answer `question`; the marker's answer ends them, however slowly they came.

        The marker is asked for after a pause, because instruments do not listen while they answer, or at once
        after the line for which `is_last` is true.
        """
        self._get_in_step()
        self._in_step = False
        self._send(question)
        lines: list[str] = []
        for text in self._lines_until_quiet():
            lines.append(text)
            if is_last(text):
                break
        for text in self._lines_until_marker():
            lines.append(text)
        return lines

    def resynchronise(self) -> None:
        """Forget what is on its way: the next line belongs to the next question.

        Raises:
            NoAnswerError: nobody answers, or not with the marker's answer.
        """
        for _ in range(_TRIES):
            self._in_step = False
            self._drain()
            self._await_what_is_owed()
            for _ in self._lines_until_marker():
                pass
            if not self._unread and not self._fill(_QUIET_TIMEOUTS * self._timeout_second):
                return
        self._in_step = False
        raise NoAnswerError(f"{self.address}: unrequested lines keep arriving{_instead(self._unread[-1])}")

    def _lines_until_marker(self) -> Iterator[str]:
        """Ask for the marker; the lines before its answer."""
        self._send(self._marker)
        strange = ""
        for text in self._lines_within(self._timeout_second):
            if self._is_marker(text):
                self._in_step = True
                return
            strange = text
            yield text
        raise NoAnswerError(
            f"{self.address}: no answer to {self._marker!r} within {self._timeout_second:g} s"
            f"{_instead(strange)}"
        )

    def _await_what_is_owed(self) -> None:
        """Let answers to earlier markers come, or a long silence tell that they will not."""
        while self._owed and self._fill(_SILENCE_TIMEOUTS * self._timeout_second):
            pass
        self._owed = 0
        self._unread.clear()

    def _get_in_step(self) -> None:
        """Whatever arrived unasked is nobody's answer, and a sign that question and answer may be apart."""
        if self._in_step and not self._unread and not self._fill(0.0):
            self._line.discard_input()
            return
        self.resynchronise()

    def _drain(self) -> None:
        deadline = HOST.awake_second() + self._timeout_second
        while self._fill(_QUIET_TIMEOUTS * self._timeout_second) and HOST.awake_second() < deadline:
            pass
        self._line.discard_input()
        self._unread.clear()

    def _send(self, question: str) -> None:
        self._owed += question == self._marker
        self._line.write(question.encode("ascii") + self._end)

    def _lines_until_quiet(self) -> Iterator[str]:
        deadline = HOST.awake_second() + 4 * self._timeout_second
        wait = self._timeout_second  # the first line may take as long as any answer
        while HOST.awake_second() < deadline and self._fill(wait):
            while self._unread:
                yield self._unread.popleft()
            wait = _LISTING_TIMEOUTS * self._timeout_second

    def _lines_within(self, timeout_second: float) -> Iterator[str]:
        """Lines one by one; what comes after the last one taken stays for later."""
        deadline = HOST.awake_second() + timeout_second
        while True:
            while self._unread:
                yield self._unread.popleft()
            left = deadline - HOST.awake_second()
            if left <= 0:
                return
            self._fill(left)

    def _fill(self, timeout_second: float) -> bool:
        """Bytes that are not ASCII become U+FFFD and so never parse as a value."""
        lines = [line.decode("ascii", errors="replace") for line in self._line.read_lines(timeout_second)]
        self._unread.extend(lines)
        self._owed = max(self._owed - sum(map(self._is_marker, lines)), 0)
        return bool(lines)


def _instead(strange: str) -> str:
    """What came in place of the answer, for the message."""
    return f"; the last line that came was {strange.strip()[:60]!r}" if strange.strip() else ""
