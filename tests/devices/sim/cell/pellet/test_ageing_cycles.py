"""How swings of the stoichiometry are counted: whole, partial, nested, and as small alternations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from devices.sim.cell.pellet.ageing import Age, AgeingParameters, AgeingRates, follow


def walk(*points: float) -> Age:
    """What a way through these stoichiometries does, by moves of at most 1e-3."""
    rates = AgeingRates(AgeingParameters.bare(), 298.15, 1.0)
    age = Age(path=(points[0],))
    for begin, end in pairwise(points):
        for x in np.linspace(begin, end, 2 + int(abs(end - begin) / 1e-3))[1:]:
            age = rates.after(age, float(x), 1.0, side_coulomb=0.0, film_growth=0.0)
    return age


def rainflow_cycles(points: list[float]) -> float:
    """Cycles of turning points by the four-point rule: closed loops once, the rest as halves."""
    stack: list[float] = []
    cycles = 0.0
    for point in points:
        stack.append(point)
        while len(stack) > 3:
            outer1, inner1, inner2, outer2 = stack[-4:]
            if not abs(inner2 - inner1) <= min(abs(inner1 - outer1), abs(outer2 - inner2)):
                break
            cycles += (abs(inner2 - inner1) / 0.65) ** 2
            del stack[-3:-1]
    return cycles + sum(0.5 * (abs(b - a) / 0.65) ** 2 for a, b in pairwise(stack))


def test_a_swing_of_065_down_and_up_is_one_cycle_and_half_the_swing_a_quarter() -> None:
    assert walk(0.9, 0.25, 0.9).cycles == pytest.approx(1.0)
    assert walk(0.9, 0.575, 0.9).cycles == pytest.approx(0.25)


def test_a_discharge_in_pulses_with_small_backlashes_counts_as_one_in_one_go() -> None:
    pulses = [x for k in range(101) for x in (0.3 + 0.006 * k, 0.3 + 0.006 * k - 1e-5)]
    assert walk(0.9, *pulses).cycles == pytest.approx(walk(0.9, 0.3, 0.9).cycles, rel=0.01)


def test_ten_thousand_small_alternations_count_hardly() -> None:
    to_and_fro = [0.6 + 1e-4 * (-1) ** k for k in range(20_000)]
    assert walk(0.9, *to_and_fro).cycles - walk(0.9, 0.6).cycles < 2e-3


@pytest.mark.parametrize("seed", range(5))
def test_any_history_counts_as_rainflow_counting_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = [0.9]
    for k in range(60):
        low, high = (0.2, points[-1] - 0.02) if k % 2 == 0 else (points[-1] + 0.02, 0.95)
        points.append(float(random.uniform(min(low, high), max(low, high))))
    points = [p for p in points if 0.2 <= p <= 0.95]
    turning = [points[0]]
    for p in points[1:]:
        if len(turning) > 1 and (turning[-1] - turning[-2]) * (p - turning[-1]) > 0:
            turning[-1] = p
        else:
            turning.append(p)
    assert walk(*turning).cycles == pytest.approx(rainflow_cycles(turning), rel=0.02)


def test_a_thousand_shrinking_cycles_leave_a_short_path() -> None:
    path: tuple[float, ...] = (0.9,)
    for k in range(1000):
        for x in (0.25 + 2e-4 * k, 0.9 - 2e-4 * k):
            path, _ = follow(path, x)
    assert len(path) < 200
