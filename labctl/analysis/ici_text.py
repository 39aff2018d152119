"""Current interruptions as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType

from labctl.analysis.ici_records import FLAGS, IciAnalysis, Interruption
from labctl.analysis.text import letters, meanings, number, results, with_error

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
