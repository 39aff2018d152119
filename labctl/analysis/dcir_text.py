"""Resistances to direct current as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType

from labctl.analysis.dcir import FLAGS, DcirAnalysis, DcPulse
from labctl.analysis.text import letters, meanings, number, results


def dcir_table(analysis: DcirAnalysis) -> RenderableType:
    """One line per pulse: its state, its current, R at each time; then the area that R A refers to."""
    letter_of = letters(FLAGS, (pulse.flags for pulse in analysis.pulses))
    columns: dict[str, Callable[[DcPulse], str]] = {
        "step": lambda p: f"{p.step_count}{'+' if p.direction == 'charge' else '-'}",
        "Q\nmAh": lambda p: f"{p.net_charge_ah * 1e3:.3f}",
        "E rest\nV": lambda p: f"{p.rest_voltage_volt:.4f}",
        "T\n°C": lambda p: number(p.temperature_celsius, 3),
        "I\nmA": lambda p: number(p.current_ampere, 3, 1e3),
    }
    for index, second in enumerate(analysis.times_second):
        columns[f"R {second:g} s\nohm"] = lambda p, index=index: number(p.resistance_ohm[index])
    if analysis.area_m2 is not None:
        square_centimetre = analysis.area_m2 * 1e4
        last = len(analysis.times_second) - 2  # at 10 s: also in pulses of less than 30 s
        columns[f"R·A {analysis.times_second[last]:g} s\nohm cm²"] = lambda p: number(
            p.resistance_ohm[last], factor=square_centimetre
        )
    columns["flags"] = lambda p: "".join(letter_of[flag] for flag in p.flags)
    notes = ["R(t) = |V(t) - E rest| / |I|. + charge, - discharge; Q: net charge since the start of the run."]
    if analysis.area_m2 is not None:
        notes.append(f"A = {analysis.area_m2 * 1e4:.4g} cm², of the die.")
    notes += meanings(letter_of, FLAGS)
    notes += [f"Step {count} was left out: {reason}." for count, reason in analysis.skipped]
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    return results(f"Resistance to pulses, run {analysis.run_uid[:8]}{cell}", analysis.pulses, columns, notes)
