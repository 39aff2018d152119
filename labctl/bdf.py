"""The quantities of the Battery Data Format (BDF) that labctl writes and reads.

Names, labels and units stand in the format's table schema and ontology, version 1.2.0 (Battery Data Alliance,
https://w3id.org/battery-data-alliance/ontology/battery-data-format): the first row of a file holds the
preferred labels, units are fixed, current > 0 charges, the imaginary impedance has its true sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.schema import (
    APPLIED_PRESSURE,
    COLUMNS,
    CURRENT,
    CYCLE_COUNT,
    STATUS,
    STEP_COUNT,
    STEP_TIME,
    STEP_TYPE,
    SURFACE_PRESSURE,
    TEST_TIME,
    VOLTAGE,
    Kind,
)

ONTOLOGY = "https://w3id.org/battery-data-alliance/ontology/battery-data-format"
ONTOLOGY_VERSION = "1.2.0"


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


REQUIRED = (TEST_TIME, VOLTAGE, CURRENT)
TEMPERATURES = tuple(f"temperature_t{n}_celsius" for n in range(1, 6))
PRESSURES = (APPLIED_PRESSURE, SURFACE_PRESSURE)
ENVIRONMENT_COLUMNS = (
    *TEMPERATURES,
    "surface_temperature_celsius",
    "ambient_temperature_celsius",
    *PRESSURES,
    "ambient_pressure_pa",
)


def _term(column: str, label: str, *, in_format: bool = True) -> Term:
    """A quantity that is a column of our own streams."""
    spec = COLUMNS[column]
    return Term(column, label, spec.units, spec.description, spec.kind, in_format=in_format)


_ALL = (
    _term(TEST_TIME, "Test Time / s"),
    _term(VOLTAGE, "Voltage / V"),
    _term(CURRENT, "Current / A"),
    Term("unix_time_second", "Unix Time / s", "s", "when the sample reached the computer, since 1970 UTC"),
    _term(CYCLE_COUNT, "Cycle Count / 1"),
    _term(STEP_COUNT, "Step Count / 1"),
    _term(STEP_TIME, "Step Time / s"),
    _term(STEP_TYPE, "Step Type"),
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
    _term(APPLIED_PRESSURE, "Applied Pressure / Pa"),
    _term(SURFACE_PRESSURE, "Surface Pressure / Pa"),
    Term("ambient_pressure_pa", "Ambient Pressure / Pa", "Pa", "air pressure around the cell"),
    _term(STATUS, "Status / 1", in_format=False),
)
TERMS = {term.name: term for term in _ALL}
SAMPLE_ORDER = tuple(TERMS)  # of the columns of an exported file


def term_of_heading(heading: str) -> Term | None:
    """The quantity that a column heading names: preferred label, machine-readable name, or an older label."""
    return _BY_HEADING.get(heading.strip())


_BY_HEADING = {heading: term for term in _ALL for heading in (term.label, term.name, *term.older_labels)}
