"""What an analysis of current interruptions says: frozen records with units in their names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any, Literal

import numpy as np

from labctl.analysis.gitt_records import AREA_CONVENTION
from labctl.analysis.plain import without_nan

FLAGS: dict[str, str] = {
    "not_steady": "the current had flowed for less than 0.15 R^2/D since the last rest: the concentration "
    "still built up",
    "no_neighbour": "no other interruption in the same direction: dE/dt of the current is not known",
    "curved_ocv": "dE/dt of the current differs from a neighbour's by more than 30 %",
    "slope_small": "the slope against sqrt t is below 3 standard errors",
    "wrong_sign": "slope or dE/dt has the wrong sign for this direction",
    "temperature_drift": "temperature moved by more than 0.5 K",
}


@dataclass(frozen=True)
class Interruption:
    """One pause of the current. NaN: could not be computed.

    Attributes:
        index: From 0 in the run.
        step_count: Step of the pause.
        direction: Of the current before it.
        start_test_time_second: Beginning of the pause.
        current_second: How long the current flowed before it.
        pause_second: Length of the pause.
        current_ampere: Before the pause, > 0 on charge.
        net_charge_ah: Net charge from the start of the run to the pause, > 0 on charge.
        voltage_on_volt: Cell voltage at the end of the current.
        regression_volt: Intercept at t = 0 of E against sqrt(t) in the pause.
        regression_std_volt: Its standard error.
        slope_volt_per_sqrt_second: dE/dsqrt(t) in the pause.
        slope_std_volt_per_sqrt_second: Its standard error.
        slope_r2: Of that straight line.
        resistance_ohm: (E_on - intercept) / I: all that has relaxed before the regression begins.
        resistance_std_ohm: Its standard error.
        diffusion_resistance_ohm_per_sqrt_second: -slope / I.
        equilibrium_slope_volt_per_second: dE/dt of the intercepts, by time with current.
        diffusion_time_second: R^2/D after Chien et al. 2023.
        diffusion_time_std_second: Its standard error.
        sphere_diffusion_time_second: R^2/D of the perfect sphere with this pause.
        diffusivity_m2_per_s: With the radius of the analysis, under its area convention.
        stoichiometry: Lithium per formula unit, from the simulation's truth.
        ratio_to_truth: D / D_true, compared through R^2/D.
        flags: Names out of `FLAGS`.
    """

    index: int
    step_count: int
    direction: Literal["charge", "discharge"]
    start_test_time_second: float
    current_second: float
    pause_second: float
    current_ampere: float
    net_charge_ah: float
    voltage_on_volt: float
    regression_volt: float
    regression_std_volt: float
    slope_volt_per_sqrt_second: float
    slope_std_volt_per_sqrt_second: float
    slope_r2: float
    resistance_ohm: float
    resistance_std_ohm: float
    diffusion_resistance_ohm_per_sqrt_second: float
    equilibrium_slope_volt_per_second: float = nan
    diffusion_time_second: float = nan
    diffusion_time_std_second: float = nan
    sphere_diffusion_time_second: float = nan
    diffusivity_m2_per_s: float = nan
    stoichiometry: float = nan
    ratio_to_truth: float = nan
    flags: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether R^2/D is known and nothing speaks against the method here."""
        against = {"not_steady", "slope_small", "wrong_sign"}
        return isfinite(self.diffusion_time_second) and not against & {*self.flags}


@dataclass(frozen=True)
class IciAnalysis:
    """All interruptions of a run, the area of its cell, and what was left out with the reason."""

    run_uid: str
    cell_id: str | None
    area_m2: float | None
    particle_radius_metre: float | None
    interruptions: tuple[Interruption, ...]
    skipped: tuple[tuple[int, str], ...]
    area_convention: str = AREA_CONVENTION

    def median(self, field: str) -> float | None:
        """Median of a field over the sound interruptions that have it; None if none has."""
        values = [v for i in self.interruptions if i.sound and isfinite(v := getattr(i, field))]
        return float(np.median(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None; medians beside the interruptions."""
        medians = (
            "resistance_ohm",
            "diffusion_time_second",
            "sphere_diffusion_time_second",
            "diffusivity_m2_per_s",
            "ratio_to_truth",
        )
        cleaned: dict[str, Any] = without_nan(asdict(self))
        return cleaned | {f"median_{field}": self.median(field) for field in medians}
