"""When a Keithley's trigger model measures: one timer for a whole program, loops that use every n-th event.

While current flows it measures at least every 50 ms: with the 40 ms that a reading and the source's readback
take at one power line cycle, a limit is acted upon within 100 ms. At rest the safe state is the present one,
and a second will do. Where these times do not divide a sampling interval, samples are taken at the nearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, gcd, inf

from devices.core.techniques import AnyTechnique, OpenCircuit, Sampling

LONGEST_TICK_SECOND = 0.05
LONGEST_REST_TICK_SECOND = 1.0
SHORTEST_TICK_SECOND = 0.01
_MEASURING_SHARE = 0.4  # of a tick for each of the two conversions of a measurement
_LEAST_CYCLES, _MOST_CYCLES = 0.01, 1.0


@dataclass(frozen=True)
class Phase:
    """Some stages of a technique's sampling that share a tick; it ends at `until_second` of the step."""

    tick_second: float
    until_second: float


def phases(technique: AnyTechnique) -> list[Phase]:
    """The phases of a technique, the last one until inf."""
    longest = LONGEST_REST_TICK_SECOND if isinstance(technique, OpenCircuit) else LONGEST_TICK_SECOND
    found: list[Phase] = []
    for stage in _sampling(technique).stages:
        tick = _dividing(stage.interval_second, longest)
        until = inf if stage.until_second is None else stage.until_second
        if found and found[-1].tick_second == tick:
            found.pop()
        found.append(Phase(tick, until))
    return found


def _sampling(technique: AnyTechnique) -> Sampling:
    return technique.sampling  # type: ignore[union-attr]  # spectra were refused before


def _dividing(interval_second: float, longest_second: float) -> float:
    """The longest tick that divides the interval, or the longest one if only very short ones do."""
    interval_ms = round(interval_second * 1000)
    fewest = -(-interval_ms // round(longest_second * 1000))
    most = interval_ms // round(SHORTEST_TICK_SECOND * 1000)
    parts = next((n for n in range(fewest, most + 1) if interval_ms % n == 0), None)
    return longest_second if parts is None else interval_ms / parts / 1000.0


def base_tick_second(ticks: Iterable[float]) -> float:
    """The timer's period (s): the largest that all ticks are multiples of, or the shortest tick itself."""
    all_ms = [round(tick * 1000) for tick in ticks]
    common = gcd(*all_ms) / 1000.0
    return common if common >= SHORTEST_TICK_SECOND else min(all_ms) / 1000.0


def multiple_of(tick_second: float, base_second: float) -> int:
    """How many periods of the timer a tick is, at least one."""
    return max(floor(tick_second / base_second + 1e-6), 1)


def power_line_cycles(base_second: float, line_hertz: float) -> float:
    """Integration time of one conversion, so that a measurement fits into a period of the timer."""
    cycles = floor(_MEASURING_SHARE * base_second * line_hertz * 100 + 1e-6) / 100
    return min(max(cycles, _LEAST_CYCLES), _MOST_CYCLES)


def readings_of(ticks: Sequence[tuple[float, float]], limit_second: float) -> list[int]:
    """How many readings each phase makes. `ticks` are pairs (tick, end of the phase) in s."""
    counts, start = [], 0.0
    for tick, until in ticks:
        end = min(until, limit_second)
        counts.append(max(round((end - start) / tick), 0))
        start += counts[-1] * tick
        if end >= limit_second:
            break
    return counts if any(counts) else [1]
