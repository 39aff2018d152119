"""What a measurement tells: a figure, the alternatives measured in the same run, and the goal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

WIDE_REASON = 200  # characters of an error that are worth a line of the table


@dataclass(frozen=True)
class Goal:
    """Bounds (in the row's unit) the figure is to keep; without any there is nothing to reach."""

    least: float | None = None
    most: float | None = None
    note: str = ""

    def text(self) -> str:
        """As it is read in the table."""
        bounds = [f">= {number(self.least)}"] if self.least is not None else []
        bounds += [f"<= {number(self.most)}"] if self.most is not None else []
        return " and ".join(bounds) + (f" ({self.note})" if self.note else "") if bounds else "-"

    def met(self, value: float) -> bool | None:
        """Whether `value` keeps the bounds; a NaN keeps none; None where there are none."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Beside:
    """A named alternative and its figure in the row's unit; without a figure, the reason."""

    name: str
    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One figure of labctl.

    Args:
        what: What was measured.
        value: The figure; NaN when it could not be measured.
        unit: Of `value`, of every alternative and of the goal.
        meaning: One sentence for a person who measures cells: what the figure decides.
        besides: The alternatives.
        goal: What is to be reached.
    """

    what: str
    value: float
    unit: str
    meaning: str
    besides: tuple[Beside, ...] = ()
    goal: Goal = Goal()
    failed: bool = False  # it stands in place of the rows of a measurement that failed

    def lines(self) -> list[str]:
        """Lines of a Markdown table with the columns of `HEAD`: one for each alternative."""
        met = {True: "yes", False: "**no**", None: "-"}[self.goal.met(self.value)]
        first = (self.what, self._quantity(self.value), *self._beside(0), self.goal.text(), met)
        rest = [("", "", *self._beside(place), "", "") for place in range(1, len(self.besides))]
        return [_line(cells) for cells in (first, *rest)]

    def _beside(self, place: int) -> tuple[str, str, str]:
        if place >= len(self.besides):
            return "-", "-", "-"
        beside = self.besides[place]
        if beside.value is None:
            return beside.name, f"not measured: {beside.reason}", "-"
        ratio = number(self.value / beside.value) if beside.value else "-"
        return beside.name, self._quantity(beside.value), ratio

    def _quantity(self, value: float) -> str:
        return f"{number(value)} {self.unit}".strip() if math.isfinite(value) else "not measured"


HEAD = ("what", "labctl", "beside it", "its figure", "labctl / other", "goal", "met")


def heading() -> list[str]:
    """The two lines a table begins with."""
    return [_line(HEAD), _line(("---",) * len(HEAD))]


def number(value: float) -> str:
    """Three figures that count, thousands set apart, no exponent where it can be read without."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e9:
        digits = 0 if value == 0 else max(2 - math.floor(math.log10(abs(value))), 0)
        text = f"{value:,.{digits}f}".replace(",", " ")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.2e}"


def beside(name: str, measure: Callable[[], float]) -> Beside:
    """Measure an alternative; that it fails is told and costs no other figure."""
    try:
        return Beside(name, measure())
    except Exception as error:  # noqa: BLE001  another tool may fail in any way
        return Beside(name, None, reason_of(error))


def failed(name: str, error: Exception) -> Row:
    """In place of the rows of a measurement that failed."""
    return Row(name, math.nan, "", f"This measurement failed: {reason_of(error)}", failed=True)


def reason_of(error: Exception) -> str:
    """An error on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= WIDE_REASON else f"{text[:WIDE_REASON]} ..."


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
