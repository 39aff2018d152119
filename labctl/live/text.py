"""Numbers as text: SI prefixes, fixed digits, clock-like times."""

from __future__ import annotations

from math import floor, isfinite, isnan, log10

_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)
NO_VALUE = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NOTHING_BESIDE = 1e-5  # beyond what an instrument resolves in one current range


def si_prefix(magnitude: float) -> tuple[float, str]:
    """Scale and prefix that bring a magnitude into 1 ... 1000, e.g. (1e-6, "µ") for 4.2e-5.

    Zero and what is not finite have no prefix; below 1 p the prefix stays p.
    """
    if not isfinite(magnitude) or magnitude == 0:
        return 1.0, ""
    for scale, prefix in _PREFIXES:
        if abs(magnitude) >= scale * 0.9999995:
            return scale, prefix.strip()
    return _PREFIXES[-1]


def si_tick(value: float) -> str:
    """A number as the label of a tick: at most three digits and a prefix, e.g. "20", "1M" or "50m"."""
    scale, prefix = si_prefix(value)
    return f"{value / scale:.3g}{prefix}".replace("-", "−")


def power_text(value: float) -> str:
    """A number > 0 as a power of ten, e.g. "10⁻¹⁴" or "2·10⁻¹⁴"."""
    if not isfinite(value) or value <= 0:
        return NO_VALUE
    power = floor(log10(value) + 1e-9)
    leading = f"{value / 10.0**power:.2g}"
    raised = "10" + str(power).translate(_RAISED)
    return raised if leading == "1" else f"{leading}·{raised}"


def significant(value: float, digits: int) -> str:
    """A plain number with `digits` significant digits and a true minus sign, e.g. "84.00" or "−3.612"."""
    if not isfinite(value):
        return NO_VALUE
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 1
    return f"{value:.{max(digits - whole, 0)}f}".replace("-", "−")


def si_parts(value: float | None, unit: str, digits: int = 4) -> tuple[str, str]:
    """Number and prefixed unit, e.g. ("84.00", "µA"); (NO_VALUE, unit) where there is no reading."""
    if value is None or isnan(value):
        return NO_VALUE, unit
    scale, prefix = si_prefix(value)
    return significant(value / scale, digits), prefix + unit


def ampere_parts(value: float | None, peak: float) -> tuple[str, str]:
    """A current (A); next to nothing beside the run's `peak` is told in its unit: a rest reads 0.000."""
    if value is not None and abs(value) < _NOTHING_BESIDE * peak:
        scale, prefix = si_prefix(peak)
        return f"{value / scale + 0.0:.3f}".replace("-0.000", "0.000").replace("-", "−"), f"{prefix}A"
    return si_parts(value, "A")


def volt_parts(value: float | None) -> tuple[str, str]:
    """A cell voltage: always in V, to 0.1 mV."""
    if value is None or not isfinite(value):
        return NO_VALUE, "V"
    return f"{value:.4f}".replace("-", "−"), "V"


def clock_text(second: float) -> str:
    """An instant of a run to the second (to 10 ms in the first minute), e.g. "12 h 20 min 05 s"."""
    if second < 60:
        return f"{second:.2f} s"
    hours, rest = divmod(round(second), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min {seconds:02d} s" if hours else f"{minutes} min {seconds:02d} s"


def grouped(count: int) -> str:
    """A count with thin groups of three, e.g. "1 234 567"."""
    return f"{count:,}".replace(",", "\u202f")


def counted(count: int, one: str, more: str) -> str:
    """A count and what is counted, e.g. "1 step" or "1 234 steps"; "" for none."""
    return f"{grouped(count)} {one if count == 1 else more}" if count else ""
