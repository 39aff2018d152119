"""A run's place in Tiled: containers and tables as stock BlueskyRun clients (layout 3.0) expect them.

Everything here finds what is already there before it creates it, so each step may be done again after an
answer that never came.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
from tiled.client.container import Container
from tiled.structures.core import Spec

from labctl.errors import StoreError
from labctl.store.arrow import schema_of
from labctl.store.connection import plain_container

_ARROW_FILE = "application/vnd.apache.arrow.file"
_MAGIC_BYTE = 8  # of an Arrow file; what follows is an Arrow stream, and a footer after its end


@dataclass(frozen=True)
class Held:
    """How many different seq_nums there are, and the highest; 0 without rows."""

    count: int
    highest: int


def held(table: Any) -> Held:
    """What a table in Tiled holds.

    Raises:
        httpx.HTTPError: Tiled does not answer, or refuses.
    """
    count, highest = 0, 0
    for numbers in _pieces(table):
        if not len(numbers):
            continue
        if numbers[0] <= highest or (np.diff(numbers) <= 0).any():  # another server, in another order
            whole = np.unique(np.concatenate(list(_pieces(table))))
            return Held(len(whole), int(whole[-1]))
        count, highest = count + len(numbers), int(numbers[-1])
    return Held(count, highest)


def _pieces(table: Any) -> Iterator[np.ndarray]:
    headers = {"Accept": _ARROW_FILE, "Accept-Encoding": "identity"}
    full, column = table.item["links"]["full"], {"column": ["seq_num"]}
    with table.context.http_client.stream("GET", full, params=column, headers=headers) as response:
        response.raise_for_status()
        file = io.BufferedReader(_Chunks(response.iter_raw()))
        file.read(_MAGIC_BYTE)
        for batch in pa.ipc.open_stream(file):
            yield batch["seq_num"].to_numpy(zero_copy_only=False)


class _Chunks(io.RawIOBase):
    """A file of chunks of bytes that come one after the other."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            if not (chunk := next(self._chunks, b"")):
                return 0
            self._rest = memoryview(chunk)
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length


_REFUSALS = (400, 413, 415, 422)
_CONFLICT = 409
_NOT_IN_METADATA = ("name", "object_keys", "run_start")  # a stream node gives these back by itself
_STREAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_RUN = [Spec("BlueskyRun", version="3.0")]
_STREAM = [Spec("BlueskyEventStream", version="3.0"), Spec("composite")]


class UnavailableError(StoreError):
    """No answer, or none that says whether the request was carried out: ask again later."""


class RefusedError(StoreError):
    """Tiled says that it will never take this."""


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the HTTP errors of a request into the two that matter to a shipper."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        kind = RefusedError if error.response.status_code in _REFUSALS else UnavailableError
        raise kind(f"{what}: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        raise UnavailableError(f"{what}: {type(error).__name__}: {error}") from error


def _find_or_create(parent: Container, key: str, create: Callable[[], Any]) -> Any:
    with contextlib.suppress(KeyError):
        return parent[key]
    try:
        return create()
    except httpx.HTTPStatusError as error:
        if error.response.status_code != _CONFLICT:
            raise
    return parent[key]


def _plain(value: Any) -> Any:
    """JSON with null for NaN, whatever numbers it came with."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


class RunNode:
    """The container of one run."""

    def __init__(self, root: Container, start: dict[str, Any]) -> None:
        uid = start["uid"]
        with asking(f"run {uid}"):
            self._client = _find_or_create(
                root,
                uid,
                lambda: root.create_container(key=uid, metadata={"start": _plain(start)}, specs=_RUN),
            )

    @property
    def is_complete(self) -> bool:
        """True when the run has its stop document in Tiled."""
        return "stop" in self._client.metadata

    def stream(self, descriptor: dict[str, Any]) -> tuple[StreamTable, dict[str, str]]:
        """The table of a stream, and for each column that it cannot have the reason."""
        name = descriptor["name"]
        if _STREAM_NAME.fullmatch(name) is None:
            raise ValueError(f"stream name {name!r}: up to 64 letters, digits, hyphens and underscores")
        schema, refused = schema_of(descriptor)
        metadata = {k: v for k, v in _plain(descriptor).items() if k not in _NOT_IN_METADATA}
        metadata["data_keys"] = {k: v for k, v in metadata["data_keys"].items() if k not in refused}
        run = plain_container(self._client)
        with asking(f"stream {name}"):
            node = _find_or_create(
                run, name, lambda: run.create_container(key=name, metadata=metadata, specs=_STREAM)
            )
            stream = plain_container(node)
            table = _find_or_create(
                stream,
                "internal",
                lambda: stream.create_appendable_table(schema=schema, key="internal", metadata={}),
            )
        return StreamTable(node, table, schema), refused

    def finish(self, stop: dict[str, Any], report: dict[str, Any]) -> None:
        """Write the stop document, and what was found when the rows were counted."""
        with asking("stop document"):
            self._client.update_metadata({"stop": _plain(stop), "labctl": _plain(report)}, drop_revision=True)


class StreamTable:
    """The appendable table of one stream."""

    def __init__(self, node: Any, table: Any, schema: pa.Schema) -> None:
        self._node, self._table = node, table
        self.schema = schema

    def held(self) -> Held:
        """How many rows are stored, and the highest seq_num of them."""
        with asking("stored rows"):
            return held(self._table)

    def append(self, rows: pa.Table) -> None:
        """Store rows; not idempotent by itself, see `held`."""
        with asking("append"):
            self._table.append_partition(0, rows)

    def add_configuration(self, descriptor: dict[str, Any]) -> None:
        """Note a later descriptor of the stream, whose configuration has changed."""
        with asking("configuration"):
            updates = list(self._node.metadata.get("_config_updates", []))
            if descriptor["uid"] in {self._node.metadata["uid"], *(update["uid"] for update in updates)}:
                return
            update = {key: descriptor.get(key, {}) for key in ("uid", "time", "configuration")}
            updates = [*map(dict, updates), _plain(update)]
            self._node.update_metadata({"_config_updates": updates}, drop_revision=True)
