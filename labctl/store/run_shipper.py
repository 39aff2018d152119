"""Shipping one run: from its journal to its tables in Tiled, whole pages at a time.

Appends are not idempotent. What is certain is what can be read back: so at the beginning, and after any append
without a clear answer, the stored seq_nums decide what comes next, never a note of our own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from tiled.client.container import Container

from labctl.journal_reader import Tail
from labctl.store.arrow import new_rows, table_of
from labctl.store.nodes import RefusedError, RunNode, StreamTable
from labctl.store.refused import DeadLetters

State = Literal["running", "interrupted", "complete"]
_APPEND_ROWS = 20_000
_EXTERNAL = ("resource", "datum", "datum_page", "stream_resource", "stream_datum")
_log = logging.getLogger(__name__)


class StreamShipper:
    """Gathers the rows of one stream and appends them."""

    def __init__(self, name: str, table: StreamTable, letters: DeadLetters) -> None:
        self.name, self._table, self._letters = name, table, letters
        self._pages: list[pa.Table] = []
        self._since: float | None = None
        self._seen = 0  # highest seq_num met in the journal
        self._stored = 0  # highest seq_num in Tiled
        self._sure = False
        self.waiting = 0  # rows gathered
        self.expected = 0  # rows that Tiled should hold once all are shipped

    @property
    def due_second(self) -> float:
        """How long (s) the oldest gathered row has been waiting."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @property
    def stored(self) -> int:
        """Rows shipped or found in Tiled so far, as far as is known."""
        return self.expected - self.waiting

    def add(self, name: str, doc: dict[str, Any]) -> None:
        """Gather the rows of an event or event page that Tiled does not hold yet."""
        table = table_of(name, doc, self._table.schema)
        fresh = new_rows(table, self._seen)
        if not fresh.all():
            repeated = table.filter(pa.array(~fresh))
            self._refuse(repeated, "seq_num repeated, the first row with it stands")
            table = table.filter(pa.array(fresh))
        if table.num_rows:
            self._seen = table["seq_num"][-1].as_py()
            self.expected += table.num_rows
            self._gather(table)

    def _gather(self, table: pa.Table) -> None:
        self._pages.append(table)
        self.waiting += table.num_rows
        self._since = self._since if self._since is not None else time.monotonic()

    def flush(self) -> None:
        """Append everything gathered.

        Raises:
            UnavailableError: Nothing is lost; call it again later.
        """
        if not self._pages:
            return
        if not self._sure:
            self._look()
        while self._pages:
            rows = pa.concat_tables(self._pages).combine_chunks()
            self._pages = [rows.slice(start, _APPEND_ROWS) for start in range(0, rows.num_rows, _APPEND_ROWS)]
            self._append(self._pages[0])
            self.waiting -= self._pages.pop(0).num_rows
        self._since = None

    def _look(self) -> None:
        numbers = self._table.seq_nums()
        self._stored = int(numbers.max(initial=0))
        pages, self._pages, self.waiting = self._pages, [], 0
        for page in pages:
            fresh = page.filter(pa.array(page["seq_num"].to_numpy() > self._stored))
            if fresh.num_rows:
                self._gather(fresh)
        self._sure = True

    def _append(self, rows: pa.Table) -> None:
        self._sure = False
        try:
            self._table.append(rows)
        except RefusedError as error:
            self._refuse(rows, str(error))
            self.expected -= rows.num_rows
        self._sure = True

    def _refuse(self, rows: pa.Table, reason: str) -> None:
        numbers = rows["seq_num"]
        key = f"{self.name}:{numbers[0].as_py()}-{numbers[-1].as_py()}:{reason}"
        self._letters.add(key, reason, "event_page", {"stream": self.name, **rows.to_pydict()})

    def count(self) -> int:
        """Rows that Tiled holds now."""
        return len(np.unique(self._table.seq_nums()))

    def add_configuration(self, descriptor: dict[str, Any]) -> None:
        """Note a later descriptor of this stream."""
        self._table.add_configuration(descriptor)


