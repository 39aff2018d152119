"""The columns of a stream as arrays, from the documents of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labctl.errors import ConfigurationError


def no_stream(uid: str, stream: str, names: list[str]) -> ConfigurationError:
    """The error of a run without such a stream; it names those that are there."""
    return ConfigurationError(f"run {uid}", "stream", stream, f"this run has {', '.join(names) or 'none'}")


def columns_of(documents: Iterator[tuple[str, dict[str, Any]]], stream: str) -> dict[str, np.ndarray]:
    """The columns of `stream` with seq_num and time, by name.

    Raises:
        ConfigurationError: The run has no such stream.
    """
    names: dict[str, str] = {}
    keys: dict[str, dict[str, Any]] = {}
    columns: dict[str, list[Any]] = {}
    uid = ""
    for name, doc in documents:
        if name == "start":
            uid = doc["uid"]
        elif name == "descriptor":
            names[doc["uid"]] = doc["name"]
            if doc["name"] == stream:
                keys = doc["data_keys"]
                columns = columns or {key: [] for key in ("seq_num", "time", *keys)}
        elif name in ("event", "event_page") and names.get(doc["descriptor"]) == stream:
            rows = {**doc["data"], "seq_num": doc["seq_num"], "time": doc["time"]}
            for key, column in columns.items():
                column.extend(rows[key]) if name == "event_page" else column.append(rows[key])
    if not columns:
        raise no_stream(uid, stream, sorted(set(names.values())))
    return {key: _array(column, keys.get(key, {})) for key, column in columns.items()}


def _array(values: list[Any], description: dict[str, Any]) -> np.ndarray:
    if description.get("dtype") == "string":
        return np.array(values, dtype=object)
    if description.get("dtype") == "number":
        return np.array(values, dtype=float)
    return np.array(values)
