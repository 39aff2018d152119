"""The control loop inside the emulated Eurotherm: setpoints, ramp, PI with anti-windup, sensor, heater.

Time is the bench's virtual clock, but for the watchdog on the remote setpoint: that is wall time, as the
host's polling is. A PI controller whose integral time equals the time constant of the die makes the loop a
first-order lag of CLOSED_LOOP_SECOND: a step of 35 K is within 0.5 K after 21 min.
"""

from __future__ import annotations

import time
from math import inf, nan

import numpy as np

from devices.sim.cell.surroundings import ZERO_CELSIUS_KELVIN, Surroundings

CLOSED_LOOP_SECOND = 300.0
RANGE_LOW_CELSIUS, RANGE_HIGH_CELSIUS = 0.0, 300.0
_SETTLED_KELVIN = 0.02
_FAR_OVER_RANGE_CELSIUS = RANGE_HIGH_CELSIUS + 0.1 * (RANGE_HIGH_CELSIUS - RANGE_LOW_CELSIUS)
SENSOR_FAULTS = frozenset({"sensor_break", "stuck_sensor", "jumping_sensor", "over_range", "nan"})


class TemperatureLoop:
    """State of the controller; `step` moves it on, `settled` tells that nothing moves any more."""

    def __init__(self, surroundings: Surroundings, now_second: float, seed: int) -> None:
        self._surroundings = surroundings
        self._random = np.random.default_rng([seed, 0x3200])
        p = surroundings.parameters
        self.proportional_band_kelvin = p.heater_full_kelvin * CLOSED_LOOP_SECOND / p.thermal_second
        self.integral_second = p.thermal_second
        start = surroundings.temperature_kelvin - ZERO_CELSIUS_KELVIN
        self.setpoints = [round(start, 1)] * 2  # SP1, SP2
        self.selected = 0
        self.rate_kelvin_per_minute = 0.0  # 0: no limit
        self.remote_wall_second = 5.0
        self.remote_celsius, self.remote_selected, self._remote_wall = self.setpoints[0], False, -inf
        self.manual, self.manual_percent, self.standby = False, 0.0, False
        self.working_celsius = self.setpoints[0]
        self.output_percent = 100.0 * self._balance(surroundings.temperature_kelvin)
        self.faults: set[str] = set()
        self.jump_kelvin = 0.0
        self._stuck_celsius = nan
        self._integral = self.output_percent / 100.0
        self._time_second = now_second

    def _balance(self, kelvin: float) -> float:
        """Heater fraction that holds a temperature."""
        p = self._surroundings.parameters
        return min(max((kelvin - p.ambient_kelvin) / p.heater_full_kelvin, 0.0), 1.0)

    # ---- what is measured
    def true_celsius(self) -> float:
        """Temperature of the die."""
        return self._surroundings.temperature_kelvin - ZERO_CELSIUS_KELVIN

    def sensed_celsius(self) -> float:
        """What the control loop sees of it."""
        if self.faults & {"sensor_break", "over_range"}:
            return _FAR_OVER_RANGE_CELSIUS
        return self._stuck_celsius if "stuck_sensor" in self.faults else self.true_celsius()

    def shown_celsius(self) -> float:
        """What a host reads; a jumping or absent number is a fault of the reading, not of the control."""
        if "nan" in self.faults:
            return nan
        jump = self._random.uniform(-1, 1) * self.jump_kelvin if "jumping_sensor" in self.faults else 0.0
        return self.sensed_celsius() + jump

    # ---- what is asked for
    def write_remote(self, celsius: float) -> None:
        """A remote setpoint has come; it holds for `remote_wall_second`."""
        self.remote_celsius, self._remote_wall = celsius, time.monotonic()

    @property
    def remote_lost(self) -> bool:
        """Whether the remote setpoint is selected but too old."""
        return self.remote_selected and time.monotonic() - self._remote_wall > self.remote_wall_second

    def target_celsius(self) -> float:
        """Where the working setpoint goes; back to SP1 or SP2 when the remote setpoint is lost."""
        if self.remote_selected and not self.remote_lost:
            return self.remote_celsius
        return self.setpoints[self.selected]

    @property
    def ramping(self) -> bool:
        """Whether the working setpoint is on its way."""
        return self.working_celsius != self.target_celsius()

    # ---- faults
    def fail(self, fault: str) -> None:
        """A fault begins."""
        if fault == "stuck_sensor" and fault not in self.faults:
            self._stuck_celsius = self.true_celsius()
        self.faults.add(fault)

    def reboot(self) -> None:
        """Power comes back: the remote setpoint is forgotten, the working one starts at the temperature."""
        self._remote_wall, self._integral, self.output_percent = -inf, 0.0, 0.0
        self.working_celsius = self.sensed_celsius()

    @property
    def heater_failed(self) -> bool:
        """Whether the current transformer sees no current although there is output."""
        return "heater_fail" in self.faults and self.output_percent > 0

    # ---- time
    def resume(self, now_second: float) -> None:
        """Nothing was to do until now."""
        self._surroundings.advance_to(now_second)
        self._time_second = now_second

    def step(self, now_second: float) -> None:
        """Control from the last step until now."""
        dt = now_second - self._time_second
        self._time_second = now_second
        self._surroundings.advance_to(now_second)
        self._ramp(dt)
        fraction = self._control(dt)
        self.output_percent = 100.0 * fraction
        self._surroundings.set_heater(0.0 if "heater_fail" in self.faults else fraction)

    def _ramp(self, dt: float) -> None:
        gap = self.target_celsius() - self.working_celsius
        most = self.rate_kelvin_per_minute / 60.0 * dt if self.rate_kelvin_per_minute else abs(gap)
        if abs(gap) <= most:
            self.working_celsius = self.target_celsius()
        else:
            self.working_celsius += most if gap > 0 else -most

    def _control(self, dt: float) -> float:
        if self.standby or "sensor_break" in self.faults:
            return 0.0
        if self.manual:
            self._integral = self.manual_percent / 100.0
            return min(max(self._integral, 0.0), 1.0)
        error = self.working_celsius - self.sensed_celsius()
        proportional = error / self.proportional_band_kelvin
        self._integral += proportional * dt / self.integral_second
        wanted = proportional + self._integral
        fraction = min(max(wanted, 0.0), 1.0)
        self._integral += fraction - wanted  # anti-windup
        return fraction

    def settled(self) -> bool:
        """Whether nothing changes any more if time passes."""
        if self.ramping:
            return False
        powered = 0.0 if "heater_fail" in self.faults else self.output_percent / 100.0
        p = self._surroundings.parameters
        steady = p.ambient_kelvin + powered * p.heater_full_kelvin
        if abs(self._surroundings.temperature_kelvin - steady) > _SETTLED_KELVIN:
            return False
        free = not (self.standby or self.manual or "sensor_break" in self.faults)
        at_end = self.output_percent in (0.0, 100.0)
        return at_end or not free or abs(self.working_celsius - self.sensed_celsius()) <= _SETTLED_KELVIN
