"""The spectra of a run: equivalent circuits, and whether they are spectra of a steady cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from rich.console import RenderableType

from labctl.analysis.failures import told
from labctl.analysis.impedance import analysis as impedance
from labctl.analysis.impedance.circuit import FLAGS as CIRCUIT_FLAGS
from labctl.analysis.impedance.circuit import CircuitFit, fit_circuit
from labctl.analysis.impedance.complex_fit import Complexes, Floats
from labctl.analysis.impedance.kramers_kronig import FLAGS as KRAMERS_KRONIG_FLAGS
from labctl.analysis.impedance.kramers_kronig import KramersKronig, linear_kk
from labctl.analysis.impedance.spectra import Spectrum, spectra
from labctl.analysis.result_text import letters, meanings, number, results, with_error, without_nan
from labctl.documents import RunTables
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell

FLAGS: dict[str, str] = {
    **CIRCUIT_FLAGS,
    **KRAMERS_KRONIG_FLAGS,
    "charge_moved": "more than 0.1 % of the nominal capacity flowed: the cell was not at rest",
}
FEWEST_POINTS = 10
_MOST_CHARGE = 1e-3  # of the nominal capacity
_RISES = 1.02  # -Im(Z) from a third of a decade above the end to the end of a spectrum that does not close


@dataclass(frozen=True, eq=False)
class SpectrumResult:
    """One spectrum: its conditions and points, its circuit, its Kramers-Kronig test, and all flags."""

    spectrum: Spectrum
    circuit: CircuitFit
    kramers_kronig: KramersKronig
    flags: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ImpedanceAnalysis:
    """All spectra of a run that could be evaluated; `skipped` tells why the others could not."""

    run_uid: str
    cell_id: str | None
    results: tuple[SpectrumResult, ...]
    skipped: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the points: NaN becomes None."""
        results = [
            {
                **one.spectrum.conditions(),
                "circuit": one.circuit.to_dict(),
                "kramers_kronig_largest_residual": one.kramers_kronig.largest_residual,
                "kramers_kronig_rms_residual": one.kramers_kronig.rms_residual,
                "flags": list(one.flags),
            }
            for one in self.results
        ]
        plain = {"run_uid": self.run_uid, "cell_id": self.cell_id, "spectra": results}
        cleaned: dict[str, Any] = without_nan({**plain, "skipped": list(self.skipped)})
        return cleaned


def analyze_impedance(
    run: RunTables, cell: Cell | None = None, *, arcs: int | None = None
) -> ImpedanceAnalysis:
    """Fit and test every spectrum of a run.

    Args:
        run: the run, from `labctl.documents.tables`.
        cell: its nominal capacity judges the charge moved; None leaves that out.
        arcs: arcs of the circuit, 0 to 5; None takes as many as a spectrum is worth.
    """
    results, skipped = list[SpectrumResult](), list[str]()
    for one in spectra(run):
        with told(skipped, f"spectrum {one.spectrum_count}"):
            results.append(_result(one, cell, arcs))
    return ImpedanceAnalysis(
        run_uid=str(run.start.get("uid", "")),
        cell_id=cell.id if cell else None,
        results=tuple(results),
        skipped=tuple(skipped),
    )


def _result(spectrum: Spectrum, cell: Cell | None, arcs: int | None) -> SpectrumResult:
    frequency, impedance = spectrum.frequency_hertz, spectrum.impedance_ohm
    if len(frequency) < FEWEST_POINTS:
        raise ConfigurationError("spectrum", "points", len(frequency), f"at least {FEWEST_POINTS} valid ones")
    circuit = fit_circuit(frequency, impedance, arcs=arcs, blocking=stays_open(frequency, impedance))
    test = linear_kk(frequency, impedance)
    nominal_ah = cell.nominal_capacity_ah if cell is not None and cell.active_material else inf
    moved = abs(spectrum.moved_charge_ah) > _MOST_CHARGE * nominal_ah
    flags = (*circuit.flags, *test.flags, *(("charge_moved",) if moved else ()))
    return SpectrumResult(spectrum, circuit, test, flags)


def stays_open(frequency_hertz: Floats, impedance_ohm: Complexes) -> bool:
    """Whether -Im(Z) still rises towards the lowest frequency: an electrode that blocks or fills up."""
    before = frequency_hertz >= frequency_hertz[-1] * 10 ** (1 / 3)
    imaginary = -impedance_ohm.imag
    if not before.any():  # one frequency, again and again
        return False
    return bool(imaginary[-1] > _RISES * imaginary[before][-1])


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
