"""What a sweep of temperature and stack pressure says: frozen records and their JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import nan
from typing import Any

from labctl.analysis.arrhenius import ArrheniusFit
from labctl.analysis.plain import without_nan
from labctl.analysis.pressure_law import PressureLaw

FLAGS: dict[str, str] = {
    "contacts": "contacts are in: only a ladder of stack pressures tells them from the electrolyte",
    "changed": "the repeated spectrum differs from the first by more than 5 %: the cell has changed",
}


@dataclass(frozen=True)
class ConductivityPoint:
    """One spectrum of a sweep: where it was taken, and its resistances with standard errors. NaN: not told.

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
