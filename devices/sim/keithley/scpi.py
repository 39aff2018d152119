"""SCPI as the Keithley 2400 Graphical Series takes it: messages, headers in short or long form, arguments.

Errors are kept as (code, text); the texts are those of SCPI-99 that the reference manuals cite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import NamedTuple

UNDEFINED_HEADER, MISSING_PARAMETER, TOO_MANY_PARAMETERS, WRONG_TYPE = -113, -109, -108, -104
OUT_OF_RANGE, SETTINGS_CONFLICT, ILLEGAL_VALUE, INIT_IGNORED = -222, -221, -224, -213
TEXTS = {
    UNDEFINED_HEADER: "Undefined header",
    MISSING_PARAMETER: "Missing parameter",
    TOO_MANY_PARAMETERS: "Parameter not allowed",
    WRONG_TYPE: "Data type error",
    OUT_OF_RANGE: "Parameter data out of range",
    SETTINGS_CONFLICT: "Settings conflict",
    ILLEGAL_VALUE: "Illegal parameter value",
    INIT_IGNORED: "Init ignored",
}
_PIECE = re.compile(r"\[|\]|<n>|[A-Z]+[a-z]*|\d|:|\*[A-Z]+|\?")
_BOOLEANS = {"ON": True, "1": True, "OFF": False, "0": False}


class ScpiError(Exception):
    """The instrument refuses a command."""

    def __init__(self, code: int, text: str = "") -> None:
        self.code, self.text = code, text or TEXTS[code]
        super().__init__(f"{code}, {self.text}")


class Request(NamedTuple):
    """One command or query: its header in capitals with a leading colon (but `*IDN?`), and its arguments."""

    header: str
    arguments: tuple[str, ...]

    @property
    def is_query(self) -> bool:
        """Whether an answer is due."""
        return self.header.endswith("?")


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """`text` at the separators that are not inside single or double quotes."""
    parts, start, quote = [], 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == separator:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def requests(message: str) -> Iterator[Request]:
    """The commands of a message; one without a colon in front goes on in the path of the one before it."""
    path = ""
    for part in split_outside_quotes(message, ";"):
        header, _, rest = part.strip().partition(" ")
        if not header:
            continue
        header = header.upper()
        if not header.startswith("*"):
            header = header if header.startswith(":") else f"{path}:{header}"
            path = header.rpartition(":")[0]
        arguments = tuple(a.strip() for a in split_outside_quotes(rest, ",")) if rest.strip() else ()
        yield Request(header, arguments)


Handler = Callable[..., "str | None"]


class CommandTable:
    """Which handler takes which header. A handler gets the numbers in the header, then the arguments."""

    def __init__(self) -> None:
        self._rows: list[tuple[re.Pattern[str], Handler]] = []
        self._known: dict[str, tuple[Handler, tuple[int, ...]]] = {}

    def add(self, pattern: str, handler: Handler) -> None:
        """`pattern` as in the manuals: `SOURce[1]:VOLTage[:LEVel]`, `TRIGger:TIMer<n>:DELay?`, `*IDN?`."""
        self._rows.append((_compile(pattern), handler))

    def find(self, header: str) -> tuple[Handler, tuple[int, ...]]:
        """The handler of a header.

        Raises:
            ScpiError: nothing has this header.
        """
        if header not in self._known:
            for pattern, handler in self._rows:
                if match := pattern.fullmatch(header):
                    self._known[header] = (handler, tuple(int(number) for number in match.groups()))
                    break
            else:
                raise ScpiError(UNDEFINED_HEADER)
        return self._known[header]


def _compile(pattern: str) -> re.Pattern[str]:
    """A regular expression for headers in capitals; `:` in front of the first mnemonic."""
    pieces = _PIECE.findall(pattern)
    if "".join(pieces) != pattern:
        raise ValueError(f"pattern {pattern!r}: {pattern[len(''.join(pieces)) :]!r} is not understood")
    expression = "" if pattern.startswith("*") else ":"
    for piece in pieces:
        if piece in ("[", "]"):
            expression += "(?:" if piece == "[" else ")?"
        elif piece == "<n>":
            expression += r"(\d+)"
        elif piece[0].isupper():
            short = piece.rstrip("abcdefghijklmnopqrstuvwxyz")
            rest = piece[len(short) :].upper()
            expression += f"{short}(?:{rest})?" if rest else short
        else:
            expression += re.escape(piece)
    return re.compile(expression)


def number(text: str) -> float:
    """A decimal number.

    Raises:
        ScpiError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise ScpiError(WRONG_TYPE) from None
    if not isfinite(value):
        raise ScpiError(WRONG_TYPE)
    return value


def whole(text: str) -> int:
    """A whole number."""
    value = number(text)
    if value != int(value):
        raise ScpiError(WRONG_TYPE)
    return int(value)


def boolean(text: str) -> bool:
    """ON, OFF, 1 or 0."""
    try:
        return _BOOLEANS[text.upper()]
    except KeyError:
        raise ScpiError(ILLEGAL_VALUE) from None


def string(text: str) -> str:
    """What is inside matching quotes."""
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
        raise ScpiError(WRONG_TYPE)
    return text[1:-1].replace(text[0] * 2, text[0])


def choice(text: str, *words: str) -> str:
    """The short form of one of `words` (given as in the manuals: "HIMPedance")."""
    for word in words:
        short = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        if text.upper() in (short, word.upper()):
            return short
    raise ScpiError(ILLEGAL_VALUE)


def within(value: float, low: float, high: float) -> float:
    """`value` if it is allowed.

    Raises:
        ScpiError: it is not.
    """
    if not low <= value <= high:
        raise ScpiError(OUT_OF_RANGE)
    return value


def shown(value: float | bool | str) -> str:
    """A setting as the answer to its query: 2.000000E+01, 1, HIMP."""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.6E}" if isinstance(value, float) else str(value)
