"""What is around the pellet: a heated die and a press, in virtual time.

Both are exact solutions between changes, so that they depend on when they were changed and not on how often
they were looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pi

ZERO_CELSIUS_KELVIN = 273.15


@dataclass(frozen=True)
class SurroundingsParameters:
    """Die, heater and press. `leak_per_second` is the share of the line's gauge pressure lost each second."""

    ambient_kelvin: float = 298.15
    heater_full_kelvin: float = 150.0  # temperature rise at full heater power, steady
    thermal_second: float = 300.0  # time constant of the die
    piston_area_m2: float = 0.01  # gas line acts on this
    pellet_area_m2: float = pi * 0.010**2 / 4
    pressure_second: float = 3.0  # time constant of line pressure behind the valve
    leak_per_second: float = 0.0


class Surroundings:
    """Temperature of the die and gauge pressure of the gas line; force and stack pressure follow.

    Times are seconds of the bench's clock and must not go back.
    """

    def __init__(
        self, parameters: SurroundingsParameters, *, temperature_kelvin: float, stack_pressure_pa: float
    ) -> None:
        self.parameters = parameters
        self._time_second = 0.0
        self._temperature_kelvin = temperature_kelvin
        self._heater_fraction = 0.0
        self._line_pa = stack_pressure_pa * parameters.pellet_area_m2 / parameters.piston_area_m2
        self._line_target_pa = self._line_pa
        self._valve_open = False
        self.leak_per_second = parameters.leak_per_second
        self.on_change: Callable[[], None] = lambda: None  # told when heater or valves are moved
        self.held_temperature = True  # no controller has touched the heater yet: the lab's oven holds it

    def advance_to(self, time_second: float) -> None:
        """Let time pass."""
        dt = time_second - self._time_second
        if dt <= 0:
            return
        self._time_second = time_second
        p = self.parameters
        if not self.held_temperature:
            steady = p.ambient_kelvin + self._heater_fraction * p.heater_full_kelvin
            self._temperature_kelvin = steady + (self._temperature_kelvin - steady) * exp(
                -dt / p.thermal_second
            )
        if self._valve_open:
            target = self._line_target_pa / (1 + self.leak_per_second * p.pressure_second)
            rate = 1 / p.pressure_second + self.leak_per_second
            self._line_pa = target + (self._line_pa - target) * exp(-dt * rate)
        else:
            self._line_pa *= exp(-dt * self.leak_per_second)

    def set_heater(self, fraction: float) -> None:
        """Heater power from now on, 0 to 1."""
        self.held_temperature = False
        self._heater_fraction = min(max(fraction, 0.0), 1.0)
        self.on_change()

    def regulate_line(self, gauge_pa: float) -> None:
        """The pressure controller drives the line towards `gauge_pa` from now on."""
        self._valve_open, self._line_target_pa = True, max(gauge_pa, 0.0)
        self.on_change()

    def hold_line(self) -> None:
        """Both valves closed: only a leak changes the line from now on."""
        self._valve_open = False
        self.on_change()

    @property
    def leaks(self) -> bool:
        """Whether the line loses gas that nobody replaces."""
        return self.leak_per_second > 0 and not self._valve_open

    @property
    def temperature_kelvin(self) -> float:
        """Temperature of die and pellet now."""
        return self._temperature_kelvin

    @property
    def line_pressure_pa(self) -> float:
        """Gauge pressure of the gas line now."""
        return self._line_pa

    @property
    def force_newton(self) -> float:
        """Force on the pellet now."""
        return self._line_pa * self.parameters.piston_area_m2

    @property
    def stack_pressure_pa(self) -> float:
        """Pressure on the pellet now, F/A."""
        return self.force_newton / self.parameters.pellet_area_m2

    def settled_after_second(self, tolerance_kelvin: float = 0.05, tolerance_share: float = 1e-3) -> float:
        """Time until temperature and pressure stop changing noticeably, if nothing else changes."""
        p, wait = self.parameters, 0.0
        if not self.held_temperature:
            steady = p.ambient_kelvin + self._heater_fraction * p.heater_full_kelvin
            gap = abs(self._temperature_kelvin - steady)
            wait = (
                max(wait, p.thermal_second * log(gap / tolerance_kelvin)) if gap > tolerance_kelvin else wait
            )
        if self._valve_open and self._line_target_pa > 0:
            gap = abs(self._line_pa / self._line_target_pa - 1)
            wait = (
                max(wait, p.pressure_second * log(gap / tolerance_share)) if gap > tolerance_share else wait
            )
        return wait
