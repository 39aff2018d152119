"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured, the alternative in the same run, and the goal of the design."""

    what: str
    value: float
    unit: str
    alternative: str
    alternative_value: float | None
    goal: str

    def text(self) -> str:
        """A line of the table."""
        if self.alternative_value is None:
            beside = self.alternative
        else:
            ratio = self.value / self.alternative_value
            beside = f"{self.alternative}: {self.alternative_value:,.4g} {self.unit} (ratio {ratio:.3g})"
        return f"| {self.what} | {self.value:,.4g} {self.unit} | {beside} | {self.goal} |"
