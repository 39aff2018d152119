"""The parts of a cell as its record names them; units are in the fields' names."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from labctl.records import Number, Record

CellKind = Literal["full", "ion_path", "electron_path", "electrolyte"]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Fraction = Annotated[Number, Field(gt=0, le=1)]


class ActiveMaterial(Record):
    """The active material of the composite; `mass_fraction` is its share of the composite's mass.

    `particle_radius_um` is the geometric radius of the particles that diffusion takes place in.
    """

    name: Text
    specific_capacity_mah_per_g: Annotated[Number, Field(gt=0, le=5000)]
    mass_fraction: Fraction
    density_g_per_cm3: Annotated[Number, Field(gt=0, le=25)] | None = None
    molar_mass_g_per_mol: Annotated[Number, Field(gt=0, le=1000)] | None = None
    molar_volume_cm3_per_mol: Annotated[Number, Field(gt=0, le=1000)] | None = None
    particle_radius_um: Annotated[Number, Field(gt=0, le=100)] | None = None

    @model_validator(mode="after")
    def _one_way_to_say_volume(self) -> Self:
        if self.density_g_per_cm3 is not None and self.molar_volume_cm3_per_mol is not None:
            raise ValueError(
                "give density_g_per_cm3 (with molar_mass_g_per_mol) or molar_volume_cm3_per_mol, not both"
            )
        return self


class Composite(Record):
    """The working electrode as pressed: active material, solid electrolyte, perhaps carbon."""

    mass_mg: Annotated[Number, Field(gt=0, le=10_000)]
    thickness_um: Annotated[Number, Field(gt=0, le=5000)] | None = None
    electrolyte_volume_fraction: Fraction | None = None
    carbon: Text | None = None
    carbon_mass_fraction: Annotated[Number, Field(ge=0, lt=1)] = 0.0


class Coating(Record):
    """The coating of the active material; mass per mass of active material."""

    material: Text
    mass_percent: Annotated[Number, Field(gt=0, lt=100)]
    method: Text


class SolidElectrolyte(Record):
    """The solid electrolyte and its ionic conductivity at 25 degrees Celsius and the stack pressure."""

    material: Text
    conductivity_ms_per_cm: Annotated[Number, Field(gt=0, le=1000)] | None = None


class Separator(Record):
    """The electrolyte layer between the electrodes; each of the two in an ion-path cell."""

    mass_mg: Annotated[Number, Field(gt=0, le=100_000)] | None = None
    thickness_mm: Annotated[Number, Field(gt=0, le=100)] | None = None


class Anode(Record):
    """The counter electrode, which is the reference too; In/InLi stands at 0.62 V vs Li+/Li.

    An ion-path cell has the same one at both ends.
    """

    name: Text
    potential_volt: Annotated[Number, Field(ge=-1, le=5)]


PARTS: Final[dict[str, type[Record]]] = {
    "active_material": ActiveMaterial,
    "composite": Composite,
    "coating": Coating,
    "electrolyte": SolidElectrolyte,
    "separator": Separator,
    "anode": Anode,
}
PARTS_OF_KIND: Final[dict[CellKind, frozenset[str]]] = {
    "full": frozenset({"active_material", "composite", "electrolyte", "separator", "anode"}),
    "ion_path": frozenset({"active_material", "composite", "electrolyte", "separator", "anode"}),
    "electron_path": frozenset({"active_material", "composite", "electrolyte"}),
    "electrolyte": frozenset({"electrolyte", "separator"}),
}
