"""Read runs with stock clients alone: tiled.client, and bluesky_tiled_plugins for the documents.

Usage: read_runs.py URI CELL_ID     (the API key in the environment variable TILED_API_KEY)
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from bluesky_tiled_plugins.writing.validator import validate
from event_model import DocumentNames, schema_validators
from tiled.client import from_uri
from tiled.queries import Key


def describe(run: Any) -> dict[str, Any]:
    """What a run holds: last sample, spectrum, documents; works while it is running, too."""
    samples, told = run["timeseries"].read(), {"plan": run.start["plan_name"]}
    told["running"] = "stop" not in run.metadata
    told["samples"] = samples.sizes["time"]
    told["last_voltage_volt"] = float(samples["voltage_volt"].values[-1])
    told["last_step_type"] = str(samples["step_type"].values[-1])
    if "impedance" in run:
        spectrum = run["impedance"].read()
        told["frequencies_hertz"] = spectrum["frequency_hertz"].values.tolist()
        impedance = spectrum["real_impedance_ohm"].values + 1j * spectrum["imaginary_impedance_ohm"].values
        told["largest_impedance_ohm"] = float(abs(impedance).max())
    told["documents"] = [name for name, document in run.documents() if is_valid(name, document)]
    told["validated"] = bool(told["running"] or validate(run, raise_on_error=True))
    return told


def is_valid(name: str, document: Any) -> bool:
    """Raises a ValidationError for what is no Bluesky document."""
    plain = document.to_dict() if hasattr(document, "to_dict") else dict(document)
    schema_validators[DocumentNames[name]].validate(plain)
    return True


def main() -> None:
    """Describe all runs of a cell, oldest first."""
    uri, cell = sys.argv[1:]
    client = from_uri(uri, api_key=os.environ["TILED_API_KEY"])
    found = client.search(Key("start.cell.id") == cell).sort(("start.time", 1))
    print(json.dumps({uid: describe(run) for uid, run in found.items()}))


if __name__ == "__main__":
    main()
