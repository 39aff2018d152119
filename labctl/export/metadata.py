"""What belongs to the numbers: cell, instruments, limits, conditions, units; in or beside every export."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from labctl.bdf import ONTOLOGY, ONTOLOGY_VERSION, TERMS
from labctl.export.content import SAMPLES, RunContent
from labctl.export.spectra import SIGN_NOTE, spectra
from labctl.records.cell import Cell
from labctl.schema import ALARMS, STEPS
from labctl.version import __version__

_PRIVATE = frozenset({"address"})  # where an instrument sits in somebody's network concerns nobody else
_TAKEN_OVER = ("protocol", "limits", "versions", "imported", "simulation_truth")
_OF_RUN = ("plan_name", "campaign_uid", "parent_uid", "parent_elapsed_s", "station")


def run_metadata(content: RunContent) -> dict[str, Any]:
    """All that is known about a run but its samples, as plain JSON values; the same for the same run."""
    start = content.start
    return {
        "format": {
            "columns": f"Battery Data Format, ontology {ONTOLOGY_VERSION}",
            "iri": ONTOLOGY,
            "written_by": f"labctl {__version__}",
        },
        "conventions": {
            "current": "positive current charges the cell",
            "impedance": SIGN_NOTE,
            "voltage": "cell voltage: working electrode minus counter electrode",
            "missing": "an empty (null, NaN) value means that there was no valid reading",
        },
        "run": _run(content),
        "cell": start.get("cell"),
        "cell_derived": _derived(start),
        "devices": _without_private(start.get("devices", {})),
        **{key: start[key] for key in _TAKEN_OVER if key in start},
        "environment_joined_within_second": content.environment.near_second,
        "columns": _columns(content),
        "impedance": [spectrum.conditions for spectrum in spectra(content)],
        "steps": content.rows(STEPS.name),
        "alarms": content.rows(ALARMS.name),
    }


def metadata_json(record: dict[str, Any]) -> bytes:
    """The record as JSON; NaN becomes null."""
    return orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _run(content: RunContent) -> dict[str, Any]:
    start, stop = content.start, content.tables.stop or {}
    began = float(start.get("time", np.nan))
    rows = {SAMPLES: content.sample_count}
    rows |= {name: len(next(iter(c.values()), ())) for name, c in content.tables.streams.items()}
    return {
        "uid": content.uid,
        **{key: start[key] for key in _OF_RUN if key in start},
        "start_unix_second": began,
        "start_time": datetime.fromtimestamp(began, UTC).isoformat() if np.isfinite(began) else None,
        "end_unix_second": stop.get("time"),
        "exit_status": stop.get("exit_status"),
        "reason": stop.get("reason"),
        "rows": rows,
    }


def _derived(start: dict[str, Any]) -> dict[str, float | None] | None:
    try:
        cell = Cell.model_validate(start.get("cell"))
    except ValueError:
        return None  # no cell, or an older or foreign record
    return {
        "area_m2": cell.area_m2,
        "active_mass_kg": cell.active_mass_kg,
        "nominal_capacity_ah": cell.nominal_capacity_ah,
        "areal_capacity_ah_per_m2": cell.areal_capacity_ah_per_m2,
        "anode_potential_volt": cell.anode_potential_volt,
    }


def _columns(content: RunContent) -> list[dict[str, Any]]:
    """The columns of the samples as the journal names them, in no particular order of any file."""
    units = {**content.units(SAMPLES), **_beside(content)}
    return [_column(name, units[name]) for name in sorted(units, key=_place)]


def _beside(content: RunContent) -> dict[str, str]:
    found = {name: TERMS[name].units for name in content.environment.columns}
    if content.sample_count and not content.is_simulated:
        found["unix_time_second"] = "s"
    return found


def _place(name: str) -> tuple[int, str]:
    return (list(TERMS).index(name) if name in TERMS else len(TERMS), name)


def _column(name: str, units: str) -> dict[str, Any]:
    term = TERMS.get(name)
    if term is None:
        return {"name": name, "units": units}
    return {
        "name": name,
        "label": term.label,
        "units": term.units,
        "meaning": term.meaning,
        "iri": term.iri,
    }


def _without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_private(item) for key, item in value.items() if key not in _PRIVATE}
    return [_without_private(item) for item in value] if isinstance(value, list) else value


def flattened(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Pairs of dotted name and plain value; lists stay one value, as JSON text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flattened(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        yield prefix, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    else:
        yield prefix, value
