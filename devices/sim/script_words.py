"""One line of a MethodSCRIPT cut into words with their columns, comments removed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.sim.script_syntax import ScriptError

UNEXPECTED_CHARACTER, BAD_LITERAL = 0x4004, 0x4039

_WORD = re.compile(
    r"""
    (?P<text>f?"[^"]*")
  | (?P<option>[a-z_]+\([^()]*\))
  | (?P<operator>[<>=]=?)(?=\s|\#|\Z)
  | (?P<word>-?[A-Za-z0-9_]+(?:\[[A-Za-z0-9_]*\])?:?)
    """,
    re.VERBOSE,
)
_GAP = re.compile(r"\s*(?:#.*)?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, what sort it is (word, operator, text, option), and the column right after it (from 1)."""

    text: str
    kind: str
    column: int


def split_line(text: str, line: int) -> list[Word]:
    """The words of a line; [] when it is blank or a comment.

    Raises:
        ScriptError: a character that belongs to no word.
    """
    words: list[Word] = []
    place = _skip(text, 0)
    while place < len(text):
        match = _WORD.match(text, place)
        if match is None:
            raise ScriptError(UNEXPECTED_CHARACTER, line, place + 1)
        end = match.end()
        words.append(Word(match[0], match.lastgroup or "word", end + 1))
        place = _skip(text, end)
        if place == end < len(text):
            number = match[0].lstrip("-")[:1].isdigit()
            raise ScriptError(BAD_LITERAL if number else UNEXPECTED_CHARACTER, line, end + 1)
    return words


def _skip(text: str, place: int) -> int:
    match = _GAP.match(text, place)
    return match.end() if match else place
