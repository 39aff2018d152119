"""SCPI to a Keithley 2450, 2460 or 2461: framed questions, command groups checked in the error queue.

SCPI answers do not say which question they belong to. So every question carries a number through a register
that affects nothing here: `*ESE 37;*ESE?;:TRAC:ACT? "x";*ESE?` is answered by `37;1234;37`. A line that is
late, merged, cut or disturbed has another number, or not twice the same, and is never taken for an answer;
the question is then put again, which is why all questions put here may be repeated.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle

from devices.core.protocols import Identity
from devices.transport.visa_line import MessageLine
from labctl.errors import InstrumentError, TransportError

ANSWER_WITHIN_SECOND = 1.6
ASK_AGAIN_SECOND = 0.8
MANY_DAMAGED_LINES = 20
_FIRST_PAUSE_SHARE, _LONGEST_PAUSE_SHARE = 0.025, 0.1  # of ASK_AGAIN_SECOND, after a damaged line
_CLOSING_SHARE = 0.25  # of the same, for what the error queue says
_LISTEN_SECOND = 0.05  # at a time
_LONGEST_LINE_SECOND = 10.0  # of a line whose end does not come
_EPISODE_ENDS = 20  # good answers one after another
_NUMBER_TRIES = 3
_ENDS_WITHIN_SECOND, _ENDING_POLL_SECOND = 1.0, 0.01
# The off mode comes first: in NORMal an output that is off sources 0 V. It stands alone once more, should an
# instrument that is still aborting refuse the message before.
_OFF = ("ABOR;:OUTP:CURR:SMOD HIMP;:OUTP:VOLT:SMOD HIMP;:OUTP OFF", "OUTP OFF")
GOING_ON = ("RUNNING", "WAITING", "ABORTING")  # of the states of a trigger model
_FRAMED = re.compile(r"(\d+);.*;\1")
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
        self._good_in_a_row = _EPISODE_ENDS
        self.on_wait: Callable[[], None] = lambda: None  # called every 50 ms while an answer is awaited
        self.on_damaged: Callable[[str], None] = lambda line: None  # once per episode of damaged lines

    @property
    def address(self) -> str:
        """Where the instrument is."""
        return self._line.address

    def open(self, *, ours: bool = False) -> Identity:
        """Open the port, forget old output, and ask who answers; nothing is set.

        Where the instrument is `ours`, known to be there from before, and does not answer any more, its
        output is switched off unheard. At an address where nobody has ever answered nothing is switched:
        it may be an instrument of somebody else.

        Raises:
            TransportError: nothing, or not such an instrument, answers.
            InstrumentError: it speaks another command set.
        """
        self._line.open()
        try:
            self._line.discard_input()
            self._require_scpi()
            return self._identify()
        except TransportError:
            with suppress(TransportError):
                if ours:
                    self.send_off()
            self._line.close()
            raise
        except BaseException:
            self._line.close()
            raise

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._line.close()

    def _require_scpi(self) -> None:
        """Only an answer to `*LANG?` can be a word of its kind, so that it may be asked again and again."""
        silent_second, damaged, heard, language = 0.0, 0, "nothing", ""
        while silent_second < self._answer_within_second and damaged < MANY_DAMAGED_LINES:
            self._line.write_lines("*LANG?")
            line = self._next_line(self._ask_again_second)
            if line is not None and _LANGUAGE.fullmatch(line):
                language = line
                break
            silent_second = silent_second + self._ask_again_second if line is None else 0.0
            damaged += line is not None
            heard = heard if line is None else repr(line[:60])
        if not language:
            raise TransportError(
                f"{self.address}: {heard} came as an answer to '*LANG?'; is this a Keithley 2450, 2460 or "
                "2461, switched on, at this address?"
            )
        if language != "SCPI":
            raise InstrumentError(
                f"{self.address}: its command set is {language}, but SCPI is needed: on its front panel "
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

        What counts as silence is time during which this process listened and not a byte came: neither a slow
        wire nor a host that slept is taken for a silent instrument.

        Raises:
            InstrumentError: the instrument refuses the question, in its own words.
            TransportError: no answer in time, nothing but damaged ones, or the link is lost.
        """
        put = {self._put(question)}
        silent_second, damaged, wait_second = 0.0, 0, self._ask_again_second
        while silent_second < self._answer_within_second:
            line = self._next_line(wait_second)
            if line is None:
                silent_second += wait_second
                wait_second = self._ask_again_second
                if silent_second < self._answer_within_second:
                    put.add(self._put(question))
                continue
            silent_second = 0.0
            answer = _answer(line, put)
            if answer is not None:
                self._good_in_a_row += 1
                return answer
            if line in put:
                self._raise_refusal(question)
            elif _FRAMED.fullmatch(line):
                continue  # late, of an earlier question
            damaged += 1
            self._note_damaged(line, damaged)
            wait_second = self._ask_again_second * min(_FIRST_PAUSE_SHARE * damaged, _LONGEST_PAUSE_SHARE)
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

    def _next_line(self, quiet_second: float) -> str | None:
        """The next line; None when nothing at all has come for so long.

        Only time that was spent listening counts: a process that was stopped first takes what has come
        meanwhile.

        Raises:
            TransportError: something comes all the time, but never the end of a line.
        """
        quiet, listened = 0.0, 0.0
        while quiet < quiet_second:
            piece = min(_LISTEN_SECOND, quiet_second - quiet)
            before, began = self._line.received_byte, time.monotonic()
            line = self._line.read_line(piece)
            if line is not None:
                return line
            passed = min(time.monotonic() - began, piece)
            listened += passed
            quiet = 0.0 if self._line.received_byte > before else quiet + passed
            self.on_wait()
            if listened >= _LONGEST_LINE_SECOND:
                raise TransportError(f"{self.address}: a line did not end within {listened:.0f} s")
        return None

    def _note_damaged(self, line: str, in_a_row: int) -> None:
        """Tell of the first damaged line of an episode; too many without a good one between are an error."""
        if self._good_in_a_row >= _EPISODE_ENDS:
            self.on_damaged(line)
        self._good_in_a_row = 0
        if in_a_row >= MANY_DAMAGED_LINES:
            raise TransportError(f"{self.address}: {in_a_row} damaged lines one after another")

    def _raise_refusal(self, question: str) -> None:
        """A question that is refused has no answer: perhaps the error queue knows why."""
        put, line = {self._put("SYST:ERR?")}, self._next_line(_CLOSING_SHARE * self._ask_again_second)
        while line is not None and _FRAMED.fullmatch(line) and _answer(line, put) is None:
            line = self._next_line(_CLOSING_SHARE * self._ask_again_second)
        answer = None if line is None else _answer(line, put)
        if answer is not None and not answer.startswith("0,"):
            code, text = _error(answer)
            raise InstrumentError(f"{self.address}: {question!r} refused: {text}", code)

    def ask_number(self, question: str) -> float:
        """An answer that is one number.

        Raises:
            InstrumentError: it is none.
        """
        answer = ""
        for _ in range(_NUMBER_TRIES):
            answer = self.ask(question)
            with suppress(ValueError):
                return float(answer)
        raise InstrumentError(f"{self.address}: {question!r} answered by {answer[:60]!r}")

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

    # ---- the trigger model and the output
    def model_state(self) -> str:
        """State of the trigger model, in the instrument's word."""
        return self.ask("TRIG:STAT?").partition(";")[0].strip().upper()

    def send_off(self, *commands: str) -> None:
        """End the trigger model and switch the output off, in one write that waits for nothing.

        A model that is aborted alone leaves the output as it is, and takes all limits with it. `commands`
        follow.
        """
        self.send(*_OFF, *commands)

    def end_model(self, *commands: str) -> None:
        """Abort the trigger model with its output off, send `commands`, and return when it has ended.

        Until then the instrument refuses settings.

        Raises:
            InstrumentError: it goes on.
            TransportError: the link is lost or silent; model and output have been switched off unheard.
        """
        self.send_off(*commands)
        ends_within = _ENDS_WITHIN_SECOND
        while (state := self.model_state()) in GOING_ON:
            if ends_within <= 0:
                raise InstrumentError(f"{self.address}: the trigger model is {state.lower()} after ABORt")
            threading.Event().wait(_ENDING_POLL_SECOND)
            ends_within -= _ENDING_POLL_SECOND


def _answer(line: str, numbers: set[str]) -> str | None:
    """What comes between a number and its repetition, if the number is one of `numbers`."""
    opening, _, rest = line.partition(";")
    answer, separator, closing = rest.rpartition(";")
    return answer if separator and opening in numbers and closing == opening else None


def _error(answer: str) -> tuple[int, str]:
    """Code and text of an entry such as `-222,"Data out of range;1;2015/05/06 12:57:04.484"`."""
    code, _, text = answer.partition(",")
    words = text.strip().strip('"').split(";")[0]
    number = int(code) if code.strip("+-").isdigit() else 0
    return number, words if number else "the text of the error was lost on the line"
