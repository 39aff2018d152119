"""Writes the JSON schema of protocols to docs/reference: `python -m plans.schema`."""

from __future__ import annotations

import json
from pathlib import Path

from plans.protocol.protocol import Protocol

PUBLISHED = Path(__file__).parents[1] / "docs" / "reference" / "protocol.schema.json"


def main() -> None:
    """Write the schema where it is published."""
    text = json.dumps(Protocol.model_json_schema(), indent=2, ensure_ascii=False)
    PUBLISHED.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
