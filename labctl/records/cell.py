"""The record of one cell, what follows from it, and the limits it sets.

A `full` cell is charged and discharged; the other kinds are for one property of its materials:

    full            composite | separator | anode
    ion_path        anode | separator | composite | separator | anode: electrons are blocked at both ends
    electron_path   steel | composite | steel: ions are blocked at both ends
    electrolyte     steel | separator | steel

Units are in the fields' names. Voltages are cell voltages (composite minus anode) unless a name says
`volt_vs_li`. Any number may be given plainly or as `{value: 10.0, source: measured}`; the sources are
kept in `Cell.sources`.
"""

from __future__ import annotations

from math import pi
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from labctl.errors import ConfigurationError
from labctl.records.limits import Limits
from labctl.records.loader import Name, Number, Record, load_record, take_out_sources
from labctl.units import parse_c_rate

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


Source = Literal["measured", "supplier", "assumed"]
Length = Annotated[Number, Field(gt=0, le=1000)]
Pressure = Annotated[Number, Field(gt=0, le=2000)]
_LEAST_SOLID = 0.02  # of the composite's volume: less active material than that is a slip of units
_USUAL_HIGHEST_VOLT_VS_LI = 4.6  # sulfide electrolytes and layered oxides are not charged further


class Cell(Record):
    """One pellet in its die. The composite is the working electrode of a full, two-electrode cell.

    The parts that its kind of cell has are required, those that it has not are refused.
    """

    id: Name
    replicate_group: Name
    kind: CellKind = "full"
    active_material: ActiveMaterial | None = None
    composite: Composite | None = None
    coating: Coating | None = None
    electrolyte: SolidElectrolyte
    separator: Separator | None = None
    anode: Anode | None = None
    working_electrode: Literal["composite"] = "composite"
    diameter_mm: Length
    fabrication_pressure_mpa: Pressure | None = None
    stack_pressure_mpa: Pressure
    die_pressure_max_mpa: Pressure
    temperature_max_celsius: Annotated[Number, Field(gt=-60, le=300)]
    voltage_min_volt: Annotated[Number, Field(ge=-6, le=6)]
    voltage_max_volt: Annotated[Number, Field(ge=-6, le=6)]
    current_max_ma: Annotated[Number, Field(gt=0, le=10_000)] | None = None
    sources: dict[str, Source] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_out_sources(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        found: dict[str, Any] = {}
        plain = take_out_sources(data, found)
        given = plain.get("sources")
        if given is None and found:
            plain["sources"] = found
        elif found and isinstance(given, dict):
            plain["sources"] = {**given, **found}
        return plain

    @field_validator("sources", mode="before")
    @classmethod
    def _sources_from_list(cls, value: Any) -> Any:
        if isinstance(value, list) and all(
            isinstance(v, dict) and set(v) == {"field", "source"} for v in value
        ):
            return {v["field"]: v["source"] for v in value}
        return value

    @field_serializer("sources")
    def _sources_as_list(self, value: dict[str, Source]) -> list[dict[str, str]]:
        return [{"field": field, "source": source} for field, source in value.items()]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self._check_parts()
        for name in self.sources:
            if not isinstance(self._number(name), float):
                raise ValueError(f"sources: {name!r} is no number that this record gives")
        self._check_window()
        for name in ("stack_pressure_mpa", "fabrication_pressure_mpa"):
            pressure = getattr(self, name)
            most = self.die_pressure_max_mpa
            if pressure is not None and pressure > most:
                raise ValueError(f"{name}: {pressure:g} must not exceed die_pressure_max_mpa, {most:g}")
        self._check_composition()
        return self

    def _check_parts(self) -> None:
        needed = PARTS_OF_KIND[self.kind]
        for part in PARTS:
            given = getattr(self, part) is not None
            if part in needed and not given:
                raise ValueError(f"{part}: is missing; a cell of kind {self.kind} needs it")
            if given and part not in needed and not (part == "coating" and "active_material" in needed):
                raise ValueError(f"{part}: a cell of kind {self.kind} has none; leave it out")

    def _check_window(self) -> None:
        if self.voltage_min_volt >= self.voltage_max_volt:
            raise ValueError(
                f"voltage_min_volt: {self.voltage_min_volt:g} must lie below voltage_max_volt, "
                f"{self.voltage_max_volt:g}"
            )
        if self.is_symmetric and not self.voltage_min_volt < 0 < self.voltage_max_volt:
            raise ValueError(
                f"voltage_min_volt: {self.voltage_min_volt:g} must be below 0 and voltage_max_volt, "
                f"{self.voltage_max_volt:g}, above: a cell of kind {self.kind} rests at 0 V"
            )

    def _check_composition(self) -> None:
        if self.active_material is None or self.composite is None:
            return
        active, carbon = self.active_material.mass_fraction, self.composite.carbon_mass_fraction
        if active + carbon > 1:
            raise ValueError(
                f"composite.carbon_mass_fraction: {carbon:g} and active_material.mass_fraction, {active:g}, "
                "must not exceed 1 together"
            )
        solid = self.active_volume_fraction
        electrolyte = self.composite.electrolyte_volume_fraction
        together = (
            f"with composite.mass_mg, {self.composite.mass_mg:g}, and diameter_mm, {self.diameter_mm:g}, "
            f"active material fills {100 * (solid or 0.0):.3g} % of the composite"
        )
        if solid is not None and solid + (electrolyte or 0.0) > 1:
            raise ValueError(
                f"composite.thickness_um: {self.composite.thickness_um:g} is too thin: {together}, "
                f"the electrolyte {100 * (electrolyte or 0):g} %"
            )
        if solid is not None and solid < _LEAST_SOLID:
            raise ValueError(
                f"composite.thickness_um: {self.composite.thickness_um:g} is too thick: {together}; "
                f"allowed is {100 * _LEAST_SOLID:g} % and more (is a mass in g, a length in cm or um?)"
            )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is allowed but looks like a slip, one sentence each."""
        if self.anode is None or self.is_symmetric:
            return ()
        highest = self.to_working_potential(self.voltage_max_volt)
        if highest <= _USUAL_HIGHEST_VOLT_VS_LI:
            return ()
        return (
            f"cell {self.id}: voltage_max_volt, {self.voltage_max_volt:g} V, is {highest:.4g} V vs Li+/Li "
            f"with an anode at {self.anode.potential_volt:g} V; is it a potential against the anode?",
        )

    @property
    def is_symmetric(self) -> bool:
        """Whether both ends are equal, so that the cell rests at 0 V: every kind but full."""
        return self.kind != "full"

    @property
    def area_m2(self) -> float:
        """Geometric area of the pellet in m2."""
        return pi * (self.diameter_mm * 1e-3) ** 2 / 4

    @property
    def active_mass_kg(self) -> float:
        """Mass of active material in kg; ConfigurationError for a cell without any."""
        material, composite = self._active()
        return composite.mass_mg * 1e-6 * material.mass_fraction

    @property
    def active_volume_fraction(self) -> float | None:
        """Volume of active material per volume of composite; None without density and thickness."""
        if self.active_material is None or self.composite is None:
            return None
        density, thickness = self.active_material.density_g_per_cm3, self.composite.thickness_um
        if density is None or thickness is None:
            return None
        return self.active_mass_kg / (density * 1e3) / (self.area_m2 * thickness * 1e-6)

    @property
    def nominal_capacity_ah(self) -> float:
        """Capacity in Ah: specific capacity times active mass; ConfigurationError without active material."""
        return self._active()[0].specific_capacity_mah_per_g * self.active_mass_kg

    @property
    def areal_capacity_ah_per_m2(self) -> float:
        """Nominal capacity per geometric area in Ah/m2 (10 Ah/m2 = 1 mAh/cm2)."""
        return self.nominal_capacity_ah / self.area_m2

    @property
    def composite_thickness_um(self) -> float | None:
        """Thickness of the composite in um, if there is one and it is known."""
        return None if self.composite is None else self.composite.thickness_um

    @property
    def electrolyte_volume_fraction(self) -> float | None:
        """Volume of electrolyte per volume of composite, if there is one and it is known."""
        return None if self.composite is None else self.composite.electrolyte_volume_fraction

    @property
    def separator_thickness_mm(self) -> float | None:
        """Thickness of the separator in mm, if known."""
        return None if self.separator is None else self.separator.thickness_mm

    @property
    def anode_potential_volt(self) -> float:
        """Potential of the anode in V vs Li+/Li; ConfigurationError for a cell without one."""
        if self.anode is None:
            reason = f"a cell of kind {self.kind} has none, so it has no potential vs Li+/Li"
            raise ConfigurationError(f"cell {self.id}", "anode", None, reason)
        return self.anode.potential_volt

    @property
    def particle_radius_metre(self) -> float | None:
        """Geometric particle radius in m, if known."""
        radius = None if self.active_material is None else self.active_material.particle_radius_um
        return None if radius is None else radius * 1e-6

    @property
    def molar_mass_kg_per_mol(self) -> float | None:
        """Molar mass of the active material in kg/mol, if known."""
        mass = None if self.active_material is None else self.active_material.molar_mass_g_per_mol
        return None if mass is None else mass * 1e-3

    @property
    def molar_volume_m3_per_mol(self) -> float | None:
        """Molar volume of the active material in m3/mol, given or from molar mass and density."""
        material = self.active_material
        if material is None:
            return None
        if material.molar_volume_cm3_per_mol is not None:
            return material.molar_volume_cm3_per_mol * 1e-6
        if material.density_g_per_cm3 is None or material.molar_mass_g_per_mol is None:
            return None
        return material.molar_mass_g_per_mol / material.density_g_per_cm3 * 1e-6

    @property
    def limits(self) -> Limits:
        """What no measurement on this cell may pass."""
        return Limits(
            voltage_min_volt=self.voltage_min_volt,
            voltage_max_volt=self.voltage_max_volt,
            current_max_ampere=None if self.current_max_ma is None else self.current_max_ma * 1e-3,
            temperature_max_celsius=self.temperature_max_celsius,
            pressure_max_pa=self.die_pressure_max_mpa * 1e6,
        )

    def current(self, rate: str | float) -> float:
        """Current in A (> 0) at a C-rate such as "C/20", "1C", "0.5C" or 0.05.

        Raises:
            ConfigurationError: that is no C-rate, or the cell has no active material.
        """
        try:
            per_hour = parse_c_rate(rate)
        except ValueError as error:
            raise ConfigurationError(f"cell {self.id}", "rate", rate, str(error)) from None
        if self.active_material is None:
            reason = f"a cell of kind {self.kind} has no active material, hence no C-rate; give a current"
            raise ConfigurationError(f"cell {self.id}", "rate", rate, reason)
        return per_hour * self.nominal_capacity_ah

    def to_working_potential(self, volt: float) -> float:
        """Potential of the composite in V vs Li+/Li at a cell voltage."""
        return volt + self.anode_potential_volt

    def to_cell_voltage(self, volt_vs_li: float) -> float:
        """Cell voltage in V at a potential of the composite vs Li+/Li."""
        return volt_vs_li - self.anode_potential_volt

    def require(self, field: str, *, for_result: str) -> float:
        """The number `field` ("particle_radius_um" or "active_material.particle_radius_um").

        Raises:
            ConfigurationError: if the cell does not give it; names the field and the result it disables.
        """
        place = field if "." in field or field in Cell.model_fields else _full_name(field)
        value = self._number(place)
        if isinstance(value, float):
            return value
        reason = f"is not given; {for_result} needs it" if value is None else "is no number of a cell record"
        raise ConfigurationError(f"cell {self.id}", place, None, reason)

    def _active(self) -> tuple[ActiveMaterial, Composite]:
        if self.active_material is None or self.composite is None:
            reason = f"a cell of kind {self.kind} has none, hence no mass and no capacity"
            raise ConfigurationError(f"cell {self.id}", "active_material", None, reason)
        return self.active_material, self.composite

    def _number(self, dotted: str) -> Any:
        """The value at a dotted place; None if it is not given, _NO_SUCH_PLACE if there is none."""
        group, _, field = dotted.rpartition(".")
        kind = PARTS.get(group) if group else Cell
        if kind is None or field not in kind.model_fields:
            return _NO_SUCH_PLACE
        return getattr(getattr(self, group) if group else self, field, None)


_NO_SUCH_PLACE = object()


def _full_name(field: str) -> str:
    """The dotted place of a field's short name: the first part that has it."""
    part = next((name for name, kind in PARTS.items() if field in kind.model_fields), None)
    return f"{part}.{field}" if part else field


def load_cell(path: Path | str) -> Cell:
    """The cell in a YAML file.

    Args:
        path: the file; config/README.md says what its fields mean.

    Raises:
        ConfigurationError: one line per fault, each naming file, field, value and what is allowed.
    """
    return load_record(path, Cell, "cell")
