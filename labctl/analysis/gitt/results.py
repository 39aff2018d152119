"""Results of a GITT analysis: frozen records with units in their names, and their JSON form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType

from labctl.analysis.result_text import letters, meanings, results, without_nan
from labctl.analysis.sphere_diffusion import AREA_CONVENTION

FLAGS: dict[str, str] = {
    "finite_size": "D tau/R^2 > 0.05: not semi-infinite, Weppner-Huggins is not valid (the sphere fit is)",
    "sqrt_not_linear": "r2 <= 0.999 of E against sqrt t: Weppner-Huggins is not valid",
    "poor_fit": "rms of the sphere fit above 3 times the noise",
    "at_bound": "the sphere fit ran to the end of the range searched",
    "polarization_drift": "pulse alone and rest alone differ by more than 20 % in R^2/D: the polarisation "
    "changes along the pulse (the joint fit corrects it)",
    "not_relaxed": "|dE/dt| at the end of a rest above 1 mV/h",
    "step_small": "dE_s below 10 times the noise",
    "step_large": "dE_s above 15 mV",
    "composition_step_large": "dx above 0.01",
    "curved_ocv": "dE_s differs from a neighbour's by more than 30 %",
    "no_neighbour": "no neighbouring pulse in the same direction: the bend of the OCV is not known",
    "temperature_drift": "temperature moved by more than 0.5 K",
}


@dataclass(frozen=True)
class SkippedPulse:
    """A current step that was not analysed, and why."""

    step_count: int
    reason: str


@dataclass(frozen=True)
class GittPulse:
    """One pulse and the rest after it. NaN: could not be computed.

    Voltages are cell voltages. `charge_ah` is signed, > 0 on charge; `net_charge_ah` is the net charge from
    the start of the run to the middle of the pulse. `diffusion_time_second` is R^2/D from the sphere fit of
    pulse and rest together, the primary result; `polarization_change_volt` is by how much the overpotential
    changed along the pulse in that fit. `pulse_...` and `relaxation_...` are from the pulse alone, with a
    constant overpotential, and from the rest alone, which has none; `weppner_huggins_...` is the classical
    value, `sqrt_slope_...` its slope form. `fourier_number` is D tau / R^2. The diffusivities use the radius
    of the analysis under its area convention. Ratios are D / D_true, compared through R^2/D with the truth's
    equivalent radius.
    """

    index: int
    step_count: int
    direction: Literal["charge", "discharge"]
    start_test_time_second: float
    pulse_second: float
    rest_second: float
    current_ampere: float
    charge_ah: float
    net_charge_ah: float
    voltage_before_volt: float
    voltage_after_volt: float
    equilibrium_step_volt: float
    equilibrium_step_std_volt: float
    curvature_volt: float
    noise_volt: float
    drift_volt_per_hour: float
    window_start_second: float
    window_end_second: float
    diffusion_time_second: float
    diffusion_time_std_second: float
    fit_rms_volt: float
    polarization_change_volt: float
    fourier_number: float
    pulse_diffusion_time_second: float
    relaxation_diffusion_time_second: float
    weppner_huggins_diffusion_time_second: float
    sqrt_slope_diffusion_time_second: float
    sqrt_slope_r2: float
    diffusivity_m2_per_s: float = nan
    diffusivity_std_m2_per_s: float = nan
    weppner_huggins_diffusivity_m2_per_s: float = nan
    composition_change: float = nan
    stoichiometry: float = nan
    ratio_to_truth: float = nan
    pulse_ratio_to_truth: float = nan
    relaxation_ratio_to_truth: float = nan
    weppner_huggins_ratio_to_truth: float = nan
    sqrt_slope_ratio_to_truth: float = nan
    flags: tuple[str, ...] = ()

    @property
    def determined(self) -> bool:
        """Whether the fit fixes R^2/D: its standard error is below half of it, and the step has its sign."""
        rising = self.equilibrium_step_volt > 0
        known = self.diffusion_time_std_second < 0.5 * self.diffusion_time_second
        return known and rising == (self.direction == "charge")


@dataclass(frozen=True)
class GittAnalysis:
    """All pulses of a run, the radius and convention of their diffusivities, and what was left out."""

    run_uid: str
    cell_id: str | None
    particle_radius_metre: float | None
    pulses: tuple[GittPulse, ...]
    skipped: tuple[SkippedPulse, ...]
    area_convention: str = AREA_CONVENTION

    @property
    def median_ratio_to_truth(self) -> float | None:
        """Median over all pulses of fitted over true D; None where there is no simulation truth."""
        return self.median("ratio_to_truth")

    @property
    def direction_count(self) -> dict[str, int]:
        """Number of pulses in each direction."""
        return {d: sum(p.direction == d for p in self.pulses) for d in ("charge", "discharge")}

    def median(self, field: str) -> float | None:
        """Median of a field over the determined pulses that have it; None if none has."""
        values = [v for p in self.pulses if p.determined and isfinite(v := getattr(p, field))]
        return float(np.median(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None; medians beside the pulses."""
        ratio = self.median_ratio_to_truth
        ratios = [p.ratio_to_truth for p in self.pulses if isfinite(p.ratio_to_truth)]
        plain: dict[str, Any] = without_nan(asdict(self))
        return {
            **{key: value for key, value in plain.items() if key not in {"pulses", "skipped"}},
            "pulse_count": len(self.pulses),
            "determined_pulse_count": sum(p.determined for p in self.pulses),
            "median_diffusion_time_second": self.median("diffusion_time_second"),
            "median_diffusivity_m2_per_s": self.median("diffusivity_m2_per_s"),
            "median_ratio_to_truth": ratio,
            "fraction_within_5_percent": float(np.mean(np.abs(np.array(ratios) - 1) < 0.05))
            if ratios
            else None,
            "median_pulse_ratio_to_truth": self.median("pulse_ratio_to_truth"),
            "median_relaxation_ratio_to_truth": self.median("relaxation_ratio_to_truth"),
            "median_weppner_huggins_ratio_to_truth": self.median("weppner_huggins_ratio_to_truth"),
            "median_sqrt_slope_ratio_to_truth": self.median("sqrt_slope_ratio_to_truth"),
            "pulses": plain["pulses"],
            "skipped": plain["skipped"],
        }


