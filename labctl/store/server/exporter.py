"""A run as a sequence of Bluesky documents, for the Tiled server (`application/json-seq` of a BlueskyRun).

Unlike the exporter of bluesky-tiled-plugins it streams at constant memory, gives event pages, keeps a
descriptor before its events whatever the wall clock did, and ends a run that is still running without a stop
document. NaN is written as NaN, as stock clients expect, or as null for `application/json-seq;nan=null`;
`;after=timeseries:1200+steps:3` leaves out the rows that a follower has already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice, pairwise
from typing import Any

import anyio
import numpy as np
import orjson
import pyarrow as pa
from bluesky_tiled_plugins.exporters import build_descriptor_docs

from labctl.schema import TEST_TIME
from labctl.store.server.tables import DatabaseTable

PAGE_ROWS = 1_000
_BLOCK_ROWS = 10_000  # one query each
_PAGES_AT_ONCE = 10  # handed over from the reading thread and sent together


async def json_seq(
    mimetype: str, adapter: Any, metadata: Any, filter_for_access: Any
) -> AsyncIterator[bytes]:
    """Yield start, descriptors, event pages in the order of test time, and stop if the run has ended."""
    visible = await filter_for_access(adapter)
    nan_as_null, after = _wishes(mimetype)
    start = metadata.get("start", {})
    streams = []
    for name in await visible.keys_range(offset=0, limit=None):
        node = await visible.lookup_adapter([name])
        table = await _table(node)
        descriptors = build_descriptor_docs(dict(node.metadata()), name, run_start_uid=start.get("uid"))
        streams.append(StreamReader(descriptors, table, nan_as_null, after.get(name)))
    yield _record("start", start)
    for stream in streams:
        for descriptor in stream.descriptors:
            yield _record("descriptor", descriptor)
    pages = in_order(streams)
    while portion := await anyio.to_thread.run_sync(_portion, pages):
        yield portion
    if "stop" in metadata:
        yield _record("stop", metadata["stop"])


def _wishes(mimetype: str) -> tuple[bool, dict[str, int]]:
    """Whether NaN is to be null, and after which seq_num rows are wanted, by stream."""
    parts = (part.strip().partition("=") for part in mimetype.split(";")[1:])
    parameters = {name: value for name, _, value in parts}
    known = (part.rpartition(":") for part in parameters.get("after", "").split("+"))
    after = {stream: int(seq_num) for stream, _, seq_num in known if seq_num.isdecimal()}
    return parameters.get("nan") == "null", after


async def _table(node: Any) -> DatabaseTable | None:
    if "internal" not in await node.keys_range(offset=0, limit=None):
        return None  # the stream was begun this moment
    return await (await node.lookup_adapter(["internal"])).get_adapter()


def _portion(pages: Iterator[bytes]) -> bytes:
    return b"".join(islice(pages, _PAGES_AT_ONCE))


def _record(name: str, doc: Any) -> bytes:
    # RFC 7464: a record separator before, a newline after each record
    return b"\x1e" + orjson.dumps({"name": name, "doc": doc}) + b"\n"


class StreamReader:
    """The rows of one stream, taken off in time order.

    Args:
        descriptors: The stream's descriptor, and those that followed when its configuration changed.
        table: Its rows, None when there are none.
        nan_as_null: Write NaN as null instead of NaN.
        after: Leave out the rows up to this seq_num.
    """

    def __init__(
        self,
        descriptors: list[dict[str, Any]],
        table: DatabaseTable | None,
        nan_as_null: bool = False,
        after: int | None = None,
    ) -> None:
        self.descriptors = descriptors
        self._changes = [d["time"] for d in descriptors[1:]]
        self._pages = _pages(table, after) if table is not None else iter(())
        self._nan = b"null" if nan_as_null else b"NaN"
        self._rows: pa.Table | None = None
        self._times = np.empty(0)

    def fill(self) -> bool:
        """Have rows at hand; False at the end."""
        if self._rows is None or not self._rows.num_rows:
            self._keep(next(self._pages, None))
        return self._rows is not None

    def _keep(self, rows: pa.Table | None) -> None:
        self._rows = rows
        if rows is not None:
            name = TEST_TIME if TEST_TIME in rows.column_names else "time"
            # NaN never decides an order: such a row goes with the one before it
            self._times = np.fmax.accumulate(np.concatenate(([-np.inf], rows[name].to_numpy())))[1:]

    @property
    def first(self) -> float:
        """Time of the first row at hand."""
        return float(self._times[0])

    @property
    def last(self) -> float:
        """Time of the last row at hand."""
        return float(self._times[-1])

    def take(self, until: float) -> Iterator[bytes]:
        """Yield the rows at hand up to a time as event pages, at least the first."""
        if self._rows is None:
            return
        count = max(1, int(np.searchsorted(self._times, until, side="right")))
        taken, rest = self._rows.slice(0, count), self._rows.slice(count)
        self._keep(rest if rest.num_rows else None)
        yield from self._by_descriptor(taken)

    def _by_descriptor(self, rows: pa.Table) -> Iterator[bytes]:
        owners = np.searchsorted(self._changes, rows["time"].to_numpy(), side="right")
        cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), rows.num_rows]
        for begin, end in pairwise(cuts):
            descriptor = self.descriptors[owners[begin]]
            yield event_page(rows.slice(begin, end - begin), descriptor["uid"], self._nan)


def _pages(table: DatabaseTable, after: int | None) -> Iterator[pa.Table]:
    for block in table.pages(_BLOCK_ROWS) if after is None else table.pages(_BLOCK_ROWS, after=after):
        for start in range(0, block.num_rows, PAGE_ROWS):
            yield block.slice(start, PAGE_ROWS)


def in_order(streams: list[StreamReader]) -> Iterator[bytes]:
    """Merge streams by test time, one page of the fastest stream at a time."""
    while ready := [stream for stream in streams if stream.fill()]:
        until = min(stream.last for stream in ready)
        for stream in sorted(ready, key=lambda stream: stream.first):
            if stream.first <= until:
                yield from stream.take(until)


def event_page(rows: pa.Table, descriptor_uid: str, nan: bytes = b"NaN") -> bytes:
    """The record of one event page; columns are written one by one, which keeps NaN and is fast."""
    keys = [name for name in rows.column_names if f"ts_{name}" in rows.column_names]
    time, numbers = _column(rows["time"], nan), _column(rows["seq_num"], nan)
    stamps = {key: rows[f"ts_{key}"] for key in keys}  # mostly the time of the event
    stamps = {key: time if of.equals(rows["time"]) else _column(of, nan) for key, of in stamps.items()}
    between = b'","event-%s-' % descriptor_uid.encode()
    fields = {
        "descriptor": orjson.dumps(descriptor_uid),
        "seq_num": numbers,
        "time": time,
        "uid": b'[%s%s"]' % (between[2:], numbers[1:-1].replace(b",", between)),
        "data": _map({key: _column(rows[key], nan) for key in keys}),
        "timestamps": _map(stamps),
        "filled": b"{}",
    }
    return b'\x1e{"name":"event_page","doc":%s}\n' % _map(fields)


def _map(fields: dict[str, bytes]) -> bytes:
    return b"{%s}" % b",".join(orjson.dumps(key) + b":" + value for key, value in fields.items())


def _column(column: pa.ChunkedArray, nan: bytes) -> bytes:
    if pa.types.is_floating(column.type):
        text = orjson.dumps(column.to_numpy(), option=orjson.OPT_SERIALIZE_NUMPY)
        return text.replace(b"null", nan) if nan != b"null" else text
    if pa.types.is_integer(column.type) and not column.null_count:
        return orjson.dumps(column.to_numpy(), option=orjson.OPT_SERIALIZE_NUMPY)
    return orjson.dumps(column.to_pylist())
