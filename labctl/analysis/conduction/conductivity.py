"""Conductivity over temperature and stack pressure, from the spectra of a run.

Each spectrum gives a resistance of the electrolyte with what is in series, one of the composite's rail, and
one of the interfaces (`labctl.analysis.impedance.full_cell`, `.symmetric_cell`, `.circuit`).
What of the first changes with stack pressure at one temperature is contact; it is taken off before
conductivity and activation energy of the electrolyte are made of the rest:

    between steel faces (kind electrolyte)  contacts are constrictions of the electrolyte: at one pressure
                                            the same share of the resistance at every temperature
    otherwise                               contacts are taken as not changing with temperature

Without a ladder of pressures contacts stay in, and the results say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import nan
from typing import Any

import numpy as np
from rich.console import RenderableType

from labctl.analysis.conduction import arrhenius, pressure_law
from labctl.analysis.conduction.arrhenius import FORMS, ZERO_CELSIUS_KELVIN, ArrheniusFit, Form, fit_arrhenius
from labctl.analysis.conduction.pressure_law import PressureLaw, fit_pressure_law
from labctl.analysis.failures import told
from labctl.analysis.impedance.circuit import fit_circuit
from labctl.analysis.impedance.full_cell import FLAGS as FULL_CELL_FLAGS
from labctl.analysis.impedance.full_cell import fit_full_cell
from labctl.analysis.impedance.spectra import Spectrum, spectra
from labctl.analysis.impedance.symmetric_cell import FLAGS as RAIL_FLAGS
from labctl.analysis.impedance.symmetric_cell import fit_electron_path, fit_ion_path
from labctl.analysis.result_text import letters, meanings, number, results, with_error, without_nan
from labctl.documents import RunTables
from labctl.records.cell import Cell

FLAGS: dict[str, str] = {
    "contacts": "contacts included: only a series of stack pressures separates them from the electrolyte",
    "changed": "the repeated spectrum differs from the first by more than 5 %: the cell has changed",
}


@dataclass(frozen=True)
class ConductivityPoint:
    """One spectrum of a sweep: conditions, and resistances with standard errors. NaN: undetermined.

    Attributes:
        electrolyte_ohm: Electrolyte layers with their grain boundaries, and contacts that answer as fast.
        rail_ohm: Ionic rail of the composite; in an electron-path cell the electronic one with contacts.
        interface_ohm: What else charge passes: alloy electrodes, charge transfer.
        bulk_ohm: `electrolyte_ohm` without contacts if they are known, else with them.
        conductivity_s_per_m: Of the electrolyte layers, from `bulk_ohm`.
        flags: Of the fit.
    """

    spectrum_count: int
    tag: str
    temperature_celsius: float
    pressure_pa: float
    electrolyte_ohm: float
    electrolyte_std_ohm: float
    rail_ohm: float
    rail_std_ohm: float
    interface_ohm: float
    interface_std_ohm: float
    rms_residual: float
    bulk_ohm: float = nan
    conductivity_s_per_m: float = nan
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConductivityAnalysis:
    """A sweep. Laws and energies are by what they are of: "electrolyte", "rail", "interface".

    Attributes:
        points: One per spectrum.
        pressure_laws: Over the ladder of stack pressures; that of the electrolyte has a constant part.
        activation_energies: Over the ladder of temperatures, in both forms; the electrolyte without contacts.
        flags: Names out of `FLAGS`.
        skipped: What could not be evaluated, spectra and laws, and why.
    """

    run_uid: str
    cell_id: str
    points: tuple[ConductivityPoint, ...]
    pressure_laws: dict[str, PressureLaw]
    activation_energies: dict[str, tuple[ArrheniusFit, ...]]
    flags: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None."""
        cleaned: dict[str, Any] = without_nan(
            {
                "run_uid": self.run_uid,
                "cell_id": self.cell_id,
                "points": [asdict(point) for point in self.points],
                "pressure_laws": {name: law.to_dict() for name, law in self.pressure_laws.items()},
                "activation_energies": {
                    name: [one.to_dict() for one in both] for name, both in self.activation_energies.items()
                },
                "flags": list(self.flags),
                "skipped": list(self.skipped),
            }
        )
        return cleaned


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
        "σ: of the electrolyte, without contacts where a series of stack pressures separates them.",
        *meanings(letter_of, _MEANINGS),
        *_laws(analysis.pressure_laws),
        *_energy_rows(analysis.activation_energies),
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


def _energy_rows(energies: dict[str, tuple[ArrheniusFit, ...]]) -> Iterator[str]:
    for name, both in energies.items():
        for fit in both:
            value = with_error(fit.activation_energy_j_per_mol, fit.activation_energy_std_j_per_mol, 1e-3)
            doubts = "".join(f"; {arrhenius.FLAGS[flag]}" for flag in fit.flags)
            yield (
                f"{_WHAT[name]}: Ea = {value} kJ/mol ({fit.activation_energy_ev:.3f} eV) in the form "
                f"{FORMS[fit.form]}, {fit.temperature_min_kelvin - 273.15:.0f} to "
                f"{fit.temperature_max_kelvin - 273.15:.0f} °C{doubts}."
            )


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
    """The points that determine a resistance above 0; the others are named, unless none of them does."""
    known = [point for point in points if getattr(point, column) > 0]
    if known and len(known) < len(points):
        without = ", ".join(str(point.spectrum_count) for point in points if point not in known)
        skipped.append(f"{what}: made without spectra {without}, which do not determine the resistance")
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
