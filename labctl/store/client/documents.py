"""The documents of a run from Tiled, as event pages, at constant memory; also of a run still going."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import orjson

from labctl.documents import page_of
from labctl.errors import StoreError
from labctl.formats import START_FIELD, require_readable
from labctl.journal.format import NanRestorer

_POLL_SECOND = 1.0
Document = tuple[str, dict[str, Any]]


def documents(run: Any, after: dict[str, int] | None = None) -> Iterator[Document]:
    """Yield start, descriptors, event pages, and stop if the run has ended.

    Args:
        run: The run's node in Tiled.
        after: Leave out the rows up to this seq_num, by stream.

    Raises:
        StoreError: Tiled refuses, or the connection breaks off.
        NewerFormatError: Only a newer labctl can read this run.
    """
    import httpx

    try:
        yield from _documents(run, after or {}, NanRestorer())
    except httpx.HTTPError as error:
        raise StoreError(f"run {run.item['id']}: reading from Tiled broke off: {error}") from error


def _documents(run: Any, after: dict[str, int], restorer: NanRestorer) -> Iterator[Document]:
    known = "+".join(f"{stream}:{seq_num}" for stream, seq_num in after.items())
    kind = "application/json-seq;nan=null" + (f";after={known}" if known else "")
    accept = {"Accept": kind, "Accept-Encoding": "identity"}
    with run.context.http_client.stream("GET", run.item["links"]["full"], headers=accept) as response:
        if response.is_error:
            response.read()
            raise StoreError(
                f"run {run.item['id']}: Tiled answers {response.status_code}: {response.text[:200]}"
            )
        for line in _lines(response.iter_raw()):
            record = orjson.loads(line.lstrip(b"\x1e"))
            if record["name"] == "start":
                where = f"run {run.item['id']} in Tiled"
                require_readable("journal", record["doc"].get(START_FIELD), where)
            restorer.restore(record["name"], record["doc"], line)
            yield record["name"], record["doc"]


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*parts, end])
            parts = []
        parts.append(rest)


def follow_documents(run: Any, halt: threading.Event) -> Iterator[Document]:
    """Yield what is there, then what comes (looked for once a second), until the stop document or `halt`."""
    names: dict[str, str] = {}  # of streams, by descriptor
    after: dict[str, int] = {}
    begun = False
    while not halt.is_set():
        for name, doc in documents(run, after):
            if (name == "start" and begun) or (name == "descriptor" and doc["uid"] in names):
                continue
            begun = True
            if name == "descriptor":
                names[doc["uid"]] = doc["name"]
            elif (page := page_of(name, doc)) is not None:
                after[names[page.descriptor]] = page.highest_seq_num
            yield name, doc
            if name == "stop" or halt.is_set():
                return
        halt.wait(_POLL_SECOND)
