"""A press that turns gas pressure into stack pressure: its areas, and the correction from a load cell.

P = F / A of the pellet is the truth. The line pressure times the ratio of piston to pellet area tells the
same if ratio, seals and sensors are right; what they are off by is corrected, slowly and within a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from labctl.errors import ConfigurationError


@dataclass(frozen=True)
class Press:
    """Areas and what is allowed of the correction.

    Args:
        pellet_area_m2: cross-section of the pellet.
        piston_area_m2: on which the line pressure acts.
        correction_max_share: so far may the line be corrected from what the areas say.
        disagreement_share: load cell and actuator may differ by this share of the larger one,
        disagreement_floor_pa: and by this besides (friction, zero of the load cell).
    """

    pellet_area_m2: float
    piston_area_m2: float
    correction_max_share: float = 0.15
    disagreement_share: float = 0.10
    disagreement_floor_pa: float = 1e6

    def __post_init__(self) -> None:
        for name, most in (
            ("pellet_area_m2", 1.0),
            ("piston_area_m2", 10.0),
            ("correction_max_share", 0.5),
            ("disagreement_share", 1.0),
            ("disagreement_floor_pa", 1e9),
        ):
            value = getattr(self, name)
            if not (isfinite(value) and 0 < value <= most):
                raise ConfigurationError("heated cell", name, value, f"must be > 0 and <= {most:g}")

    @property
    def ratio(self) -> float:
        """Stack pressure per line pressure, of the ideal press."""
        return self.piston_area_m2 / self.pellet_area_m2

    def disagree(self, surface_pa: float, applied_low_pa: float, applied_high_pa: float) -> bool:
        """Whether the load cell's pressure is too far from what the actuator applied around that moment."""
        off_pa = max(applied_low_pa - surface_pa, surface_pa - applied_high_pa, 0.0)
        largest_pa = max(abs(surface_pa), abs(applied_high_pa))
        return off_pa > self.disagreement_share * largest_pa + self.disagreement_floor_pa

    def apart(self, surface_pa: float, applied_pa: float) -> str:
        """That they disagree, in words."""
        return (
            f"load cell ({surface_pa / 1e6:.4g} MPa) and actuator ({applied_pa / 1e6:.4g} MPa) differ by "
            f"more than {self.disagreement_share:.0%}"
        )

    def first_line_pa(self, target_pa: float, surface_pa: float, applied_pa: float) -> float:
        """Line pressure (Pa) to begin with.

        Once there is pressure, load cell over actuator tells the true ratio. Before, the highest one is
        assumed: pressure is approached from below.
        """
        known = applied_pa > 5 * self.disagreement_floor_pa
        gain = surface_pa / applied_pa if known else 1 + self.correction_max_share
        least, most = 1 - self.correction_max_share, 1 + self.correction_max_share
        return target_pa / self.ratio / min(max(gain, least), most)

    def corrected_line_pa(self, target_pa: float, line_pa: float, surface_pa: float) -> tuple[float, bool]:
        """The line setpoint that would have given the target, and whether the bound keeps it from there."""
        ideal_pa = target_pa / self.ratio
        least = ideal_pa / (1 + self.correction_max_share)
        most = ideal_pa / (1 - self.correction_max_share)
        wanted = line_pa * target_pa / surface_pa if surface_pa > 0 else inf
        allowed = min(max(wanted, least), most)
        return allowed, allowed != wanted


@dataclass(frozen=True)
class PressureOptions:
    """Defaults of every `set`: pressures of the stack in Pa, times of the station's clock in s.

    The tolerance is `tolerance_share` of the target, at least `tolerance_floor_pa`.
    """

    ramp_pa_per_second: float = 0.5e6
    tolerance_share: float = 0.01
    tolerance_floor_pa: float = 0.25e6
    dwell_second: float = 10.0

    def __post_init__(self) -> None:
        for name in ("ramp_pa_per_second", "tolerance_share", "tolerance_floor_pa", "dwell_second"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ConfigurationError("heated cell", name, value, "must be a number > 0")

    def tolerance_pa(self, stack_pa: float) -> float:
        """How near counts as there."""
        return max(self.tolerance_share * stack_pa, self.tolerance_floor_pa)


class Steadiness:
    """Whether a value has stood still for a while.

    Args:
        band: changes up to this are none.
        second: for so long.
    """

    def __init__(self, band: float, second: float) -> None:
        self._band, self._second = band, second
        self._anchor: tuple[float, float] | None = None

    def reset(self) -> None:
        """Begin anew."""
        self._anchor = None

    def steady(self, value: float, now_second: float) -> bool:
        """Take a value into account; whether all of the last while were near each other."""
        if self._anchor is None or abs(value - self._anchor[0]) > self._band:
            self._anchor = (value, now_second)
        return now_second - self._anchor[1] >= self._second
