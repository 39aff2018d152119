"""When the simulated pellet is integrated, and how it is read between two integration steps.

Steps follow only from the instants at which somebody changed something, so what a pellet does never depends
on how often it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.sim.materials import Array

_NODES_KEPT = 3  # step ends beside the newest one: together they carry a cubic


@dataclass(frozen=True)
class StepSchedule:
    """Step lengths (s) after a change: they grow geometrically, fast at first.

    The double layer of the pellet answers within 1 to 20 ms, diffusion with the square root of time: for both
    12 % growth is dense enough. After a step of C/20 the voltage is good to 5 uV from 10 us on, and to 0.3 uV
    from 1 s on. Changes of the environment are small and may come every second, so they start with longer
    steps.
    """

    first_second: float = 2e-6
    fast_growth: float = 1.5
    fast_until_second: float = 5e-4  # length of a step, not time
    first_environment_second: float = 10e-3
    fast_environment_until_second: float = 0.1
    growth: float = 1.12
    longest_second: float = 8.0
    longest_open_second: float = 300.0

    def first(self, *, after_environment: bool) -> float:
        """Length (s) of the first step after a change."""
        return self.first_environment_second if after_environment else self.first_second

    def following(self, step_second: float, *, is_open: bool, after_environment: bool) -> float:
        """Length (s) of the step after one of `step_second`."""
        fast_until = self.fast_environment_until_second if after_environment else self.fast_until_second
        growth = self.fast_growth if step_second < fast_until else self.growth
        longest = self.longest_open_second if is_open else self.longest_second
        return min(step_second * growth, longest)


class Interpolant:
    """A quantity at the ends of the steps since a change, as a cubic in the square root of time since then.

    Diffusion makes that square root the natural variable, and equal ratios of time are equal ratios in it.
    Its nodes are pairs (square root of seconds since the change, value), oldest first.
    """

    def __init__(self, change_second: float, nodes: list[tuple[float, float]]) -> None:
        self.nodes = nodes
        self._change_second = change_second
        self._places = [place for place, _ in nodes[:-1]]
        self._differences = _divided_differences(nodes)

    @classmethod
    def starting(cls, change_second: float, value: float) -> Interpolant:
        """One that knows only the value right after the change."""
        return cls(change_second, [(0.0, value)])

    def followed_by(self, time_second: float, value: float) -> Interpolant:
        """The interpolant of the next step, which ends there.

        The value at the change itself serves the first step alone: grain boundaries respond within a
        microsecond of it, and no curve through it would be smooth.
        """
        node = ((time_second - self._change_second) ** 0.5, value)
        kept = self.nodes[-_NODES_KEPT:]
        if len(kept) > 1 and kept[0][0] == 0.0:
            kept = kept[1:]
        return Interpolant(self._change_second, [*kept, node])

    def at(self, times_second: Array) -> Array:
        """Values between the last two step ends; element by element, so equal however times are grouped."""
        root = np.sqrt(times_second - self._change_second)
        if not self._places:
            return np.full_like(root, self._differences[-1])
        value: Any = self._differences[-1]
        for place, difference in zip(reversed(self._places), reversed(self._differences[:-1]), strict=True):
            value = value * (root - place) + difference
        return value


def _divided_differences(nodes: list[tuple[float, float]]) -> list[float]:
    column = [value for _, value in nodes]
    coefficients = [column[0]]
    for order in range(1, len(nodes)):
        column = [
            (column[k + 1] - column[k]) / (nodes[k + order][0] - nodes[k][0]) for k in range(len(column) - 1)
        ]
        coefficients.append(column[0])
    return coefficients
