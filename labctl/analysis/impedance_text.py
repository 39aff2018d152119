"""Spectra, tortuosity and direct-current polarisation as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType

from labctl.analysis import impedance, steady_state, tortuosity
from labctl.analysis.impedance import ImpedanceAnalysis, SpectrumResult
from labctl.analysis.steady_state import PolarizationAnalysis, SteadyHold
from labctl.analysis.text import letters, meanings, number, results, with_error
from labctl.analysis.tortuosity import TortuosityAnalysis, TortuosityPoint


def impedance_table(analysis: ImpedanceAnalysis) -> RenderableType:
    """One line per spectrum: conditions, the fitted circuit, the Kramers-Kronig residual."""
    rows, known = analysis.results, impedance.FLAGS
    letter_of = letters(known, (row.flags for row in rows))
    columns: dict[str, Callable[[SpectrumResult], str]] = {
        "#": lambda r: str(r.spectrum.spectrum_count),
        "what": lambda r: r.spectrum.tag,
        "E\nV": lambda r: f"{r.spectrum.voltage_volt:.4f}",
        "T\n°C": lambda r: number(r.spectrum.temperature_celsius, 3),
        "P\nMPa": lambda r: number(r.spectrum.pressure_pa, 3, 1e-6),
        "R0\nohm": lambda r: with_error(r.circuit.series_ohm, r.circuit.series_std_ohm),
        "R of arcs\nohm": lambda r: "\n".join(
            with_error(arc.resistance_ohm, arc.resistance_std_ohm) for arc in r.circuit.arcs
        ),
        "apex\nHz": lambda r: "\n".join(number(arc.peak_frequency_hertz, 2) for arc in r.circuit.arcs),
        "KK\n%": lambda r: f"{100 * r.kramers_kronig.largest_residual:.2f}",
        "flags": lambda r: "".join(letter_of[flag] for flag in r.flags),
    }
    notes = [
        "R0: in series; arcs (ZARC) with the frequency of their apex, fastest first; ± one standard error.",
        "KK: largest residual of the linear Kramers-Kronig test, of |Z|.",
        *meanings(letter_of, known),
        *(f"Left out: {reason}." for reason in analysis.skipped),
    ]
    cell = f", cell {analysis.cell_id}" if analysis.cell_id else ""
    return results(f"Impedance of run {analysis.run_uid[:8]}{cell}", rows, columns, notes)


def tortuosity_table(analysis: TortuosityAnalysis) -> RenderableType:
    """One line per spectrum: rails of the composite, and the tortuosity factor of its ion paths."""
    known = tortuosity.FLAGS
    letter_of = letters(known, (point.flags for point in analysis.points))
    columns: dict[str, Callable[[TortuosityPoint], str]] = {
        "#": lambda p: str(p.spectrum_count),
        "T\n°C": lambda p: number(p.temperature_celsius, 3),
        "P\nMPa": lambda p: number(p.pressure_pa, 3, 1e-6),
        "R ion\nohm": lambda p: with_error(p.ionic_ohm, p.ionic_std_ohm),
        "R el\nohm": lambda p: with_error(p.electronic_ohm, p.electronic_std_ohm),
        "σ ion\nmS/cm": lambda p: number(p.ionic_conductivity_s_per_m, 4, 10.0),
        "σ el\nmS/cm": lambda p: number(p.electronic_conductivity_s_per_m, 4, 10.0),
        "τ²\n1": lambda p: with_error(p.tortuosity_factor, p.tortuosity_factor_std),
        "flags": lambda p: "".join(letter_of[flag] for flag in p.flags),
    }
    thickness, fraction = analysis.thickness_um, analysis.electrolyte_volume_fraction
    conductivity = analysis.electrolyte_conductivity_s_per_m
    rests_on = (
        f"thickness {_given(thickness)} um, electrolyte volume fraction {_given(fraction)}, "
        f"conductivity {_given(None if conductivity is None else conductivity * 10)} mS/cm"
    )
    notes = [
        "R ion, R el: rails of the composite by the transmission line, ± one standard error of the fit; "
        "τ² = φ N_M, N_M = σ_SE / σ_ion.",
        f"From the cell record: {rests_on}.",
        *meanings(letter_of, known),
        *(f"Left out: {why}." for why in analysis.skipped),
    ]
    title = f"{analysis.path.capitalize()} path, run {analysis.run_uid[:8]}, cell {analysis.cell_id}"
    return results(title, analysis.points, columns, notes)


def _given(value: float | None) -> str:
    return "not given" if value is None else f"{value:g}"


def polarization_table(analysis: PolarizationAnalysis) -> RenderableType:
    """One line per hold, and the resistance they make together."""
    known = steady_state.FLAGS
    letter_of = letters(known, [analysis.flags])
    columns: dict[str, Callable[[SteadyHold], str]] = {
        "step": lambda h: str(h.step_count),
        "V\nmV": lambda h: number(h.voltage_volt, 5, 1e3),
        "I\nuA": lambda h: with_error(h.current_ampere, h.current_std_ampere, 1e6),
        "change\n%/10 min": lambda h: number(h.change_per_window, 2, 100.0),
        "hold\ns": lambda h: number(h.hold_second, 5),
        "flags": lambda h: "".join(letter_of[flag] for flag in h.flags),
    }
    resistance = with_error(analysis.resistance_ohm, analysis.resistance_std_ohm)
    conductivity = number(analysis.conductivity_s_per_m, 4, 10.0)
    notes = [
        f"R = {resistance} ohm (slope of V against steady I, offset {analysis.offset_volt * 1e3:.3g} mV); "
        f"σ = L/(R A) = {conductivity} mS/cm, with all that is in series counted to the composite.",
        *meanings(letter_of, known),
        *(f"Left out: {why}." for why in analysis.skipped),
    ]
    title = f"Polarisation of run {analysis.run_uid[:8]}, cell {analysis.cell_id}"
    return results(title, analysis.holds, columns, notes)
