"""Text from files, instruments and other people's programs, made fit for a screen.

A terminal obeys what it is sent: an escape sequence in the id of a cell could set the window's title, clear
the screen or paint over what stands above; a bidirectional override turns a line around.
"""

from __future__ import annotations

import re
import unicodedata

_KEPT = "\n\t"
_JSON_SAFE = re.compile(r"[\n\t\x20-\x7e\xa1-\xac\xae-\u02ff]+")


def printable(text: object, *, lines: bool = False) -> str:
    r"""`text` with all that is no letter, sign or space written out, as \x1b or \u202e.

    Args:
        text: what is shown.
        lines: line ends and tabs stay: for text that was composed here, whose lines are meant.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(sign if _is_shown(sign, lines) else _written_out(sign) for sign in shown)


def printable_json(text: str) -> str:
    """The same JSON document with all that is no letter, sign or space as escapes of JSON itself."""
    if _JSON_SAFE.fullmatch(text):
        return text
    return "".join(sign if _is_shown(sign, True) else _escaped(sign) for sign in text)


def _is_shown(sign: str, lines: bool) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs" or (lines and sign in _KEPT)


def _written_out(sign: str) -> str:
    code = ord(sign)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
