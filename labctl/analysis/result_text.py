"""Text of result tables: numbers with their errors, columns, the meaning of flags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import floor, isfinite, log10, nan
from typing import Any, TypeVar

from rich.console import Group, RenderableType
from rich.text import Text

from labctl.number_table import NumberTable
from labctl.printable import printable


def without_nan(value: Any) -> Any:
    """The same with None in place of NaN and infinity."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


Row = TypeVar("Row")
_SAYS_NOTHING = 1.0  # a standard error over its value


def with_error(value: float, std: float | None = None, factor: float = 1.0) -> str:
    """A number to the digits that its standard error leaves, as in 57.13 ±0.12; "-" for none."""
    if not isfinite(value):
        return "-"
    value, std = value * factor, nan if std is None else abs(std * factor)
    if not isfinite(std) or std == 0:
        return f"{value:.4g}"
    if std > _SAYS_NOTHING * abs(value):
        return "undetermined"
    leading = floor(log10(std))
    decimals = max(-leading + (std < 2 * 10.0**leading), 0)  # two digits of an error that begins with 1
    return f"{value:.{decimals}f} ±{std:.{decimals}f}"


def number(value: float, digits: int = 4, factor: float = 1.0) -> str:
    """A number of so many digits; "-" for none."""
    return f"{value * factor:.{digits}g}" if isfinite(value) else "-"


def letters(known: Iterable[str], raised: Iterable[Sequence[str]]) -> dict[str, str]:
    """A letter for each flag that was raised anywhere, in the order in which flags are known."""
    seen = {flag for flags in raised for flag in flags}
    return {flag: chr(ord("a") + k) for k, flag in enumerate(flag for flag in known if flag in seen)}


def results(
    title: str,
    rows: Sequence[Row],
    columns: Mapping[str, Callable[[Row], str]],
    notes: Iterable[str] = (),
) -> RenderableType:
    """A table and lines below it; a column without any value is left out.

    Names of columns carry their unit in a second line.
    """
    cells = {header: [cell(row) for row in rows] for header, cell in columns.items()}
    shown = {header: values for header, values in cells.items() if {*values} - {"", "-"}}
    heading = printable(title)
    lines = [Text(printable(note)) for note in notes]
    if not rows:
        return Group(Text(f"{heading}: no result."), *lines)
    return Group(Text(heading), NumberTable(shown), *lines)


def meanings(letter_of: Mapping[str, str], meaning: Mapping[str, str]) -> list[str]:
    """What each letter stands for, one a line."""
    return [f"{letter}: {meaning[flag]}" for flag, letter in letter_of.items()]
