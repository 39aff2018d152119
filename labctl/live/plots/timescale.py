"""Ticks and labels of elapsed time: s, min, h or d as fits, with clock-like labels where one zooms in."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10

_TICK_DISTANCE_PIXEL = 110
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_SECONDS_UP_TO, _MINUTES_UP_TO, _HOURS_UP_TO = 2 * _MINUTE, 2 * _HOUR, 20 * _DAY
# Major spacing and the minor spacing that divides it, in s.
_CLOCK_STEPS = (
    (1.0, 0.2),
    (2.0, 0.5),
    (5.0, 1.0),
    (10.0, 2.0),
    (15.0, 5.0),
    (30.0, 5.0),
    (_MINUTE, 10.0),
    (2 * _MINUTE, 30.0),
    (5 * _MINUTE, _MINUTE),
    (10 * _MINUTE, 2 * _MINUTE),
    (15 * _MINUTE, 5 * _MINUTE),
    (30 * _MINUTE, 5 * _MINUTE),
    (_HOUR, 10 * _MINUTE),
    (2 * _HOUR, 30 * _MINUTE),
)
_HOUR_STEPS = tuple((n * _HOUR, n * _HOUR / 5) for n in (5, 10, 20, 50, 100))
_DAY_STEPS = ((6 * _HOUR, _HOUR), (12 * _HOUR, 2 * _HOUR), (_DAY, 6 * _HOUR), (2 * _DAY, 12 * _HOUR))


@dataclass(frozen=True)
class TimeScale:
    """How a stretch of time is labelled: spacings of the ticks in s, the unit in words, the unit in s."""

    major_second: float
    minor_second: float
    unit: str
    unit_second: float

    def text(self, second: float) -> str:
        """The label of a tick."""
        if self.unit == "s":
            return f"{second + 0.0:.{decimals(self.major_second)}f}".replace("-", "−")
        if ":" not in self.unit:
            return f"{second / self.unit_second + 0.0:.10g}".replace("-", "−")
        head, rest = divmod(round(abs(second)), round(self.unit_second))
        sign = "−" if second < -0.5 else ""
        if self.unit == "min:s":
            return f"{sign}{head}:{rest:02d}"
        if self.unit == "h:min":
            return f"{sign}{head}:{rest // 60:02d}"
        if self.unit == "h:min:s":
            return f"{sign}{head}:{rest // 60:02d}:{rest % 60:02d}"
        clock = f"{sign}{head}d {rest // 3600:02d}:{rest % 3600 // 60:02d}"
        return clock if self.unit == "d h:min" else f"{clock}:{rest % 60:02d}"


def time_scale(left_second: float, right_second: float, width_pixel: float) -> TimeScale:
    """The scale for a stretch of elapsed time that is drawn over `width_pixel`."""
    wanted = max(right_second - left_second, 1e-6) * _TICK_DISTANCE_PIXEL / max(width_pixel, 1.0)
    largest = max(abs(left_second), abs(right_second))
    major, minor = _spacings(wanted, days=largest > _HOURS_UP_TO)
    return TimeScale(major, minor, *_unit(largest, major))


def _spacings(wanted: float, days: bool) -> tuple[float, float]:
    if wanted <= 0.5:
        major = _one_two_five(wanted)
        return major, major / 5
    steps = _CLOCK_STEPS + (_DAY_STEPS if days else _HOUR_STEPS)
    found = next((step for step in steps if step[0] >= wanted), None)
    if found is not None:
        return found
    unit = _DAY if days else _HOUR
    major = _one_two_five(wanted / unit) * unit
    return major, major / 5


def _unit(largest: float, major: float) -> tuple[str, float]:
    if largest <= _SECONDS_UP_TO or major < 1:
        return "s", 1.0
    if largest <= _MINUTES_UP_TO:
        return ("min", _MINUTE) if major >= _MINUTE else ("min:s", _MINUTE)
    if largest <= _HOURS_UP_TO:
        if major >= _HOUR:
            return "h", _HOUR
        return ("h:min", _HOUR) if major >= _MINUTE else ("h:min:s", _HOUR)
    if major >= _DAY:
        return "d", _DAY
    return ("d h:min", _DAY) if major >= _MINUTE else ("d h:min:s", _DAY)


def _one_two_five(wanted: float) -> float:
    """The next of 1, 2, 5 x 10^n at or above `wanted`."""
    power = 10.0 ** floor(log10(wanted) + 1e-9)
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


def decimals(spacing: float) -> int:
    """Decimals that tell neighbouring multiples of a 1-2-5 spacing apart."""
    return max(0, ceil(-log10(spacing) - 1e-9)) if spacing > 0 else 0


def multiples(step: float, low: float, high: float) -> list[float]:
    """All multiples of `step` in [low, high]."""
    return [number * step for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
