"""Which names a column may have, in every database that takes the runs; asked before a value is emitted."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from labctl.errors import JournalError

RESERVED = {"seq_num", "time"}
_COLUMN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_]|[.:-](?=[A-Za-z0-9_]))*")
_LONGEST_NAME = 60  # PostgreSQL allows 63 bytes, and "ts_" comes before


def why_no_column(key: str, taken: AbstractSet[str]) -> str:
    """Why a data key cannot name a column beside those `taken` (in lower case); "" if it can."""
    if key in RESERVED or key.lower() in taken:
        return "the name is taken"
    if len(key) > _LONGEST_NAME or _COLUMN.fullmatch(key) is None or "--" in key:
        return f"a column name is up to {_LONGEST_NAME} letters, digits and underscores"
    return ""


def check_names(descriptor: dict[str, Any]) -> None:
    """Refuse an event descriptor with a data key that the document store could not take.

    Raises:
        JournalError: names stream, key and what is allowed.
    """
    taken = set(RESERVED)
    for key in descriptor.get("data_keys", {}):
        if reason := why_no_column(key, taken):
            stream = descriptor.get("name", "primary")
            raise JournalError(
                f"descriptor of stream {stream}: data key {key!r}: {reason}; rename the signal"
            )
        taken |= {key.lower(), f"ts_{key}".lower()}
