"""Conductivity over temperature and stack pressure, from the spectra of a run.

Each spectrum gives a resistance of the electrolyte with what is in series, one of the composite's rail, and
one of the interfaces (`labctl.analysis.full_cell`, `.symmetric_cell`, `.circuit`).
What of the first changes with stack pressure at one temperature is contact; it is taken off before
conductivity and activation energy of the electrolyte are made of the rest:

    between steel faces (kind electrolyte)  contacts are constrictions of the electrolyte: at one pressure
                                            the same share of the resistance at every temperature
    otherwise                               contacts are taken as not changing with temperature

Without a ladder of pressures contacts stay in, and the results say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from labctl.analysis.arrhenius import ZERO_CELSIUS_KELVIN, ArrheniusFit, Form, fit_arrhenius
from labctl.analysis.circuit import fit_circuit
from labctl.analysis.conductivity_records import ConductivityAnalysis, ConductivityPoint
from labctl.analysis.failures import told
from labctl.analysis.full_cell import fit_full_cell
from labctl.analysis.pressure_law import PressureLaw, fit_pressure_law
from labctl.analysis.spectra import Spectrum, spectra
from labctl.analysis.symmetric_cell import fit_electron_path, fit_ion_path
from labctl.analysis.tables import RunTables
from labctl.cell import Cell

_SAME_KELVIN, _SAME_PRESSURE = 2.0, 0.05
_CHANGED = 0.05
_SCATTER = 0.005  # of a resistance from spectrum to spectrum, beside the error of its fit
_FORMS: tuple[Form, ...] = ("plain", "sigma_t")
_LAYERS = {"full": 1, "ion_path": 2, "electrolyte": 1}  # of electrolyte, in series


def analyze_conductivity(run: RunTables, cell: Cell) -> ConductivityAnalysis:
    """Resistances of all spectra of a sweep, what they do with stack pressure, and with temperature."""
    skipped = list[str]()
    points = _points(run, cell, skipped)
    pressed = _ladder(points, over="pressure_pa")
    laws = dict[str, PressureLaw]()
    for name in ("electrolyte", "interface"):
        with told(skipped, f"pressure law of the {name}"):
            if law := _pressure_law(pressed, name, skipped):
                laws[name] = law
    points = [_without_contacts(point, cell, laws.get("electrolyte"), skipped) for point in points]
    heated = _ladder(points, over="temperature_celsius")
    of = {"electrolyte": "bulk_ohm", "rail": "rail_ohm", "interface": "interface_ohm"}
    energies = dict[str, tuple[ArrheniusFit, ...]]()
    for name, column in of.items():
        with told(skipped, f"activation energy of the {name}"):
            if both := _energies(heated, name, column, skipped):
                energies[name] = both
    flags = {
        "contacts": "electrolyte" in energies and "electrolyte" not in laws,
        "changed": _has_changed(heated),
    }
    return ConductivityAnalysis(
        run_uid=str(run.start.get("uid", "")),
        cell_id=cell.id,
        points=tuple(points),
        pressure_laws=laws,
        activation_energies=energies,
        flags=tuple(name for name, is_raised in flags.items() if is_raised),
        skipped=tuple(skipped),
    )


# ---- one spectrum
def _points(run: RunTables, cell: Cell, skipped: list[str]) -> list[ConductivityPoint]:
    points = list[ConductivityPoint]()
    for one in spectra(run):
        with told(skipped, f"spectrum {one.spectrum_count}"):
            points.append(_point(one, cell))
    return points


def _point(spectrum: Spectrum, cell: Cell) -> ConductivityPoint:
    return ConductivityPoint(
        spectrum_count=spectrum.spectrum_count,
        tag=spectrum.tag,
        temperature_celsius=spectrum.temperature_celsius,
        pressure_pa=spectrum.pressure_pa,
        **_resistances(spectrum, cell),
    )


def _resistances(spectrum: Spectrum, cell: Cell) -> dict[str, Any]:
    frequency, impedance = spectrum.frequency_hertz, spectrum.impedance_ohm
    if cell.kind == "electron_path":
        electrons = fit_electron_path(frequency, impedance)
        numbers = (nan, nan, electrons.electronic_ohm, electrons.electronic_std_ohm, nan, nan)
        return _named(numbers, electrons.rms_residual, electrons.flags)
    if cell.kind == "ion_path":
        ions = fit_ion_path(frequency, impedance)
        numbers = (ions.electrolyte_ohm, ions.electrolyte_std_ohm, ions.ionic_ohm, ions.ionic_std_ohm)
        return _named((*numbers, ions.electrode_ohm, ions.electrode_std_ohm), ions.rms_residual, ions.flags)
    if cell.kind == "electrolyte":
        circuit = fit_circuit(frequency, impedance, arcs=3)  # grain boundaries, contacts, the blocked end
        poor = tuple(flag for flag in circuit.flags if flag == "poor_fit")  # the blocked end lies beyond
        return _named((*circuit.series_with(2), nan, nan, nan, nan), circuit.rms_residual, poor)
    full = fit_full_cell(frequency, impedance)
    numbers = (full.electrolyte_ohm, full.electrolyte_std_ohm, full.ionic_ohm, full.ionic_std_ohm)
    return _named((*numbers, full.interface_ohm, full.interface_std_ohm), full.rms_residual, full.flags)


def _named(numbers: Sequence[float], rms_residual: float, flags: tuple[str, ...]) -> dict[str, Any]:
    names = [f"{what}_{kind}" for what in ("electrolyte", "rail", "interface") for kind in ("ohm", "std_ohm")]
    return {**dict(zip(names, numbers, strict=True)), "rms_residual": rms_residual, "flags": flags}


# ---- ladders
def _ladder(points: Sequence[ConductivityPoint], *, over: str) -> list[ConductivityPoint]:
    """The longest row of spectra between which only temperature, or only stack pressure, was changed."""
    held, closeness = (
        ("temperature_celsius", lambda a, b: abs(a - b) < _SAME_KELVIN)
        if over == "pressure_pa"
        else ("pressure_pa", lambda a, b: not abs(a - b) > _SAME_PRESSURE * max(a, b))
    )
    best: list[ConductivityPoint] = []
    for anchor in points:
        row = [p for p in points if closeness(getattr(p, held), getattr(anchor, held))]
        if _different(row, over) > _different(best, over):
            best = row
    return best if _different(best, over) > 1 else []


def _different(points: Sequence[ConductivityPoint], over: str) -> int:
    """Number of values that differ by more than they scatter."""
    count, last = 0, -np.inf
    for value in sorted(getattr(point, over) for point in points):
        far = value - last > (_SAME_KELVIN if over == "temperature_celsius" else _SAME_PRESSURE * value)
        if np.isfinite(value) and far:
            count, last = count + 1, value
    return count


def _pressure_law(points: Sequence[ConductivityPoint], name: str, skipped: list[str]) -> PressureLaw | None:
    """The law of one resistance; None where there are too few pressures, or nothing of it in the spectra."""
    constant = name == "electrolyte"
    points = _known(points, f"{name}_ohm", f"pressure law of the {name}", skipped)
    if _different(points, "pressure_pa") < (3 if constant else 2):
        return None
    ohm = [getattr(point, f"{name}_ohm") for point in points]
    return fit_pressure_law([point.pressure_pa for point in points], ohm, constant=constant)


def _energies(
    points: Sequence[ConductivityPoint], name: str, column: str, skipped: list[str]
) -> tuple[ArrheniusFit, ...]:
    """Both forms of the activation energy of 1 / R; none where there are too few temperatures."""
    points = _known(points, column, f"activation energy of the {name}", skipped)
    if _different(points, "temperature_celsius") < 2:
        return ()
    kelvin = [point.temperature_celsius + ZERO_CELSIUS_KELVIN for point in points]
    ohm = np.array([getattr(point, column) for point in points])
    spread = np.array([getattr(point, f"{name}_std_ohm") for point in points]) / ohm
    weights = np.sqrt(spread**2 + _SCATTER**2)
    return tuple(fit_arrhenius(kelvin, 1.0 / ohm, weights, form=form) for form in _FORMS)


def _known(
    points: Sequence[ConductivityPoint], column: str, what: str, skipped: list[str]
) -> list[ConductivityPoint]:
    """The points that tell a resistance above 0; the others are named, unless none of them does."""
    known = [point for point in points if getattr(point, column) > 0]
    if known and len(known) < len(points):
        without = ", ".join(str(point.spectrum_count) for point in points if point not in known)
        skipped.append(f"{what}: made without spectra {without}, which do not tell the resistance")
    return known


def _has_changed(points: Sequence[ConductivityPoint]) -> bool:
    """Whether the first and the last spectrum at about one temperature differ."""
    again = [
        p for p in points[1:] if abs(p.temperature_celsius - points[0].temperature_celsius) < _SAME_KELVIN
    ]
    return bool(again) and abs(again[-1].electrolyte_ohm / points[0].electrolyte_ohm - 1) > _CHANGED


def _without_contacts(
    point: ConductivityPoint, cell: Cell, law: PressureLaw | None, skipped: list[str]
) -> ConductivityPoint:
    """With its bulk resistance, and sigma = N L / (R A) of the N electrolyte layers."""
    bulk = point.electrolyte_ohm
    if law is not None and not point.pressure_pa > 0:
        skipped.append(f"conductivity of spectrum {point.spectrum_count}: its stack pressure is not known")
        return point
    if law is not None and cell.kind == "electrolyte":
        bulk *= law.constant_ohm / law.at(point.pressure_pa)
    elif law is not None:
        bulk -= law.contact_at(point.pressure_pa)
    thickness = cell.separator_thickness_mm
    known = thickness is not None and bulk > 0
    layers = _LAYERS.get(cell.kind, 0)
    sigma = layers * thickness * 1e-3 / (bulk * cell.area_m2) if thickness is not None and known else nan
    return replace(point, bulk_ohm=bulk, conductivity_s_per_m=sigma)
