"""SCPI to a Keithley 2450, 2460 or 2461: framed questions, command groups checked in the error queue.

SCPI answers do not say which question they belong to. So every question carries a number through a register
that affects nothing here: `*ESE 37;*ESE?;:TRAC:ACT? "x";*ESE?` is answered by `37;1234;37`. A line that is
late, merged, cut or disturbed has another number, or not twice the same, and is never taken for an answer;
the question is then put again, which is why all questions put here may be repeated.
"""

from __future__ import annotations

import re
import time
from itertools import cycle

from devices.protocols import Identity
from devices.visa_line import MessageLine
from labctl.errors import InstrumentError, TransportError

ANSWER_WITHIN_SECOND = 1.6
ASK_AGAIN_SECOND = 0.8
_CLOSING_SECOND, _ENDS_WITHIN_SECOND = 0.2, 1.0
GOING_ON = ("RUNNING", "WAITING", "ABORTING")  # of the states of a trigger model
_LANGUAGE = re.compile(r"SCPI|TSP|SCPI\w+")
_IDENTITY = re.compile(r"KEITHLEY INSTRUMENTS,MODEL (\w+),(\w+),(.+)")
_MOST_ERRORS = 20


class KeithleyLink:
    """One instrument behind a line; one thread uses it.

    Args:
        line: the way to it.
        answer_within_second: when to give up a question.
        ask_again_second: when to put it again.
    """

    def __init__(
        self,
        line: MessageLine,
        *,
        answer_within_second: float = ANSWER_WITHIN_SECOND,
        ask_again_second: float = ASK_AGAIN_SECOND,
    ) -> None:
        self._line = line
        self._answer_within_second, self._ask_again_second = answer_within_second, ask_again_second
        self._numbers = cycle(range(1, 256))

    @property
    def address(self) -> str:
        """Where the instrument is."""
        return self._line.address

    def open(self) -> Identity:
        """Open the port, forget old output, and ask who answers; nothing is set.

        Raises:
            TransportError: nothing, or not such an instrument, answers.
            InstrumentError: it speaks another command set.
        """
        self._line.open()
        try:
            self._line.discard_input()
            self._require_scpi()
            return self._identify()
        except BaseException:
            self._line.close()
            raise

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._line.close()

    def _require_scpi(self) -> None:
        self._line.write_lines("*LANG?")
        language = self._line.read_line(ANSWER_WITHIN_SECOND)
        if language is None or not _LANGUAGE.fullmatch(language):
            heard = "nothing" if language is None else repr(language[:60])
            raise TransportError(
                f"{self.address}: {heard} came as an answer to '*LANG?'; is this a Keithley 2450, 2460 or "
                "2461, switched on, at this address?"
            )
        if language != "SCPI":
            raise InstrumentError(
                f"{self.address}: the instrument speaks {language}, but SCPI is needed: on its front panel "
                "choose MENU, System Settings, Command Set, SCPI, then switch it off and on again "
                "(disconnect the cell first: after switching on, the output discharges it)"
            )

    def _identify(self) -> Identity:
        answer = self.ask("*IDN?")
        match = _IDENTITY.fullmatch(answer)
        if match is None:
            raise InstrumentError(
                f"{self.address}: {answer!r} answers; expected is a Keithley 2450, 2460 or 2461"
            )
        return Identity("Keithley", match[1], match[2], match[3])

    # ---- questions
    def ask(self, question: str) -> str:
        """The answer to `question`; it is put again if the answer is late or damaged.

        Raises:
            InstrumentError: the instrument refuses the question, in its own words.
            TransportError: no answer in time, or the link is lost.
        """
        deadline = time.monotonic() + self._answer_within_second
        put: set[str] = set()
        while (left := deadline - time.monotonic()) > 0:
            put.add(self._put(question))
            answer = self._answer_to(put, min(left, self._ask_again_second))
            if answer is not None:
                return answer
        self._raise_refusal(question)
        raise TransportError(
            f"{self.address}: no answer to {question!r} within {self._answer_within_second:g} s"
        )

    def _put(self, question: str) -> str:
        """Send a question; its number."""
        number = str(next(self._numbers))
        rooted = question if question.startswith("*") else f":{question}"
        self._line.write_lines(f"*ESE {number};*ESE?;{rooted};*ESE?")
        return number

    def _answer_to(self, numbers: set[str], timeout_second: float) -> str | None:
        """What comes between a number and its repetition, if the number is one of `numbers`."""
        deadline = time.monotonic() + timeout_second
        while (left := deadline - time.monotonic()) > 0:
            line = self._line.read_line(left)
            if line is None:
                return None
            opening, _, rest = line.partition(";")
            answer, separator, closing = rest.rpartition(";")
            if separator and opening in numbers and closing == opening:
                return answer
            if opening in numbers:
                return None  # damaged, or refused in the middle
        return None

    def _raise_refusal(self, question: str) -> None:
        """A question that is refused has no answer: perhaps the error queue knows why."""
        answer = self._answer_to({self._put("SYST:ERR?")}, min(_CLOSING_SECOND, self._ask_again_second))
        if answer is not None and not answer.startswith("0,"):
            code, text = _error(answer)
            raise InstrumentError(f"{self.address}: {question!r} refused: {text}", code)

    def ask_number(self, question: str) -> float:
        """An answer that is one number.

        Raises:
            InstrumentError: it is none.
        """
        answer = self.ask(question)
        try:
            return float(answer)
        except ValueError:
            raise InstrumentError(f"{self.address}: {question!r} answered by {answer[:60]!r}") from None

    # ---- commands
    def command(self, *commands: str) -> None:
        """Send a group of commands, then read the error queue.

        Raises:
            InstrumentError: some were refused, in the instrument's own words.
            TransportError: the link is lost or silent.
        """
        self._line.write_lines(*commands)
        errors = self.errors()
        if errors:
            code, text = errors[0]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise InstrumentError(f"{self.address}: {commands[0]!r} ff. refused: {code}, {text}{more}", code)

    def send(self, *commands: str) -> None:
        """Send commands and look at nothing."""
        self._line.write_lines(*commands)

    def errors(self) -> list[tuple[int, str]]:
        """The error queue, which is emptied."""
        found: list[tuple[int, str]] = []
        while len(found) < _MOST_ERRORS and self.ask("SYST:ERR:COUN?") != "0":
            found.append(_error(self.ask("SYST:ERR?")))
        return found

    # ---- the trigger model
    def model_state(self) -> str:
        """State of the trigger model, in the instrument's word."""
        return self.ask("TRIG:STAT?").partition(";")[0].strip().upper()

    def end_model(self, *commands: str) -> None:
        """Abort the trigger model, send `commands` at once, and return when it has ended.

        Until then the instrument refuses settings.

        Raises:
            InstrumentError: it goes on.
            TransportError: the link is lost or silent.
        """
        self.send("ABOR", *commands)
        deadline = time.monotonic() + _ENDS_WITHIN_SECOND
        while (state := self.model_state()) in GOING_ON:
            if time.monotonic() > deadline:
                raise InstrumentError(f"{self.address}: the trigger model is {state.lower()} after ABORt")


def _error(answer: str) -> tuple[int, str]:
    """Code and text of an entry such as `-222,"Data out of range;1;2015/05/06 12:57:04.484"`."""
    code, _, text = answer.partition(",")
    words = text.strip().strip('"').split(";")[0]
    number = int(code) if code.strip("+-").isdigit() else 0
    return number, words if number else "the text of the error was lost on the line"
