"""A dry run in words."""

from __future__ import annotations

from labctl.progress import duration_text
from plans.tally import DryRun

_PREFIXES = ((1e-3, 1.0, ""), (1e-6, 1e3, "m"), (0.0, 1e6, "u"))
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
    return "\n".join(f"  {name:<12}{text}" for name, text in lines)


def quantity(value: float, unit: str) -> str:
    """With the prefix that makes the number short."""
    for least, factor, prefix in _PREFIXES:
        if abs(value) >= least:
            return f"{value * factor:.3g} {prefix if value else ''}{unit}"
    raise AssertionError("the last prefix takes everything")


def _path(values: list[float], unit: str) -> str:
    shown = [f"{value:g}" for value in values[:_MOST_STATIONS]]
    more = f", {len(values) - _MOST_STATIONS} more" if len(values) > _MOST_STATIONS else ""
    return f"{', '.join(shown)}{more} {unit}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"
