"""The quantities of the Battery Data Format (BDF) that labctl writes and reads.

Names, labels and units stand in the format's table schema and ontology, version 1.2.0 (Battery Data Alliance,
https://w3id.org/battery-data-alliance/ontology/battery-data-format): the first row of a file holds the
preferred labels, units are fixed, current > 0 charges, the imaginary impedance has its true sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ONTOLOGY = "https://w3id.org/battery-data-alliance/ontology/battery-data-format"
ONTOLOGY_VERSION = "1.2.0"
Kind = Literal["float", "integer", "string"]


@dataclass(frozen=True)
class Term:
    """One quantity: machine-readable name (ours too), preferred label, unit, and labels of older files."""

    name: str
    label: str
    units: str
    meaning: str
    kind: Kind = "float"
    older_labels: tuple[str, ...] = ()
    in_format: bool = True

    @property
    def iri(self) -> str | None:
        """Where the format defines it; None for what the format does not know."""
        return f"{ONTOLOGY}#{self.name}" if self.in_format else None


REQUIRED = ("test_time_second", "voltage_volt", "current_ampere")
TEMPERATURES = tuple(f"temperature_t{n}_celsius" for n in range(1, 6))
PRESSURES = ("applied_pressure_pa", "surface_pressure_pa")
ENVIRONMENT = (
    *TEMPERATURES,
    "surface_temperature_celsius",
    "ambient_temperature_celsius",
    *PRESSURES,
    "ambient_pressure_pa",
)

_ALL = (
    Term("test_time_second", "Test Time / s", "s", "elapsed time since the start of the run"),
    Term("voltage_volt", "Voltage / V", "V", "voltage between the terminals of the cell"),
    Term("current_ampere", "Current / A", "A", "current; positive charges the cell"),
    Term("unix_time_second", "Unix Time / s", "s", "when the sample reached the computer, since 1970 UTC"),
    Term("cycle_count", "Cycle Count / 1", "1", "cycle, as marked in the protocol", "integer"),
    Term("step_count", "Step Count / 1", "1", "number of the step, counted through the run", "integer"),
    Term("step_time_second", "Step Time / s", "s", "elapsed time since the start of the step"),
    Term("step_type", "Step Type", "", "rest, cc_charge, cc_discharge, cv_charge or cv_discharge", "string"),
    *(
        Term(
            name,
            f"Temperature T{n} / degC",
            "degC",
            f"temperature at sensor T{n}",
            older_labels=(f"Surface Temperature T{n} / degC", *(("Temperature / degC",) if n == 1 else ())),
        )
        for n, name in enumerate(TEMPERATURES, 1)
    ),
    Term(
        "surface_temperature_celsius",
        "Surface Temperature / degC",
        "degC",
        "temperature of the cell's surface",
    ),
    Term("ambient_temperature_celsius", "Ambient Temperature / degC", "degC", "temperature around the cell"),
    Term("applied_pressure_pa", "Applied Pressure / Pa", "Pa", "stack pressure by the actuator"),
    Term("surface_pressure_pa", "Surface Pressure / Pa", "Pa", "stack pressure by the load cell"),
    Term("ambient_pressure_pa", "Ambient Pressure / Pa", "Pa", "air pressure around the cell"),
    Term(
        "status",
        "Status / 1",
        "1",
        "the instrument's own; 65536: a value is missing; 0 is good",
        "integer",
        in_format=False,
    ),
)
TERMS = {term.name: term for term in _ALL}
SAMPLE_ORDER = tuple(TERMS)  # of the columns of an exported file


def term_of_heading(heading: str) -> Term | None:
    """The quantity that a column heading names: preferred label, machine-readable name, or an older label."""
    return _BY_HEADING.get(heading.strip())


_BY_HEADING = {heading: term for term in _ALL for heading in (term.label, term.name, *term.older_labels)}
