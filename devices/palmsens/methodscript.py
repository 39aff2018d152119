"""MethodSCRIPT on the wire: literals, packages and error texts.

Source of the formats and the error table: PalmSens, "MethodSCRIPT" and "Communication protocol" documents and
the tables published with the vendor's SDK (comm_registry).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, nan

from labctl.errors import TransportError

PREFIX_EXPONENT = {
    "a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, " ": 0, "i": 0,
    "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
# (multiplier, divisor): dividing by an exact power of ten rounds once: 2994.6 m is 2.9946, not its neighbour
_SCALE = {prefix: (10.0 ** max(e, 0), 10.0 ** max(-e, 0)) for prefix, e in PREFIX_EXPONENT.items()}
OVERLOAD = 2  # bit of a status
_OFFSET = 1 << 27  # packages carry 28-bit values with this offset
_LITERAL_PREFIXES = ("", "m", "u", "n", "p", "f", "a")
_LARGEST_LITERAL = 999_999_999
_VALUE = re.compile(r"^[0-9A-F]{7}[afpnum kMGTPEi]$")
_METADATA = re.compile(r"^(1(?P<status>[0-9A-F])|2(?P<range>[0-9A-F]{2})|[03-9][0-9A-F]+)$")

ERROR_TEXT = {
    0x0001: "unspecified error",
    0x0002: "invalid variable type",
    0x0003: "unknown command",
    0x0004: "unknown register",
    0x0006: "not possible in this communication mode (a script is running, or none is)",
    0x0007: "bad argument",
    0x0008: "line too long",
    0x0009: "timeout",
    0x000C: "no script loaded",
    0x000E: "averaging overflow",
    0x000F: "potential not valid",
    0x0010: "result is not a number or infinite",
    0x0011: "frequency not valid",
    0x0012: "amplitude not valid",
    0x0014: "open-circuit potential cannot be measured with the cell on",
    0x001B: "not supported on this device",
    0x001F: "not licensed",
    0x0021: "potentiostat mode not supported",
    0x0023: "command not valid in this potentiostat mode",
    0x0028: "division by zero",
    0x0032: "critical cell overload, measurement aborted",
    0x0052: "UART overrun: the host sends too fast",
    0x005A: "timing not met",
    0x0074: "IP address not available",
    0x0080: "counter electrode is oscillating",
    0x4001: "unknown script command",
    0x4004: "unexpected character",
    0x4005: "script too large",
    0x4008: "bad optional argument",
    0x400B: "measurement loop inside a measurement loop",
    0x400C: "command not allowed here",
    0x400F: "array index out of bounds",
    0x4018: "unexpected end of script",
    0x401B: "package commands out of order",
    0x4026: "variable declared twice",
    0x4027: "needs the cell on",
    0x4028: "needs the cell off",
    0x4029: "no measurement steps",
    0x4032: "potential must not be set inside a measurement loop",
    0x4033: "current must not be set inside a measurement loop",
    0x4034: "command not licensed",
    0x4039: "malformed literal",
    0x4200: "argument must not be negative",
    0x4201: "argument must not be positive",
    0x4202: "argument must not be zero",
    0x4203: "argument must be negative",
    0x4204: "argument must be positive",
    0x4205: "argument out of bounds",
    0x4206: "argument not possible on this instrument",
    0x420B: "variable not declared",
    0x7FFF: "fatal error, the instrument resets itself",
}


@dataclass(frozen=True, slots=True)
class PackageValue:
    """One variable of a package: two-letter type, value in SI units, status bits, range index.

    Status: 1 timing not met, 2 overload, 4 underload, 8 overload warning; 0 is good (`mscript.h` in
    PalmSens/MethodSCRIPT_Examples). Overload is more than 95 % of what the converter can show, its warning
    80 %, underload less than 2 % (users' EmStat Pico libraries, after the manual). So only an overload makes
    the value itself wrong: the true one may be anything beyond. An underload is coarse, a timing that was not
    met is late; those values are kept, with their status.
    """

    kind: str
    value: float
    status: int = 0
    range_index: int | None = None

    @property
    def reading(self) -> float:
        """The value, NaN where it is not valid."""
        return nan if self.status & OVERLOAD else self.value


def literal(value: float) -> str:
    """A number as a MethodSCRIPT literal: integer and SI prefix, no decimals, true to 5e-7.

    Raises:
        ValueError: not finite, or too large or too small to be written.
    """
    if not isfinite(value):
        raise ValueError(f"{value!r} cannot be written as a MethodSCRIPT literal")
    best = None
    for prefix in _LITERAL_PREFIXES:
        scaled = value * 10.0 ** -PREFIX_EXPONENT[prefix or " "]
        if abs(scaled) > _LARGEST_LITERAL:
            break
        number = round(scaled)
        best = f"{number}{prefix}"
        if number == scaled or abs(number - scaled) <= 1e-9 * abs(scaled):
            return best
    if best is None or (value != 0 and best.lstrip("-").startswith("0")):
        raise ValueError(f"{value!r} cannot be written as a MethodSCRIPT literal")
    return best


def parse_value(text: str) -> float:
    """8 characters of a package value in SI units; `     nan` is NaN."""
    if text == "     nan":
        return nan
    if not _VALUE.match(text):
        raise TransportError(f"damaged value {text!r}: expected 7 hexadecimal digits and a prefix")
    multiplier, divisor = _SCALE[text[7]]
    return (int(text[:7], 16) - _OFFSET) * multiplier / divisor


def parse_package(line: str) -> tuple[PackageValue, ...]:
    """The variables of a package line `P...;...`.

    Raises:
        TransportError: the line is not a whole package; no value is guessed.
    """
    if not line.startswith("P"):
        raise TransportError(f"not a package: {line[:80]!r}")
    return tuple(_parse_variable(part) for part in line[1:].split(";"))


def _parse_variable(part: str) -> PackageValue:
    kind, status, range_index = part[:2], 0, None
    if not (kind.isalpha() and kind.islower() and len(kind) == 2):
        raise TransportError(f"damaged variable {part[:40]!r}")
    value = parse_value(part[2:10])
    rest = part[10:]
    if rest and not rest.startswith(","):
        raise TransportError(f"damaged variable {part[:40]!r}")
    for meta in rest[1:].split(",") if rest else ():
        match = _METADATA.match(meta)
        if match is None:
            raise TransportError(f"damaged metadata {meta!r} in {part[:40]!r}")
        if match["status"]:
            status = int(match["status"], 16)
        elif match["range"]:
            range_index = int(match["range"], 16)
    return PackageValue(kind, value, status, range_index)


def error_text(code: int) -> str:
    """The instrument's error in words, with its number."""
    return f"{ERROR_TEXT.get(code, 'error not in the published table')} (error {code:04X})"
