"""GITT: R^2/D of every pulse by the finite-sphere fit, with its uncertainty, flags and cross-checks.

The primary value fits the pulse and the rest after it together (see `labctl.analysis.sphere_diffusion`).
Beside it stand the fit of the pulse alone, of the rest alone, and the classical evaluation (Weppner and
Huggins, J. Electrochem. Soc. 124 (1977) 1569), which takes diffusion as planar and semi-infinite and in
particles underestimates D: by 40 to 70 % for 10 min pulses and R^2/D of some 1000 s. The radius only enters
D = R^2 / (R^2/D).

What no fit of a GITT can see: an electrolyte path of resistance R_i through the composite that is not small
against the charge transfer R_ct adds about R_i^2 / (45 R_ct) to the diffusion resistance, and with it to
R^2/D. A D that changes along a pulse shifts charge and discharge in opposite directions, by about half of
that change: the mean of both is free of it.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from math import inf, log, nan, pi, sqrt
from typing import Any

import numpy as np

from labctl.analysis.conditions import recorded_cell, temperature_span_kelvin
from labctl.analysis.failures import CANNOT_BE_EVALUATED, reason
from labctl.analysis.gitt.pulses import Pulse, RestEnd, pulses_from_tables, rest_end
from labctl.analysis.gitt.results import GittAnalysis, GittPulse, SkippedPulse
from labctl.analysis.simulation_truth import SimulationTruth
from labctl.analysis.sphere_diffusion import (
    Array,
    Equilibrium,
    Transient,
    fit_sphere,
    pulse_response,
    rest_response,
)
from labctl.documents import RunTables
from labctl.records.cell import Cell

FARADAY_CONSTANT = 96485.33212  # C/mol, CODATA 2018
FIRST_SECOND = 5.0  # fits begin here after a change of current, later if charge transfer is slower
CHARGE_TRANSFERS = 5.0  # ... in units of R_ct C_dl
_FEWEST_SAMPLES = 8
SQRT_END_SECOND = 60.0  # E against sqrt t is taken from the first time of the fit to here


def analyze_run(
    tables: RunTables,
    cell: Cell | None = None,
    *,
    charge_transfer_second: float = 0.0,
    net_charge_before_ah: float = 0.0,
    only: Container[int] | None = None,
) -> GittAnalysis:
    """Analyse every pulse of a run.

    Args:
        tables: the run, from `labctl.documents.tables`.
        cell: gives the particle radius for D, and the composition step; None takes the cell record in the
            start document. Without a radius R^2/D is still given, D is NaN.
        charge_transfer_second: R_ct C_dl if known from impedance; fits begin after 5 times this, but not
            before 5 s.
        net_charge_before_ah: net charge of the run before the first step in the tables, where these are only
            a part of it.
        only: the step counts of the pulses that are wanted; their neighbours are looked at, not fitted.
    """
    cell = cell or recorded_cell(tables.start)
    truth = SimulationTruth.from_start(tables.start)
    radius = cell.particle_radius_metre if cell else None
    capacity = truth.capacity_full_ah if truth else _full_capacity_ah(cell)
    first_second = max(FIRST_SECOND, CHARGE_TRANSFERS * charge_transfer_second)
    found, skipped = pulses_from_tables(tables, net_charge_before_ah)
    usable, ends = _with_ends(found, first_second, skipped)
    results = list[GittPulse]()
    for i, pulse in enumerate(usable):
        if only is not None and pulse.step_count not in only:
            continue
        try:
            result = analyze_pulse(pulse, *ends[i], _curvature(usable, ends, i), first_second=first_second)
            result = _with_material(replace(result, index=i), radius, capacity, truth)
            end_second = pulse.start_test_time_second + pulse.duration_second + pulse.rest_second
            span = temperature_span_kelvin(tables, pulse.start_test_time_second, end_second)
            results.append(replace(result, flags=_flags(result, span)))
        except CANNOT_BE_EVALUATED as error:
            skipped.append(SkippedPulse(pulse.step_count, reason(error)))
    return GittAnalysis(
        run_uid=str(tables.start.get("uid", "")),
        cell_id=cell.id if cell else None,
        particle_radius_metre=radius,
        pulses=tuple(results),
        skipped=tuple(sorted(skipped, key=lambda s: s.step_count)),
    )


def _with_ends(
    found: list[Pulse], first_second: float, skipped: list[SkippedPulse]
) -> tuple[list[Pulse], list[tuple[RestEnd, RestEnd]]]:
    """The pulses that can be fitted, each with the ends of its rests; the others go to `skipped`."""
    few = f"fewer than {_FEWEST_SAMPLES} samples in the fit window of pulse or rest"
    usable, ends = list[Pulse](), list[tuple[RestEnd, RestEnd]]()
    for pulse in found:
        if not _enough(pulse, first_second):
            skipped.append(SkippedPulse(pulse.step_count, few))
            continue
        try:
            ends.append((rest_end(pulse.before), rest_end(pulse.after)))
            usable.append(pulse)
        except CANNOT_BE_EVALUATED as error:
            skipped.append(SkippedPulse(pulse.step_count, reason(error)))
    return usable, ends


def analyze_pulse(
    pulse: Pulse,
    before: RestEnd,
    after: RestEnd,
    curvature_volt: float = nan,
    *,
    first_second: float = FIRST_SECOND,
) -> GittPulse:
    """R^2/D of one pulse by all methods; `curvature_volt` (NaN: not known) as in `Equilibrium`."""
    step = after.voltage_volt - before.voltage_volt
    step_std = sqrt(before.std_error_volt**2 + after.std_error_volt**2)
    bend = 0.0 if np.isnan(curvature_volt) else curvature_volt
    equilibrium = Equilibrium(step, step_std, bend)
    return GittPulse(
        index=0,
        step_count=pulse.step_count,
        direction=pulse.direction,
        start_test_time_second=pulse.start_test_time_second,
        pulse_second=pulse.duration_second,
        rest_second=pulse.rest_second,
        current_ampere=float(np.median(pulse.during.current_ampere)),
        charge_ah=pulse.charge_ah,
        net_charge_ah=pulse.net_charge_ah,
        voltage_before_volt=before.voltage_volt,
        voltage_after_volt=after.voltage_volt,
        equilibrium_step_volt=step,
        equilibrium_step_std_volt=step_std,
        curvature_volt=curvature_volt,
        noise_volt=max(before.noise_volt, after.noise_volt),
        drift_volt_per_hour=max(before.drift_volt_per_hour, after.drift_volt_per_hour, key=abs),
        **_fitted(pulse, equilibrium, first_second),
    )


def _fitted(pulse: Pulse, equilibrium: Equilibrium, first_second: float) -> dict[str, Any]:
    """The fields of GittPulse that come from its transients."""
    tau, window = pulse.duration_second, _window(pulse, first_second)
    time, volt = pulse.during.time_second[window], pulse.during.voltage_volt[window]
    resting = pulse.after.time_second >= first_second
    rest = Transient(rest_response, pulse.after.time_second[resting], pulse.after.voltage_volt[resting])
    both = (Transient(pulse_response, time, volt, polarization_changes=True), rest)
    fit = fit_sphere(both, equilibrium, tau)
    of_pulse = fit_sphere((Transient(pulse_response, time, volt),), equilibrium, tau)
    of_rest = fit_sphere((rest,), equilibrium, tau)
    classical, by_slope, r2 = weppner_huggins(
        time, volt, equilibrium.step_volt, tau, first_second=first_second
    )
    return {
        "window_start_second": float(time[0]),
        "window_end_second": float(time[-1]),
        "diffusion_time_second": fit.diffusion_time_second,
        "diffusion_time_std_second": inf if fit.at_bound else fit.std_error_second,
        "fit_rms_volt": fit.rms_volt,
        "polarization_change_volt": fit.polarization_change_volt,
        "fourier_number": tau / fit.diffusion_time_second,
        "pulse_diffusion_time_second": of_pulse.diffusion_time_second,
        "relaxation_diffusion_time_second": of_rest.diffusion_time_second,
        "weppner_huggins_diffusion_time_second": classical,
        "sqrt_slope_diffusion_time_second": by_slope,
        "sqrt_slope_r2": r2,
    }


def weppner_huggins(
    time_second: Array,
    voltage_volt: Array,
    step_volt: float,
    duration_second: float,
    *,
    first_second: float = FIRST_SECOND,
) -> tuple[float, float, float]:
    """R^2/D (s) in the classical form and in its slope form, and r2 of E against sqrt t.

    D = (4 / (pi tau)) (V/S)^2 (dE_s / dE_t)^2 with V/S = R/3 of a sphere, so R^2/D = (9 pi tau / 4)
    (dE_t / dE_s)^2. dE_t is without ohmic drop and charge transfer: from the intercept of E against sqrt t,
    taken from `first_second` to 60 s, to the end of the pulse. The slope form has dE/dsqrt(t) sqrt(tau) for
    dE_t. NaN where the window holds fewer than 3 samples.
    """
    window = (time_second >= first_second) & (time_second <= min(SQRT_END_SECOND, duration_second))
    if window.sum() < 3 or step_volt == 0:
        return nan, nan, nan
    root, volt = np.sqrt(time_second[window]), voltage_volt[window]
    slope, intercept = np.polyfit(root, volt, 1)
    last = time_second >= 0.9 * duration_second
    end_volt = voltage_volt[last].mean() if last.any() else voltage_volt[-1]
    end_second = time_second[last].mean() if last.any() else time_second[-1]
    # The mean of the last tenth, carried to the end of the pulse along sqrt t.
    end_volt += (end_volt - intercept) * (sqrt(duration_second / end_second) - 1)
    scale = 9 * pi * duration_second / 4
    left = volt - slope * root - intercept
    spread = float(((volt - volt.mean()) ** 2).sum())
    r2 = 1 - float(left @ left) / spread if spread > 0 else nan
    classical = scale * ((end_volt - intercept) / step_volt) ** 2
    return float(classical), float(scale * (slope * sqrt(duration_second) / step_volt) ** 2), r2


def _window(pulse: Pulse, first_second: float) -> np.ndarray:
    time = pulse.during.time_second
    return (time >= first_second) & (time <= pulse.duration_second + 1e-6)


def _enough(pulse: Pulse, first_second: float) -> bool:
    resting = (pulse.after.time_second >= first_second).sum()
    return min(_window(pulse, first_second).sum(), resting) >= _FEWEST_SAMPLES


def _curvature(pulses: list[Pulse], ends: list[tuple[RestEnd, RestEnd]], i: int) -> float:
    """Second difference of the equilibrium curve at pulse i, from its neighbours; NaN if it has none."""
    near = [j for j in (i - 1, i, i + 1) if 0 <= j < len(pulses) and _adjoin(pulses[j], pulses[i])]
    if len(near) < 2 or any(pulses[j].charge_ah == 0 for j in near):
        return nan
    first, last = near[0], near[-1]
    if pulses[last].net_charge_ah == pulses[first].net_charge_ah:
        return nan

    def slope(j: int) -> float:
        return (ends[j][1].voltage_volt - ends[j][0].voltage_volt) / pulses[j].charge_ah

    distance = pulses[last].net_charge_ah - pulses[first].net_charge_ah
    return (slope(last) - slope(first)) / distance * pulses[i].charge_ah ** 2


def _adjoin(one: Pulse, other: Pulse) -> bool:
    return one.direction == other.direction and abs(one.step_count - other.step_count) <= 2


def _with_material(
    pulse: GittPulse, radius_metre: float | None, capacity_ah: float, truth: SimulationTruth | None
) -> GittPulse:
    """Add what needs the radius, the capacity or the truth."""
    time, std = pulse.diffusion_time_second, pulse.diffusion_time_std_second
    pulse = replace(pulse, composition_change=-pulse.charge_ah / capacity_ah)
    if radius_metre is not None:
        pulse = replace(
            pulse,
            diffusivity_m2_per_s=radius_metre**2 / time,
            diffusivity_std_m2_per_s=radius_metre**2 / time * (std / time),
            weppner_huggins_diffusivity_m2_per_s=radius_metre**2
            / pulse.weppner_huggins_diffusion_time_second,
        )
    if truth is None:
        return pulse
    stoichiometry = truth.stoichiometry_at(pulse.net_charge_ah)
    true_time = truth.diffusion_time_second(stoichiometry)
    return replace(
        pulse,
        stoichiometry=stoichiometry,
        ratio_to_truth=true_time / time,
        pulse_ratio_to_truth=true_time / pulse.pulse_diffusion_time_second,
        relaxation_ratio_to_truth=true_time / pulse.relaxation_diffusion_time_second,
        weppner_huggins_ratio_to_truth=true_time / pulse.weppner_huggins_diffusion_time_second,
        sqrt_slope_ratio_to_truth=true_time / pulse.sqrt_slope_diffusion_time_second,
    )


def _flags(pulse: GittPulse, temperature_span_kelvin: float) -> tuple[str, ...]:
    """Names of what speaks against this pulse, in the order of `gitt_records.FLAGS`."""
    step = abs(pulse.equilibrium_step_volt)
    rest_over_pulse = pulse.relaxation_diffusion_time_second / pulse.pulse_diffusion_time_second
    raised = {
        "finite_size": pulse.fourier_number > 0.05,
        "sqrt_not_linear": not pulse.sqrt_slope_r2 > 0.999,
        "poor_fit": pulse.fit_rms_volt > 3 * pulse.noise_volt,
        "at_bound": not np.isfinite(pulse.diffusion_time_std_second),
        "polarization_drift": abs(log(rest_over_pulse)) > log(1.2),
        "not_relaxed": abs(pulse.drift_volt_per_hour) > 1e-3,
        "step_small": step < 10 * pulse.noise_volt,
        "step_large": step > 15e-3,
        "composition_step_large": abs(pulse.composition_change) > 0.01,
        "curved_ocv": abs(pulse.curvature_volt) > 0.3 * step,
        "no_neighbour": bool(np.isnan(pulse.curvature_volt)),
        "temperature_drift": temperature_span_kelvin > 0.5,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def _full_capacity_ah(cell: Cell | None) -> float:
    """Charge (Ah) of one lithium per formula unit, from active and molar mass; NaN if not known."""
    molar_mass = cell.molar_mass_kg_per_mol if cell else None
    if cell is None or molar_mass is None:
        return nan
    return FARADAY_CONSTANT * cell.active_mass_kg / molar_mass / 3600
