"""Writes the JSON schema of protocols to docs/reference: `python -m plans.schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labctl.formats import FIELD, FORMAT_NUMBER
from plans.protocol.protocol import Protocol

PUBLISHED = Path(__file__).parents[1] / "docs" / "reference" / "protocol.schema.json"


def protocol_schema() -> dict[str, Any]:
    """The JSON schema of a file that holds a protocol: the number of its format, and the protocol."""
    schema = Protocol.model_json_schema()
    number = {
        "default": 1,
        "description": "Number of the file's format; without one it is 1. A newer one is refused.",
        "maximum": FORMAT_NUMBER["protocol"],
        "minimum": 1,
        "title": "Format",
        "type": "integer",
    }
    schema["properties"] = {FIELD: number, **schema["properties"]}
    return schema


def main() -> None:
    """Write the schema where it is published."""
    text = json.dumps(protocol_schema(), indent=2, ensure_ascii=False)
    PUBLISHED.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
