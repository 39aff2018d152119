"""How a Eurotherm 3200 is configured, and which setpoints and ramps that, and the station, allow."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from devices.eurotherm_registers import LARGEST_RATE, RATE_DECIMALS, Scale
from labctl.errors import ProtocolError


@dataclass(frozen=True)
class Setup:
    """Read when the instrument is connected; temperatures in degC."""

    temperature: Scale
    low_celsius: float  # setpoints are allowed from here
    high_celsius: float  # to here
    range_low_celsius: float  # of the sensor input
    range_high_celsius: float
    rate_per_kelvin_per_minute: float  # the instrument's ramp units in 1 K/min

    @property
    def rate_step_kelvin_per_minute(self) -> float:
        """The smallest ramp."""
        return 10**-RATE_DECIMALS / self.rate_per_kelvin_per_minute

    @property
    def rate_most_kelvin_per_minute(self) -> float:
        """The fastest ramp."""
        return LARGEST_RATE / self.rate_per_kelvin_per_minute

    def allowed(
        self, celsius: float, ramp_kelvin_per_minute: float | None, most_celsius: float | None
    ) -> float:
        """The setpoint as the instrument can hold it, rounded to its decimals.

        Args:
            celsius: the setpoint that is asked for.
            ramp_kelvin_per_minute: how fast; None or 0 is at once.
            most_celsius: the limit of station and cell.

        Raises:
            ProtocolError: names what is not allowed, and the limit.
        """
        if not isfinite(celsius):
            raise ProtocolError(f"setpoint {celsius!r}: must be a number of degC")
        rounded = round(celsius, self.temperature.decimals)
        if most_celsius is not None and max(celsius, rounded) > most_celsius:
            raise ProtocolError(
                f"setpoint {celsius:g} degC: above the limit temperature_max_celsius = {most_celsius:g} degC"
            )
        if not self.low_celsius <= rounded <= self.high_celsius:
            bounds = f"{self.low_celsius:g} to {self.high_celsius:g} degC"
            raise ProtocolError(f"setpoint {celsius:g} degC: the instrument allows {bounds}")
        if ramp_kelvin_per_minute and not self._can_ramp(ramp_kelvin_per_minute):
            raise ProtocolError(
                f"setpoint {celsius:g} degC: ramp {ramp_kelvin_per_minute:g} K/min: the instrument has steps "
                f"of {self.rate_step_kelvin_per_minute:g}, up to {self.rate_most_kelvin_per_minute:g} K/min"
            )
        return rounded

    def _can_ramp(self, kelvin_per_minute: float) -> bool:
        """To within 2 %."""
        if not 0 < kelvin_per_minute <= self.rate_most_kelvin_per_minute:
            return False
        steps = kelvin_per_minute / self.rate_step_kelvin_per_minute
        return abs(round(steps) - steps) <= 0.02 * steps
