"""Units that names and texts carry: the unit at the end of a field's name, and C-rates."""

from __future__ import annotations

import re
from math import isfinite


def duration_text(second: float) -> str:
    """A duration in at most two units, e.g. "52 s", "3 min 20 s", "12 h 20 min", "3 d 4 h"."""
    if not isfinite(second):
        return "?"
    if second < 10:
        return f"{max(second, 0.0):.1f} s"
    whole = round(second)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    if whole < 172_800:
        return _two(whole, 3600, "h", 60, "min")
    return _two(whole, 86_400, "d", 3600, "h")


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    head, tail = divmod(round(whole / small), large // small)
    return f"{head} {large_name} {tail} {small_name}" if tail else f"{head} {large_name}"


_UNIT_OF_SUFFIX = {
    "_mah_per_g": "mAh/g",
    "_g_per_cm3": "g/cm3",
    "_g_per_mol": "g/mol",
    "_cm3_per_mol": "cm3/mol",
    "_ms_per_cm": "mS/cm",
    "_mm": "mm",
    "_um": "um",
    "_mg": "mg",
    "_ma": "mA",
    "_mpa": "MPa",
    "_pa": "Pa",
    "_volt_per_hour": "V/h",
    "_kelvin_per_minute": "K/min",
    "_rms_volt": "V rms",
    "_rms_ampere": "A rms",
    "_volt": "V",
    "_ampere": "A",
    "_hertz": "Hz",
    "_celsius": "degrees Celsius",
    "_second": "s",
    "_percent": "percent",
    "_fraction": "a fraction from 0 to 1",
}
_C_RATE = re.compile(
    r"(?P<factor>\d+\.?\d*|\.\d+)?\s*C\s*(?:/\s*(?P<divisor>\d+\.?\d*|\.\d+))?", re.IGNORECASE
)
C_RATE_FORMS = "a C-rate > 0 such as 'C/20', '0.5C', '1C', or a plain number (0.05 means C/20)"


def unit_of(name: str) -> str | None:
    """The unit that a field's name ends in, as people write it; None if it names none."""
    fits = [suffix for suffix in _UNIT_OF_SUFFIX if name.endswith(suffix)]
    return _UNIT_OF_SUFFIX[max(fits, key=len)] if fits else None


def parse_c_rate(rate: str | float) -> float:
    """C-rate (1/h) from "C/20", "1C", "0.5C", "2 C", "C/3" or a plain number.

    Raises:
        ValueError: for anything else; the text says what is allowed.
    """
    value = _c_rate_of_text(rate) if isinstance(rate, str) else rate
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ValueError(f"must be {C_RATE_FORMS}")
    return float(value)


def _c_rate_of_text(text: str) -> float | None:
    match = _C_RATE.fullmatch(text.strip())
    if match is None:
        return None
    divisor = float(match["divisor"] or 1.0)
    return float(match["factor"] or 1.0) / divisor if divisor > 0 else None