def result_table(analysis: GittAnalysis) -> RenderableType:
    """A GITT analysis: one line per pulse, then medians, what the flags mean, and what was left out.

    Voltages are cell voltages; D belongs to the radius and the area convention named below the table.
    """
    letter_of = letters(FLAGS, (pulse.flags for pulse in analysis.pulses))
    notes = [*_summary(analysis), *meanings(letter_of, FLAGS)]
    notes += [f"Step {s.step_count} was left out: {s.reason}." for s in analysis.skipped]
    counts = analysis.direction_count
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    title = f"GITT of run {analysis.run_uid[:8]}{cell}: pulses {counts['charge']}+ {counts['discharge']}-"
    return results(title, analysis.pulses, _columns(analysis, letter_of), notes)


def _columns(analysis: GittAnalysis, letter_of: dict[str, str]) -> dict[str, Callable[[GittPulse], str]]:
    columns: dict[str, Callable[[GittPulse], str]] = {
        "#": lambda p: f"{p.index + 1}{'+' if p.direction == 'charge' else '-'}",
        "Q\nmAh": lambda p: f"{p.net_charge_ah * 1e3:.3f}",
        "E rest\nV": lambda p: f"{p.voltage_after_volt:.4f}",
        "dE_s\nmV": lambda p: f"{p.equilibrium_step_volt * 1e3:.2f}",
        "R²/D\ns": lambda p: f"{_digits(p.diffusion_time_second)} ±{p.diffusion_time_std_second:.0f}",
        "rest\ns": lambda p: _digits(p.relaxation_diffusion_time_second),
        "WH\ns": lambda p: _digits(p.weppner_huggins_diffusion_time_second),
    }
    if analysis.particle_radius_metre is not None:
        columns["D\nm²/s"] = lambda p: f"{p.diffusivity_m2_per_s:.2e}"
    if analysis.median_ratio_to_truth is not None:
        columns["D/true\n1"] = lambda p: f"{p.ratio_to_truth:.3f}"
    columns["flags"] = lambda p: "".join(letter_of[name] for name in p.flags)
    return columns


def _summary(analysis: GittAnalysis) -> list[str]:
    if not analysis.pulses:
        return ["No pulse could be analysed."]
    lines = [
        "R²/D: spheres, fitted to pulse and rest (± one standard error); rest: fitted to the rest alone; "
    ]
    lines[0] += "WH: R²/D by Weppner and Huggins. + charge, - discharge."
    lost = [str(p.index + 1) for p in analysis.pulses if not p.determined]
    if lost:
        lines.append(f"Not in the medians, for their fit does not fix R²/D: pulses {', '.join(lost)}.")
    if len(lost) == len(analysis.pulses):
        return lines
    time = analysis.median("diffusion_time_second")
    lines.append(f"Median R²/D {_digits(time)} s.")
    radius = analysis.particle_radius_metre
    if radius is None:
        lines.append("D is not given: the cell record has no active_material.particle_radius_um.")
    else:
        diffusivity = analysis.median("diffusivity_m2_per_s")
        lines.append(f"Median D {diffusivity:.2e} m²/s with R = {radius * 1e6:g} um. Area convention,")
        lines[-1] += f" {analysis.area_convention}"
    ratio = analysis.median_ratio_to_truth
    if ratio is not None:
        huggins = analysis.median("weppner_huggins_ratio_to_truth")
        shown = "-" if huggins is None else f"{huggins:.3f}"
        lines.append(f"Median of fitted over true D: {ratio:.3f} (Weppner and Huggins {shown}).")
    return lines


def _digits(value: float | None) -> str:
    """Four digits of a time in s."""
    return "-" if value is None or not isfinite(value) else f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
