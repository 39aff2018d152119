"""A sweep of temperature and stack pressure as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import RenderableType

from labctl.analysis import arrhenius, pressure_law
from labctl.analysis.arrhenius import FORMS, ArrheniusFit
from labctl.analysis.conductivity_records import FLAGS, ConductivityAnalysis, ConductivityPoint
from labctl.analysis.full_cell import FLAGS as FULL_CELL_FLAGS
from labctl.analysis.pressure_law import PressureLaw
from labctl.analysis.symmetric_cell import FLAGS as RAIL_FLAGS
from labctl.analysis.text import letters, meanings, number, results, with_error

_MEANINGS = {**FULL_CELL_FLAGS, **RAIL_FLAGS}
_WHAT = {
    "electrolyte": "electrolyte",
    "rail": "rail of the composite",
    "interface": "interface",
}


def conductivity_table(analysis: ConductivityAnalysis) -> RenderableType:
    """One line per spectrum, then the laws of stack pressure and the activation energies with their form."""
    letter_of = letters(_MEANINGS, (point.flags for point in analysis.points))
    columns: dict[str, Callable[[ConductivityPoint], str]] = {
        "#": lambda p: str(p.spectrum_count),
        "T\n°C": lambda p: number(p.temperature_celsius, 3),
        "P\nMPa": lambda p: number(p.pressure_pa, 3, 1e-6),
        "R el.lyte\nohm": lambda p: with_error(p.electrolyte_ohm, p.electrolyte_std_ohm),
        "R rail\nohm": lambda p: with_error(p.rail_ohm, p.rail_std_ohm),
        "R interface\nohm": lambda p: with_error(p.interface_ohm, p.interface_std_ohm),
        "σ\nmS/cm": lambda p: number(p.conductivity_s_per_m, 4, 10.0),
        "flags": lambda p: "".join(letter_of[flag] for flag in p.flags),
    }
    notes = [
        "R el.lyte: electrolyte layers with what is in series (contacts); R rail: ionic rail of the "
        "composite (electronic in an electron-path cell); ± one standard error of the fit.",
        "σ: of the electrolyte, contacts taken off where a ladder of stack pressures tells them.",
        *meanings(letter_of, _MEANINGS),
        *_laws(analysis.pressure_laws),
        *_energies(analysis.activation_energies),
        *(FLAGS[flag] + "." for flag in analysis.flags),
        *(f"Left out: {why}." for why in analysis.skipped),
    ]
    title = f"Conductivity of run {analysis.run_uid[:8]}, cell {analysis.cell_id}"
    return results(title, analysis.points, columns, notes)


def _laws(laws: dict[str, PressureLaw]) -> Iterator[str]:
    for name, law in laws.items():
        constant = f"{with_error(law.constant_ohm, law.constant_std_ohm)} + " if law.constant_ohm else ""
        doubts = "".join(f"; {pressure_law.FLAGS[flag]}" for flag in law.flags)
        yield (
            f"{_WHAT[name]}: R = {constant}{with_error(law.contact_ohm, law.contact_std_ohm)} ohm "
            f"(P / 50 MPa)^-n, n = {with_error(law.exponent, law.exponent_std)}{doubts}."
        )


def _energies(energies: dict[str, tuple[ArrheniusFit, ...]]) -> Iterator[str]:
    for name, both in energies.items():
        for fit in both:
            value = with_error(fit.activation_energy_j_per_mol, fit.activation_energy_std_j_per_mol, 1e-3)
            doubts = "".join(f"; {arrhenius.FLAGS[flag]}" for flag in fit.flags)
            yield (
                f"{_WHAT[name]}: Ea = {value} kJ/mol ({fit.activation_energy_ev:.3f} eV) in the form "
                f"{FORMS[fit.form]}, {fit.temperature_min_kelvin - 273.15:.0f} to "
                f"{fit.temperature_max_kelvin - 273.15:.0f} °C{doubts}."
            )
