"""Results as plain JSON."""

from __future__ import annotations

from math import isfinite
from typing import Any


def without_nan(value: Any) -> Any:
    """The same with None in place of NaN and infinity."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
