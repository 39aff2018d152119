"""Shipping one run: from its journal to its tables in Tiled, whole pages at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tiled.client.container import Container

from labctl.documents import holds_rows
from labctl.journal.format import Damage
from labctl.journal.reader import Tail
from labctl.store.rejections import DeadLetters
from labctl.store.ship.nodes import RefusedError, RunNode
from labctl.store.ship.stream_shipper import APPEND_ROWS, StreamShipper

_log = logging.getLogger(__name__)
State = Literal["running", "interrupted", "complete"]
_EXTERNAL = ("resource", "datum", "datum_page", "stream_resource", "stream_datum")


class RunShipper:
    """Follows one journal and ships it.

    Args:
        root: The container of runs in Tiled.
        directory: The run's directory.
        letters_directory: Where refused documents are kept.
    """

    def __init__(self, root: Container, directory: Path, letters_directory: Path) -> None:
        self._root = root
        self.uid = directory.name
        self._tail = Tail(directory, self._damaged)
        self._documents: Iterator[tuple[str, dict[str, Any]]] | None = None
        self._unfinished: tuple[str, dict[str, Any]] | None = None
        self._letters = DeadLetters(letters_directory, self.uid)
        self._node: RunNode | None = None
        self._streams: dict[str, StreamShipper] = {}
        self._by_descriptor: dict[str, StreamShipper] = {}
        self.state: State = "running"

    @property
    def rows(self) -> dict[str, int]:
        """Rows that Tiled holds, by stream, as far as is known."""
        return {name: stream.stored for name, stream in self._streams.items()}

    @property
    def waiting(self) -> int:
        """Rows that were read and are not in Tiled yet."""
        return sum(stream.waiting for stream in self._streams.values())

    @property
    def refused(self) -> int:
        """Documents, columns and rows that went to the dead letters."""
        return self._letters.count

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
            stream.settle(if_done=True)
            if idle or stream.gathered >= APPEND_ROWS or stream.waited_second >= flush_period_second:
                stream.flush(wait=idle)
        self.state = "interrupted" if idle else "running"
        if idle:
            self._tail.close()
        return not at_end

    def _read(self, documents: int) -> bool:
        """Take in up to `documents` documents; True when the end of what is written was reached."""
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

    def _damaged(self, damage: Damage) -> None:
        _log.warning("journal damaged, stretch skipped: %s", damage)
        if damage.document is not None:
            self._letters.add(damage.reason, *damage.document)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        """Take in a document; may be called again with the same one after an UnavailableError."""
        try:
            self._dispatch(name, doc)
        except KeyError as error:
            self._letters.add(f"it lacks or names the unknown {error}", name, doc)
        except (ValueError, TypeError, RefusedError) as error:
            self._letters.add(str(error), name, doc)

    def _dispatch(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            if doc.get("uid") != self.uid:
                raise ValueError(f"uid {doc.get('uid')!r} in a directory named {self.uid}")
            self._node = RunNode(self._root, doc)
            self.state = "complete" if self._node.is_complete else self.state
        elif self._node is None:
            raise ValueError("no start document came before it")
        elif name == "descriptor":
            self._descriptor(self._node, doc)
        elif holds_rows(name):
            self._by_descriptor[doc["descriptor"]].add(name, doc)
        elif name == "stop":
            self._stop(self._node, doc)
        elif name in _EXTERNAL:
            raise ValueError("external data are not shipped")

    def _descriptor(self, node: RunNode, doc: dict[str, Any]) -> None:
        name, known = doc["name"], self._streams.get(doc["name"])
        if known is not None:
            known.add_configuration(doc)
        else:
            table, refused = node.stream(doc)
            for key, reason in refused.items():
                self._letters.add(reason, "column", {"stream": name, "data_key": key})
            known = self._streams[name] = StreamShipper(name, table, self._letters)
        self._by_descriptor[doc["uid"]] = known

    def _stop(self, node: RunNode, doc: dict[str, Any]) -> None:
        for stream in self._streams.values():
            stream.flush()
        for stream in self._streams.values():
            stream.settle()
        rows = {name: stream.count() for name, stream in self._streams.items()}
        expected = {name: stream.expected for name, stream in self._streams.items()}
        if rows != expected:
            differ = {"stream": "all", "in_tiled": rows, "in_journal": expected}
            self._letters.add(f"Tiled holds {rows} rows, the journal {expected}", "count", differ)
        node.finish(doc, {"rows": rows, "verified": rows == expected, "refused": self._letters.count})
        self.state = "complete"

    def close(self) -> None:
        """Close the journal's file."""
        self._documents = None
        self._tail.close()
