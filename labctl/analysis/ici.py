"""Intermittent current interruption: resistance and R^2/D from short pauses of a constant current.

Chien, Liu, Menon, Brant, Brandell and Lacey, Nat. Commun. 14 (2023) 2289, doi 10.1038/s41467-023-37989-6.
In a pause the voltage falls linearly with sqrt(t) from 1 to 5 s; the intercept at t = 0 is E_reg, the slope
is s. With E_on at the end of the current I,

    resistance = (E_on - E_reg) / I,        D = (4 / pi) (V / S)^2 ((dE_reg / dt_on) / s)^2

where t_on is the time with current only; with V/S = R/3 that is R^2/D = (9 pi / 4) (s / (dE_reg/dt_on))^2.

Two things it leaves out act against each other. Diffusion is taken as planar: of perfect spheres, the pause
sees the steady drift too, and R^2/D comes out short, by 13 % at 6250 s and by 28 % at 1560 s. Whatever else
still relaxes after 1 s (the distribution of lithium through the depth of the electrode, slow interfaces)
lets it come out long. In the simulated pellets the two nearly cancel: D / D_true = 1.07 to 1.09. Beside it
stands R^2/D of the sphere whose pause, (dE_reg/dt_on) (R^2/3D) (3T - f(T)) with T = D t/R^2
(`labctl.analysis.sphere_diffusion`), has the measured slope: right for perfect spheres, 15 to 25 % long in
those pellets. GITT is the judge. Both want a steady profile: current for at least 0.15 R^2/D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from math import isfinite, isnan, nan, pi, sqrt
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType
from scipy.optimize import brentq

from labctl.analysis.conditions import recorded_cell, temperature_span_kelvin
from labctl.analysis.failures import CANNOT_BE_EVALUATED, reason
from labctl.analysis.result_text import letters, meanings, number, results, with_error, without_nan
from labctl.analysis.simulation_truth import SimulationTruth
from labctl.analysis.sphere_diffusion import AREA_CONVENTION, sphere_response
from labctl.analysis.step_samples import (
    Array,
    Segment,
    StepRow,
    charge_ah,
    duration_second,
    rows_by_step,
    samples_by_step,
)
from labctl.documents import RunTables
from labctl.records.cell import Cell
from labctl.schema import START_TEST_TIME, STEP_TYPE

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


_MOST_ROWS = 60  # of a long run the first and last ones are shown


def ici_table(analysis: IciAnalysis) -> RenderableType:
    """One line per interruption, then medians over the sound ones, the area convention, what was left out."""
    letter_of = letters(FLAGS, (one.flags for one in analysis.interruptions))
    columns: dict[str, Callable[[Interruption], str]] = {
        "#": lambda i: f"{i.index + 1}{'+' if i.direction == 'charge' else '-'}",
        "Q\nmAh": lambda i: f"{i.net_charge_ah * 1e3:.3f}",
        "E\nV": lambda i: f"{i.regression_volt:.4f}",
        "R\nohm": lambda i: with_error(i.resistance_ohm, i.resistance_std_ohm),
        "k\nohm/√s": lambda i: number(i.diffusion_resistance_ohm_per_sqrt_second, 3),
        "R²/D\ns": lambda i: with_error(i.diffusion_time_second, i.diffusion_time_std_second),
        "sphere\ns": lambda i: number(i.sphere_diffusion_time_second),
        "D\nm²/s": lambda i: number(i.diffusivity_m2_per_s, 3),
        "D/true\n1": lambda i: number(i.ratio_to_truth, 3),
        "flags": lambda i: "".join(letter_of[flag] for flag in i.flags),
    }
    rows, between = _shown(analysis.interruptions)
    notes = [*between, *_summary(analysis), *meanings(letter_of, FLAGS)]
    notes += [f"Step {count} was left out: {reason}." for count, reason in analysis.skipped]
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    return results(f"Current interruptions of run {analysis.run_uid[:8]}{cell}", rows, columns, notes)


def _shown(rows: tuple[Interruption, ...]) -> tuple[list[Interruption], list[str]]:
    if len(rows) <= _MOST_ROWS:
        return list(rows), []
    half = _MOST_ROWS // 2
    left_out = f"{len(rows) - 2 * half} interruptions in between are left out; --json has all."
    return [*rows[:half], *rows[-half:]], [left_out]


def _summary(analysis: IciAnalysis) -> list[str]:
    if not analysis.interruptions:
        return []
    lines = [
        "R = (E_on - E) / I with E the intercept of the pause against √t from 1 to 5 s, k = -slope / I; "
        "± one standard error. + charge, - discharge.",
        "R²/D after Chien et al. 2023 (planar diffusion; D some 8 % large in the simulated pellets); "
        "sphere: of the perfect sphere with this slope.",
    ]
    sound = sum(one.sound for one in analysis.interruptions)
    resistance, time = analysis.median("resistance_ohm"), analysis.median("diffusion_time_second")
    if resistance is None or time is None:
        return [*lines, "No interruption in a steady profile: no medians."]
    per_area = "" if analysis.area_m2 is None else f" ({resistance * analysis.area_m2 * 1e4:.4g} ohm cm²)"
    medians = f"Medians of {sound}: R {resistance:.4g} ohm{per_area}, R²/D {time:.4g} s"
    diffusivity, radius = analysis.median("diffusivity_m2_per_s"), analysis.particle_radius_metre
    if diffusivity is None or radius is None:
        return [*lines, f"{medians}. No D: the cell record has no active_material.particle_radius_um."]
    medians += f", D {diffusivity:.3g} m²/s with R = {radius * 1e6:g} um."
    return [*lines, medians, f"Area convention, {analysis.area_convention}"]


FIRST_SECOND, LAST_SECOND = 1.0, 5.0  # of the pause: the window of the regression
STEADY = 0.15  # time with current over R^2/D after which the profile is steady: exp(-20.19 T) = 5 %
_FEWEST_SAMPLES = 8
_END_SHARE = 0.1  # of the time with current, whose straight line gives E_on
_PAUSE = np.linspace(FIRST_SECOND, LAST_SECOND, 41)
_ROOT_OFFSET = np.sqrt(_PAUSE) - np.sqrt(_PAUSE).mean()
_LONGEST_PAUSE_SECOND = 600.0  # a longer one is a rest: the profile has gone after it
_CURVED, _WARMER_KELVIN, _OVER_NOISE = 0.3, 0.5, 3.0


@dataclass(frozen=True)
class _Line:
    """Intercept and slope of a straight line with their standard errors, and r2."""

    intercept: float
    intercept_std: float
    slope: float
    slope_std: float
    r2: float


def analyze_ici(tables: RunTables, cell: Cell | None = None) -> IciAnalysis:
    """Analyse every pause of a run that follows directly on a current.

    Args:
        tables: the run, from `labctl.documents.tables`.
        cell: gives the particle radius for D; None takes the cell record in the start document. Without a
            radius R^2/D is still given, D is NaN.
    """
    cell = cell or recorded_cell(tables.start)
    truth = SimulationTruth.from_start(tables.start)
    rows, samples = rows_by_step(tables), samples_by_step(tables)
    found, skipped, net = list[Interruption](), list[tuple[int, str]](), 0.0
    for count, row in rows.items():
        net += charge_ah(row)
        if not _is_pause(rows, count):
            continue
        few = _too_few(samples, count)
        if few:
            skipped.append((count, few))
        else:
            try:
                found.append(_interruption(len(found), rows, samples, count, net))
            except CANNOT_BE_EVALUATED as error:
                skipped.append((count, reason(error)))
    radius = cell.particle_radius_metre if cell else None
    results = list[Interruption]()
    for stretch in _stretches(found, rows):
        on = np.cumsum([one.current_second for one in stretch])
        slopes, errors = _equilibrium_slopes(stretch, on)
        for k, one in enumerate(stretch):
            try:
                evaluated = _with_diffusion(one, k, on, slopes, errors, tables)
                results.append(_with_material(evaluated, radius, truth))
            except CANNOT_BE_EVALUATED as error:
                skipped.append((one.step_count, reason(error)))
    return IciAnalysis(
        run_uid=str(tables.start.get("uid", "")),
        cell_id=cell.id if cell else None,
        area_m2=cell.area_m2 if cell else None,
        particle_radius_metre=radius,
        interruptions=tuple(results),
        skipped=tuple(sorted(skipped)),
    )


def _is_pause(rows: dict[int, StepRow], count: int) -> bool:
    before = rows.get(count - 1)
    after_current = before is not None and before[STEP_TYPE] in ("cc_charge", "cc_discharge")
    row = rows[count]
    return after_current and row[STEP_TYPE] == "rest" and duration_second(row) <= _LONGEST_PAUSE_SECOND


def _too_few(samples: dict[int, Segment], count: int) -> str | None:
    if count not in samples or count - 1 not in samples:
        return "no valid samples"
    within = _window(samples[count])
    if within.sum() < _FEWEST_SAMPLES:
        seconds = f"{FIRST_SECOND:g} and {LAST_SECOND:g} s"
        return f"{within.sum()} samples between {seconds} of the pause, at least {_FEWEST_SAMPLES} are needed"
    return None


def _window(pause: Segment) -> np.ndarray:
    time = pause.time_second
    return (time >= FIRST_SECOND - 1e-6) & (time <= LAST_SECOND + 1e-6)


def _interruption(
    index: int, rows: dict[int, StepRow], samples: dict[int, Segment], count: int, net_charge_ah: float
) -> Interruption:
    current, pause = samples[count - 1], samples[count]
    within = _window(pause)
    line = _line(np.sqrt(pause.time_second[within]), pause.voltage_volt[within])
    on = _end_of_current(current, duration_second(rows[count - 1]))
    ampere = float(np.median(current.current_ampere))
    if ampere == 0 or not duration_second(rows[count - 1]) > 0:
        raise ValueError("no current flowed before it, or for no time")
    return Interruption(
        index=index,
        step_count=count,
        direction=_direction(rows[count - 1]),
        start_test_time_second=float(rows[count][START_TEST_TIME]),
        current_second=duration_second(rows[count - 1]),
        pause_second=duration_second(rows[count]),
        current_ampere=ampere,
        net_charge_ah=net_charge_ah,
        voltage_on_volt=on.intercept,
        regression_volt=line.intercept,
        regression_std_volt=line.intercept_std,
        slope_volt_per_sqrt_second=line.slope,
        slope_std_volt_per_sqrt_second=line.slope_std,
        slope_r2=line.r2,
        resistance_ohm=(on.intercept - line.intercept) / ampere,
        resistance_std_ohm=sqrt(on.intercept_std**2 + line.intercept_std**2) / abs(ampere),
        diffusion_resistance_ohm_per_sqrt_second=-line.slope / ampere,
    )


def _direction(row: StepRow) -> Literal["charge", "discharge"]:
    return "charge" if row[STEP_TYPE] == "cc_charge" else "discharge"


def _end_of_current(current: Segment, length_second: float) -> _Line:
    """The voltage at the very end of the current, from a straight line through its last tenth."""
    time = current.time_second - length_second
    last = time >= -_END_SHARE * length_second
    if last.sum() < 3:
        return _Line(float(current.voltage_volt[-1]), 0.0, nan, nan, nan)
    return _line(time[last], current.voltage_volt[last])


def _line(x: Array, y: Array) -> _Line:
    """Least squares; at least 3 points, of which the errors are those of the scatter about the line."""
    offset = x - x.mean()
    spread = float(offset @ offset)
    slope = float(offset @ y) / spread
    left = y - y.mean() - slope * offset
    variance = float(left @ left) / max(len(x) - 2, 1)
    total = float(((y - y.mean()) ** 2).sum())
    return _Line(
        intercept=float(y.mean() - slope * x.mean()),
        intercept_std=sqrt(variance * (1 / len(x) + float(x.mean()) ** 2 / spread)),
        slope=slope,
        slope_std=sqrt(variance / spread),
        r2=1 - float(left @ left) / total if total > 0 else nan,
    )


def _stretches(found: list[Interruption], rows: dict[int, StepRow]) -> list[list[Interruption]]:
    """Interruptions of one current that only pauses interrupted: from rest to rest, in one direction."""
    pauses = {one.step_count for one in found}
    stretch, of = 0, dict[int, int]()
    last: str | None = None
    for count, row in rows.items():
        if row[STEP_TYPE] in ("cc_charge", "cc_discharge"):
            stretch += _direction(row) != last
            last = _direction(row)
        elif count not in pauses:
            last = None
        of[count] = stretch
    return [list(members) for _, members in groupby(found, key=lambda one: of[one.step_count])]


def _with_diffusion(
    one: Interruption, k: int, on_second: Array, slopes: Array, errors: Array, tables: RunTables
) -> Interruption:
    """Interruption `k` of its stretch with dE/dt of the current, R^2/D, and its flags."""
    one = _with_diffusion_time(one, float(slopes[k]), float(errors[k]))
    end_second = one.start_test_time_second + one.pause_second
    span = temperature_span_kelvin(tables, one.start_test_time_second - one.current_second, end_second)
    near = slopes[max(k - 1, 0) : k + 2]
    curved = bool(np.abs(near - slopes[k]).max() > _CURVED * abs(slopes[k]))
    return replace(one, flags=_flags(one, float(on_second[k]), curved, span))


def _equilibrium_slopes(stretch: list[Interruption], on_second: Array) -> tuple[Array, Array]:
    """dE_reg/dt_on (V/s) by differences to both neighbours, and its standard error; NaN for one alone."""
    if len(stretch) < 2:
        return np.full(len(stretch), nan), np.full(len(stretch), nan)
    volt = np.array([one.regression_volt for one in stretch])
    std = np.array([one.regression_std_volt for one in stretch])
    here = np.arange(len(stretch))
    first, last = np.maximum(here - 1, 0), np.minimum(here + 1, len(stretch) - 1)
    errors = np.hypot(std[first], std[last]) / (on_second[last] - on_second[first])
    return np.gradient(volt, on_second), errors


def _with_diffusion_time(one: Interruption, slope: float, slope_std: float) -> Interruption:
    one = replace(one, equilibrium_slope_volt_per_second=slope)
    if slope == 0 or one.slope_volt_per_sqrt_second == 0:
        return one
    ratio = -one.slope_volt_per_sqrt_second / slope
    of_pause = one.slope_std_volt_per_sqrt_second / one.slope_volt_per_sqrt_second
    time = 9 * pi / 4 * ratio**2
    return replace(
        one,
        diffusion_time_second=time,
        diffusion_time_std_second=time * 2 * float(np.hypot(of_pause, slope_std / slope)),
        sphere_diffusion_time_second=sphere_diffusion_time_second(ratio) if ratio > 0 else nan,
    )


def sphere_diffusion_time_second(slope_ratio: float) -> float:
    """R^2/D (s) of the sphere whose pause has the slope -`slope_ratio` (dE/dsqrt(t) over dE/dt_on, s^1/2).

    The slope is that of a straight line against sqrt(t) from `FIRST_SECOND` to `LAST_SECOND`. NaN where no
    sphere has it.
    """
    planar = 9 * pi / 4 * slope_ratio**2
    least, most = planar, 10 * planar + 10 * LAST_SECOND
    if not _sphere_slope(least) < slope_ratio < _sphere_slope(most):
        return nan
    found: Any = brentq(lambda time: _sphere_slope(time) - slope_ratio, least, most, xtol=1e-6 * planar)
    return float(found)


def _sphere_slope(diffusion_time_second: float) -> float:
    """How fast the voltage falls with sqrt(t) in a pause, over its steady rise with the current (s^1/2)."""
    fall = diffusion_time_second / 3 * sphere_response(_PAUSE / diffusion_time_second) - _PAUSE
    return float(_ROOT_OFFSET @ fall / (_ROOT_OFFSET @ _ROOT_OFFSET))


def _flags(one: Interruption, on_second: float, curved: bool, temperature_span: float) -> tuple[str, ...]:
    """Names of what speaks against this interruption, in the order of `FLAGS`."""
    error = one.slope_std_volt_per_sqrt_second
    sign = 1 if one.direction == "charge" else -1
    raised = {
        "not_steady": on_second < STEADY * one.diffusion_time_second,
        "no_neighbour": isnan(one.equilibrium_slope_volt_per_second),
        "curved_ocv": curved,
        "slope_small": abs(one.slope_volt_per_sqrt_second) < _OVER_NOISE * error,
        "wrong_sign": sign * one.slope_volt_per_sqrt_second > 0
        or sign * one.equilibrium_slope_volt_per_second < 0,
        "temperature_drift": temperature_span > _WARMER_KELVIN,
    }
    return tuple(name for name in FLAGS if raised[name])


def _with_material(
    one: Interruption, radius_metre: float | None, truth: SimulationTruth | None
) -> Interruption:
    if radius_metre is not None:
        one = replace(one, diffusivity_m2_per_s=radius_metre**2 / one.diffusion_time_second)
    if truth is None:
        return one
    stoichiometry = truth.stoichiometry_at(one.net_charge_ah)
    ratio = truth.diffusion_time_second(stoichiometry) / one.diffusion_time_second
    return replace(one, stoichiometry=stoichiometry, ratio_to_truth=ratio)
