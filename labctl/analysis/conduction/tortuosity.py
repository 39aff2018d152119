"""Tortuosity of a composite's ion paths, from the spectra of symmetric cells.

Definitions (phi the electrolyte's volume fraction, L and A thickness and area of the composite):

    sigma_eff = L / (R_i A)            N_M = sigma_SE / sigma_eff (MacMullin number)
    tortuosity factor tau^2 = phi N_M  (some authors call tau^2 "tortuosity", some its root)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any

from rich.console import RenderableType

from labctl.analysis.conduction import tortuosity
from labctl.analysis.failures import told
from labctl.analysis.impedance.spectra import Spectrum, spectra
from labctl.analysis.impedance.symmetric_cell import FLAGS as RAIL_FLAGS
from labctl.analysis.impedance.symmetric_cell import RailFit, fit_electron_path, fit_ion_path
from labctl.analysis.result_text import letters, meanings, number, results, with_error, without_nan
from labctl.documents import RunTables
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell

FLAGS: dict[str, str] = {
    **RAIL_FLAGS,
    "temperature": "not within 2 K of 25 degrees Celsius, for which the record states the electrolyte's "
    "conductivity: no tortuosity is given",
}
_STATED_CELSIUS, _NEAR_KELVIN = 25.0, 2.0


@dataclass(frozen=True)
class TortuosityPoint:
    """One spectrum; `..._std...` is one standard error of the fit. NaN: undetermined, or not computable.

    Attributes:
        ionic_ohm: R_i of the composite.
        electronic_ohm: R_e of the composite; in an ion-path cell as it was assumed.
        ionic_conductivity_s_per_m: Effective ionic conductivity of the composite.
        electronic_conductivity_s_per_m: Effective electronic one; NaN in an ion-path cell.
        mac_mullin_number: sigma_SE / sigma_eff.
        tortuosity_factor: tau^2.
        bend_hertz: Where the line bends.
        flags: Names out of `FLAGS`.
    """

    spectrum_count: int
    tag: str
    temperature_celsius: float
    pressure_pa: float
    ionic_ohm: float
    ionic_std_ohm: float
    electronic_ohm: float
    electronic_std_ohm: float
    ionic_conductivity_s_per_m: float
    electronic_conductivity_s_per_m: float
    mac_mullin_number: float
    tortuosity_factor: float
    tortuosity_factor_std: float
    charge_transfer_ohm: float
    bend_hertz: float
    rms_residual: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class TortuosityAnalysis:
    """All spectra of a run on an ion-path or electron-path cell, and what the results rest on.

    `skipped` tells of the spectra that could not be evaluated.
    """

    run_uid: str
    cell_id: str
    path: str
    thickness_um: float | None
    electrolyte_volume_fraction: float | None
    electrolyte_conductivity_s_per_m: float | None
    points: tuple[TortuosityPoint, ...]
    skipped: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN and infinity become None."""
        cleaned: dict[str, Any] = without_nan(asdict(self))
        return cleaned


def analyze_tortuosity(
    run: RunTables, cell: Cell, *, electronic_ohm: float | None = None
) -> TortuosityAnalysis:
    """Analyse a run on a symmetric cell.

    Args:
        run: the run, from `labctl.documents.tables`.
        cell: its kind says which path was measured; thickness, volume fraction and conductivity make a
            tortuosity of a resistance.
        electronic_ohm: R_e of an ion-path cell's composite (ohm), as an electron-path cell gave it; None
            takes it from the run's parameter `electronic_conductivity_ms_per_cm`, else as 0.

    Raises:
        ConfigurationError: the cell is not a symmetric one.
    """
    if cell.kind not in ("ion_path", "electron_path"):
        raise ConfigurationError(f"cell {cell.id}", "kind", cell.kind, "ion_path or electron_path")
    if electronic_ohm is None:
        electronic_ohm = _stated_electronic_ohm(run, cell)
    points, skipped = list[TortuosityPoint](), list[str]()
    for one in spectra(run):
        with told(skipped, f"spectrum {one.spectrum_count}"):
            points.append(_point(one, cell, electronic_ohm))
    stated = cell.electrolyte.conductivity_ms_per_cm
    return TortuosityAnalysis(
        run_uid=str(run.start.get("uid", "")),
        cell_id=cell.id,
        path="ion" if cell.kind == "ion_path" else "electron",
        thickness_um=cell.composite_thickness_um,
        electrolyte_volume_fraction=cell.electrolyte_volume_fraction,
        electrolyte_conductivity_s_per_m=None if stated is None else stated * 0.1,
        points=tuple(points),
        skipped=tuple(skipped),
    )


def _stated_electronic_ohm(run: RunTables, cell: Cell) -> float:
    parameters = run.start.get("plan_parameters")
    given = parameters.get("electronic_conductivity_ms_per_cm") if isinstance(parameters, dict) else None
    thickness = cell.composite_thickness_um
    if not isinstance(given, int | float) or thickness is None:
        return 0.0
    return thickness * 1e-6 / (given * 0.1 * cell.area_m2)


def _point(spectrum: Spectrum, cell: Cell, electronic_ohm: float) -> TortuosityPoint:
    if cell.kind == "ion_path":
        rail = fit_ion_path(spectrum.frequency_hertz, spectrum.impedance_ohm, electronic_ohm=electronic_ohm)
    else:
        rail = fit_electron_path(spectrum.frequency_hertz, spectrum.impedance_ohm)
    ionic = _conductivity(rail.ionic_ohm, cell)
    near = not abs(spectrum.temperature_celsius - _STATED_CELSIUS) > _NEAR_KELVIN
    number, factor = _mac_mullin(ionic, cell) if near else (nan, nan)
    return TortuosityPoint(
        spectrum_count=spectrum.spectrum_count,
        tag=spectrum.tag,
        temperature_celsius=spectrum.temperature_celsius,
        pressure_pa=spectrum.pressure_pa,
        ionic_ohm=rail.ionic_ohm,
        ionic_std_ohm=rail.ionic_std_ohm,
        electronic_ohm=rail.electronic_ohm,
        electronic_std_ohm=rail.electronic_std_ohm,
        ionic_conductivity_s_per_m=ionic,
        electronic_conductivity_s_per_m=_electronic(rail, cell),
        mac_mullin_number=number,
        tortuosity_factor=factor,
        tortuosity_factor_std=factor * rail.ionic_std_ohm / rail.ionic_ohm,
        charge_transfer_ohm=rail.charge_transfer_ohm,
        bend_hertz=rail.bend_hertz,
        rms_residual=rail.rms_residual,
        flags=(*rail.flags, *(() if near else ("temperature",))),
    )


def _conductivity(ohm: float, cell: Cell) -> float:
    thickness = cell.composite_thickness_um
    if thickness is None or not isfinite(ohm) or ohm <= 0:
        return nan
    return thickness * 1e-6 / (ohm * cell.area_m2)


def _electronic(rail: RailFit, cell: Cell) -> float:
    return _conductivity(rail.electronic_ohm, cell) if rail.path == "electron" else nan


def _mac_mullin(ionic_s_per_m: float, cell: Cell) -> tuple[float, float]:
    """MacMullin number and tortuosity factor; NaN where the record gives too little."""
    stated, fraction = cell.electrolyte.conductivity_ms_per_cm, cell.electrolyte_volume_fraction
    number = nan if stated is None else stated * 0.1 / ionic_s_per_m
    return number, nan if fraction is None else fraction * number


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
