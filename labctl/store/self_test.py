"""Writing and reading back a table before a Tiled server is trusted with runs."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pyarrow as pa
from tiled.structures.core import Spec

from labctl.errors import StoreError
from labctl.store.nodes import plain_container

_KEY = "labctl-self-test"
_SCHEMA = pa.schema([("seq_num", pa.int64()), ("value", pa.float64()), ("word", pa.string())])
_ROWS = 1_500  # more than the first batch, from which a careless reader would guess the types


def self_test(client: Any) -> None:
    """Write a table that begins with NaN, read it back, remove it.

    Raises:
        StoreError: What came back is not what was written.
    """
    root = plain_container(client)
    with contextlib.suppress(KeyError):
        root[_KEY]
        _remove(root)  # left by a predecessor that was killed
    node = root.create_container(key=_KEY, metadata={}, specs=[Spec("labctl-self-test", version="1.0")])
    try:
        table = plain_container(node).create_appendable_table(schema=_SCHEMA, key="table", metadata={})
        values = np.where(np.arange(_ROWS) < _ROWS - 1, np.nan, 3.7)
        columns = [np.arange(1, _ROWS + 1), values, ["word"] * _ROWS]
        table.append_partition(0, pa.table(columns, schema=_SCHEMA))
        read = table.read()
        if not (np.array_equal(read["value"], values, equal_nan=True) and set(read["word"]) == {"word"}):
            raise StoreError("self-test: a table reads back otherwise than it was written")
    finally:
        _remove(root)


def _remove(root: Any) -> None:
    root.delete_contents(_KEY, recursive=True, external_only=False)
