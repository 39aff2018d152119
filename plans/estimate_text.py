"""A dry run in words."""

from __future__ import annotations

from labctl.progress import duration_text
from plans.tally import DryRun

_PREFIXES = ((1.0, 1.0, ""), (1e-3, 1e3, "m"), (0.0, 1e6, "µ"))
_MAY_DIFFER = "what ends by voltage, current or drift may end sooner or later"
_MOST_STATIONS = 6  # of a temperature or pressure path, in one line


def describe(estimate: DryRun) -> str:
    """What it will take, a line each."""
    lines = [
        ("steps", f"{estimate.steps}"),
        (
            "duration",
            f"{estimate.duration_second / 3600:.1f} h of cell time"
            f" ({duration_text(estimate.duration_second)})",
        ),
        ("points", f"{estimate.points}, {_bytes(estimate.disk_byte)} on disk"),
        (
            "charge",
            f"{quantity(estimate.moved_charge_ah, 'Ah')} moved, "
            f"net {'+' if estimate.net_charge_ah > 0 else ''}{quantity(estimate.net_charge_ah, 'Ah')}; "
            f"about {quantity(estimate.energy_wh, 'Wh')}",
        ),
        ("current", f"at most {quantity(estimate.largest_current_ampere, 'A')} in its own steps"),
    ]
    if estimate.temperature_path:
        lines.append(("temperature", _path([v for _, v in estimate.temperature_path], "degC")))
    if estimate.pressure_path:
        lines.append(("pressure", _path([v / 1e6 for _, v in estimate.pressure_path], "MPa")))
    lines += zip(("estimate", ""), _assumptions(estimate), strict=False)
    return "\n".join(f"  {name:<12}{text}" for name, text in lines)


def _assumptions(estimate: DryRun) -> list[str]:
    """What the figures rest on, a line each."""
    if estimate.assumed_start_percent is None:
        return [_MAY_DIFFER]
    state = "an empty cell (0 %" if estimate.assumed_start_percent == 0 else "a full cell (100 %"
    return [f"from {state} of nominal), without measuring it:", _MAY_DIFFER]


def quantity(value: float, unit: str) -> str:
    """With the prefix that makes the number short."""
    for least, factor, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * least:  # from there on it is rounded up to 1
            return f"{_three_digits(value * factor)} {prefix if value else ''}{unit}"
    raise AssertionError("the last prefix takes everything")


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _path(values: list[float], unit: str) -> str:
    shown = [f"{value:g}" for value in values[:_MOST_STATIONS]]
    more = f", {len(values) - _MOST_STATIONS} more" if len(values) > _MOST_STATIONS else ""
    return f"{', '.join(shown)}{more} {unit}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"
