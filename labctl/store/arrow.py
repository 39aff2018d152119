"""From Bluesky descriptors and pages to the Arrow tables that Tiled stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from labctl.documents import Page
from labctl.schema import RESERVED, why_no_column

_OF_DTYPE = {"number": pa.float64(), "integer": pa.int64(), "string": pa.string(), "boolean": pa.bool_()}
_OF_NUMPY = {"f": pa.float64(), "i": pa.int64(), "u": pa.int64(), "U": pa.string(), "b": pa.bool_()}
_FITS = {
    pa.float64(): (pa.types.is_floating, pa.types.is_integer, pa.types.is_null),
    pa.int64(): (pa.types.is_integer, pa.types.is_null),
    pa.string(): (pa.types.is_string, pa.types.is_null),
    pa.bool_(): (pa.types.is_boolean, pa.types.is_null),
}


def schema_of(descriptor: dict[str, Any]) -> tuple[pa.Schema, dict[str, str]]:
    """The table of a stream: seq_num, time, and each column with its timestamps.

    Args:
        descriptor: An event descriptor; its data keys, not the data, decide the types.

    Returns:
        The schema, and for each data key that cannot be a column the reason.
    """
    fields, refused = [("seq_num", pa.int64()), ("time", pa.float64())], {}
    for key, description in descriptor["data_keys"].items():
        reason = _why_not(key, description, {name.lower() for name, _ in fields})
        if reason:
            refused[key] = reason
        else:
            fields += [(key, arrow_type(description)), (f"ts_{key}", pa.float64())]
    return pa.schema(fields), refused


def _why_not(key: str, description: dict[str, Any], taken: set[str]) -> str:
    if reason := why_no_column(key, taken):
        return reason
    if description.get("external"):
        return "external data are not stored in the table"
    if description.get("shape") or arrow_type(description) is None:
        return "only scalars of numbers, booleans and strings are stored in the table"
    return ""


def arrow_type(description: dict[str, Any]) -> pa.DataType | None:
    """The column type that a data key declares, None if it is no scalar type."""
    kind = description.get("dtype_numpy")
    if isinstance(kind, str):
        return _OF_NUMPY.get(kind.lstrip("<>=|")[:1])
    return _OF_DTYPE.get(description.get("dtype", ""))


def table_of(page: Page, schema: pa.Schema) -> pa.Table:
    """The rows of a page.

    Raises:
        ValueError: A column is missing, has another length or another type than its descriptor says.
    """
    arrays, data, stamps = [], page.data, page.timestamps
    for field in schema:
        values = _values(field.name, page, data, stamps)
        try:
            arrays.append(_array(values, field.type))
        except (pa.ArrowException, TypeError, OverflowError, ValueError) as error:
            raise ValueError(f"column {field.name}: {error}") from error
    try:
        return pa.Table.from_arrays(arrays, schema=schema)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    # The type is inferred first: asked for integers, Arrow would cut 2.5 to 2 without a word.
    array = pa.array(values)
    if not any(fits(array.type) for fits in _FITS[kind]):
        raise ValueError(f"{array.type} where the descriptor has {kind}")
    if array.null_count and kind in (pa.int64(), pa.bool_()):
        raise ValueError(f"null where the descriptor has {kind}")
    return array.cast(kind)


def _values(column: str, page: Page, data: Mapping[str, Any], stamps: Mapping[str, Any]) -> Sequence[Any]:
    if column in RESERVED:
        return page.seq_num if column == "seq_num" else page.time
    stamp = column.startswith("ts_") and column not in data
    part, key = (stamps, column.removeprefix("ts_")) if stamp else (data, column)
    if key not in part:
        where = "timestamps" if stamp else "data"
        raise ValueError(f"column {column}: missing in the {where} of the document")
    return part[key]


def null_for_nan(values: np.ndarray | pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column as Arrow, with null in place of NaN; what has no NaN stays as it is."""
    if isinstance(values, np.ndarray):
        return pa.array(values, from_pandas=values.dtype.kind == "f")
    return null_for_nan(values.to_numpy(zero_copy_only=False)) if _is_floating(values) else values


def _is_floating(column: pa.Array | pa.ChunkedArray) -> bool:
    return pa.types.is_floating(column.type)


def new_rows(table: pa.Table, after: int) -> np.ndarray:
    """Mask of the rows whose seq_num exceeds `after` and those of all rows before them."""
    numbers = table["seq_num"].to_numpy()
    before = np.maximum.accumulate(np.concatenate(([after], numbers)))[:-1]
    return numbers > before
