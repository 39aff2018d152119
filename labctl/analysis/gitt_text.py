"""A GITT analysis as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from labctl.analysis.gitt_records import FLAGS, GittAnalysis, GittPulse
from labctl.printable import printable


def result_table(analysis: GittAnalysis) -> RenderableType:
    """A GITT analysis: one line per pulse, then medians, what the flags mean, and what was left out.

    Voltages are cell voltages; D belongs to the radius and the area convention named below the table.
    """
    raised = [name for name in FLAGS if any(name in pulse.flags for pulse in analysis.pulses)]
    letters = {name: chr(ord("a") + i) for i, name in enumerate(raised)}
    legend = [f"{letters[name]}: {FLAGS[name]}" for name in raised]
    left_out = [f"Step {s.step_count} was left out: {s.reason}." for s in analysis.skipped]
    lines = [Text(printable(line)) for line in (*_summary(analysis), *legend, *left_out)]
    return Group(_table(analysis, letters), *lines) if analysis.pulses else Group(*lines)


def _table(analysis: GittAnalysis, letters: dict[str, str]) -> Table:
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
    columns["flags"] = lambda p: "".join(letters[name] for name in p.flags)
    counts = analysis.direction_count
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    title = f"GITT of run {analysis.run_uid[:8]}{cell}: pulses {counts['charge']}+ {counts['discharge']}-"
    table = Table(
        title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for header in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for pulse in analysis.pulses:
        table.add_row(*(cell_of(pulse) for cell_of in columns.values()))
    return table


def _summary(analysis: GittAnalysis) -> list[str]:
    if not analysis.pulses:
        return ["No pulse could be analysed."]
    lines = [
        "R²/D: spheres, fitted to pulse and rest (± one standard error); rest: fitted to the rest alone; "
    ]
    lines[0] += "WH: R²/D by Weppner and Huggins. + charge, - discharge."
    lost = [str(p.index) for p in analysis.pulses if not p.determined]
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