class RunShipper:
    """Follows one journal and ships it.

    Args:
        root: The container of runs in Tiled.
        directory: The run's directory.
        letters_directory: Where refused documents are kept.
        on_new_table: Called after a table may have been created.
    """

    def __init__(
        self, root: Container, directory: Path, letters_directory: Path, on_new_table: Callable[[], None]
    ) -> None:
        self._root, self._on_new_table = root, on_new_table
        self.uid = directory.name
        self._tail = Tail(directory)
        self._documents: Iterator[tuple[str, dict[str, Any]]] | None = None
        self._unfinished: tuple[str, dict[str, Any]] | None = None
        self._letters = DeadLetters(letters_directory, self.uid)
        self._node: RunNode | None = None
        self._streams: dict[str, StreamShipper] = {}
        self._by_descriptor: dict[str, StreamShipper] = {}
        self.state: State = "running"

    @property
    def rows(self) -> dict[str, int]:
        """Rows shipped so far, by stream."""
        return {name: stream.stored for name, stream in self._streams.items()}

    @property
    def waiting(self) -> int:
        """Rows read from the journal and not yet shipped."""
        return sum(stream.waiting for stream in self._streams.values())

    def advance(self, documents: int, flush_period_second: float) -> bool:
        """Read up to `documents` documents and append what is due; True when there is more to read now.

        Raises:
            UnavailableError: Tiled does not answer; call it again later, nothing is lost.
        """
        alive = self._tail.is_being_written()  # before reading: then the end of the file is the end
        at_end = self._read(documents)
        if self.state == "complete":
            return False
        idle = at_end and not alive
        for stream in self._streams.values():
            if idle or stream.waiting >= _APPEND_ROWS or stream.due_second >= flush_period_second:
                stream.flush()
        self.state = "interrupted" if idle else "running"
        if idle:
            self._tail.close()
        return not at_end

    def _read(self, documents: int) -> bool:
        for _ in range(documents):
            if self._unfinished is None:
                self._documents = self._documents or self._tail.available()
                self._unfinished = next(self._documents, None)
            if self._unfinished is None:
                self._documents = None
                return True
            self._take(*self._unfinished)
            self._unfinished = None
            if self.state == "complete":
                self.close()
                return True
        return False

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        """Take in a document; may be called again with the same one after an UnavailableError."""
        try:
            if name == "start":
                self._node = RunNode(self._root, doc)
                self.state = "complete" if self._node.is_complete else self.state
            elif self._node is None:
                raise ValueError("no start document came before it")
            elif name == "descriptor":
                self._descriptor(self._node, doc)
            elif name in ("event", "event_page"):
                self._by_descriptor[doc["descriptor"]].add(name, doc)
            elif name == "stop":
                self._stop(self._node, doc)
            elif name in _EXTERNAL:
                raise ValueError("external data are not shipped")
        except (ValueError, TypeError, KeyError, RefusedError) as error:
            reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
            self._letters.add(f"{name}:{_identity(doc)}", reason, name, doc)

    def _descriptor(self, node: RunNode, doc: dict[str, Any]) -> None:
        name, known = doc["name"], self._streams.get(doc["name"])
        if known is not None:
            known.add_configuration(doc)
        else:
            table, refused = node.stream(doc)
            self._on_new_table()
            for key, reason in refused.items():
                self._letters.add(
                    f"column:{name}:{key}", reason, "data_key", {"stream": name, "data_key": key}
                )
            known = self._streams[name] = StreamShipper(name, table, self._letters)
        self._by_descriptor[doc["uid"]] = known

    def _stop(self, node: RunNode, doc: dict[str, Any]) -> None:
        for stream in self._streams.values():
            stream.flush()
        rows = {name: stream.count() for name, stream in self._streams.items()}
        expected = {name: stream.expected for name, stream in self._streams.items()}
        verified = rows == expected
        if not verified:
            _log.error("run %s: Tiled holds %s rows, the journal %s", self.uid, rows, expected)
        node.finish(doc, {"rows": rows, "verified": verified, "refused": self._letters.count})
        self.state = "complete"

    def close(self) -> None:
        """Close the journal's file."""
        self._documents = None
        self._tail.close()


def _identity(doc: dict[str, Any]) -> str:
    """What tells a document from its like, even when parts of it are missing."""
    numbers = doc.get("seq_num", "")
    if isinstance(numbers, list):
        numbers = f"{numbers[:1]}-{numbers[-1:]}"
    return f"{doc.get('descriptor', '')}:{numbers}:{doc.get('uid', '') if not numbers else ''}"
