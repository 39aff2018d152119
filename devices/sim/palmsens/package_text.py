"""Values as MethodSCRIPT instruments write them, and literals as scripts do.

Package value: 7 hexadecimal digits of round(v / 10^p) + 2^27 and the letter of p, with the smallest p for
which the rounded number stays below 2^27 (this rule gives every published sample byte for byte).
"""

from __future__ import annotations

import re
from math import ceil, isfinite, log10

_OFFSET = 1 << 27
_PREFIXES = "afpnum kMGTPE"  # 10^-18 ... 10^18 in steps of 10^3
_FIRST_EXPONENT = -18
_LOG_LIMIT = log10(_OFFSET)
_LITERAL = re.compile(r"(-?\d{1,10})([afpnumkMGTPEi]?)\Z")
_HEXADECIMAL = re.compile(r"0x([0-9A-Fa-f]{1,8})i?\Z")
_LARGEST_LITERAL = 2**31 - 1

Number = float | int  # an int is a MethodSCRIPT integer (suffix i)

VARIABLE_TYPES = frozenset(
    [f"a{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
    + [f"b{c}" for c in "abcd"]
    + [f"c{c}" for c in "abcdefghijklmn"]
    + ["da", "db", "dc", "dd", "ea", "eb", "ec", "ed", "ee", "ef"]
    + [f"{group}{c}" for group in "hij" for c in "abcd"]
)


def encode_value(value: Number) -> str:
    """The 8 characters of a package value; NaN and infinities are `     nan`."""
    if isinstance(value, int) and -_OFFSET <= value < _OFFSET:
        return f"{value + _OFFSET:07X}i"
    if not isfinite(value):
        return "     nan"
    if value == 0:
        return "8000000 "
    place = max(ceil((log10(abs(value)) - _LOG_LIMIT - _FIRST_EXPONENT) / 3) - 1, 0)
    for index in range(place, len(_PREFIXES)):
        exponent = _FIRST_EXPONENT + 3 * index
        scaled = round(value * 10**-exponent if exponent < 0 else value / 10**exponent)
        if abs(scaled) < _OFFSET:
            return f"{scaled + _OFFSET:07X}{_PREFIXES[index]}"
    return "     nan"


def parse_literal(text: str) -> Number | None:
    """The number a script literal stands for: an integer and an SI prefix; None if malformed."""
    hexadecimal = _HEXADECIMAL.match(text)
    if hexadecimal:
        return int(hexadecimal[1], 16)
    match = _LITERAL.match(text)
    if not match or abs(int(match[1])) > _LARGEST_LITERAL:
        return None
    number, prefix = int(match[1]), match[2] or " "
    if prefix == "i":
        return number
    exponent = _FIRST_EXPONENT + 3 * _PREFIXES.index(prefix)
    return number / 10**-exponent if exponent < 0 else float(number * 10**exponent)  # rounded once
