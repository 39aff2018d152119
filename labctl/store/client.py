"""Reading runs: from their journals where those are, else from Tiled; both give equal values."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import orjson

from labctl.errors import ConfigurationError, StoreError
from labctl.journal_format import NanRestorer
from labctl.journal_reader import follow
from labctl.recovery import run_directories
from labctl.runs import find_run
from labctl.store.service import ServiceInfo, ensure_service, find_service, shipper_status

Source = Literal["auto", "journal", "tiled"]
_POLL_SECOND = 0.1
_PLACES = ("last", "last-")


class Store:
    """The runs of one data directory.

    Args:
        data_directory: Holds `runs/` (the journals) and `store/` (the service's files).
    """

    def __init__(self, data_directory: Path) -> None:
        self._data = Path(data_directory)
        self._client: Any = None
        self._info: ServiceInfo | None = None

    def __repr__(self) -> str:
        return f"Store({str(self._data)!r})"

    @property
    def data_directory(self) -> Path:
        """The directory that holds `runs/` and `store/`."""
        return self._data

    @property
    def client(self) -> Any:
        """The stock Tiled client of all runs; starts the service when it is not running."""
        info = find_service(self._data) or ensure_service(self._data)
        if self._client is None or info != self._info:
            from labctl.store.server import connect

            self.close()
            self._client, self._info = connect(info.uri, info.api_key), info
        return self._client

    def close(self) -> None:
        """Close the connections to the service; the service goes on."""
        if self._client is not None:
            self._client.context.close()
        self._client = self._info = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def resolve(self, reference: str) -> str:
        """The full uid of the run that `reference` names: a uid or its beginning, `last`, `last-1`.

        Raises:
            ConfigurationError: No run, or more than one, goes by that name.
        """
        try:
            return find_run(self._data, reference).uid
        except ConfigurationError:
            if self._journal(reference) is not None or reference.startswith(_PLACES) or not _plain(reference):
                raise
            found = list(self.search(uid=reference).keys()[:2])  # its journal may have been moved away
            if len(found) != 1:
                raise
            return found[0]

    def _journal(self, uid: str) -> Path | None:
        return next((d for d in run_directories(self._data) if d.name == uid), None)

    def documents(self, uid: str, source: Source = "auto") -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the run's documents: start, descriptors, events or event pages, stop if it has ended.

        Args:
            uid: The run: a uid or its beginning, `last`, `last-1`.
            source: "journal", "tiled", or "auto": the journal if it is there, else Tiled. From Tiled rows
                come as event pages in the order of test time.

        Raises:
            ConfigurationError: No such run, or no such source.
        """
        if source not in ("auto", "journal", "tiled"):
            raise ConfigurationError("documents", "source", source, "'auto', 'journal' or 'tiled'")
        uid = self.resolve(uid)
        journal = self._journal(uid) if source != "tiled" else None
        if journal is not None:
            return follow(journal, live=False)
        if source == "journal":
            raise ConfigurationError(str(self._data), "run", uid, "its journal is not there; read from Tiled")
        return self._from_tiled(uid)

    def _from_tiled(self, uid: str) -> Iterator[tuple[str, dict[str, Any]]]:
        run, restorer = self._run(uid), NanRestorer()
        accept = {"Accept": "application/json-seq;nan=null", "Accept-Encoding": "identity"}
        with run.context.http_client.stream("GET", run.item["links"]["full"], headers=accept) as response:
            if response.is_error:
                response.read()
                raise StoreError(f"run {uid}: Tiled says {response.status_code}: {response.text[:200]}")
            for line in _lines(response.iter_raw()):
                record = orjson.loads(line.lstrip(b"\x1e"))
                restorer.restore(record["name"], record["doc"], line)
                yield record["name"], record["doc"]

    def _run(self, uid: str) -> Any:
        try:
            return self.client[uid]
        except KeyError:
            raise StoreError(f"run {uid} is not in Tiled (yet?)") from None

    def read(self, uid: str, stream: str, source: Source = "auto") -> dict[str, np.ndarray]:
        """The columns of a stream as arrays, with seq_num and time.

        Args:
            uid: The run: a uid or its beginning, `last`, `last-1`.
            stream: Such as "timeseries".
            source: As for `documents`.

        Raises:
            ConfigurationError: No such run or stream; the message names those that are there.
        """
        uid = self.resolve(uid)
        if source != "journal" and (source == "tiled" or self._journal(uid) is None):
            return self._read_table(uid, stream)
        return _columns_of(self.documents(uid, source), stream)

    def _read_table(self, uid: str, stream: str) -> dict[str, np.ndarray]:
        from labctl.store.nodes import plain_container

        run = plain_container(self._run(uid))
        if stream not in run:
            raise _no_stream(uid, stream, list(run))
        frame = plain_container(run[stream])["internal"].read()
        return {name: frame[name].to_numpy() for name in frame.columns if not name.startswith("ts_")}

    def wait_until_shipped(self, uid: str, timeout_second: float) -> bool:
        """Wait until Tiled holds the whole run (of an interrupted one, all there is); False when time is up.

        Raises:
            ConfigurationError: No such run.
        """
        uid = self.resolve(uid)
        deadline = time.monotonic() + timeout_second
        while not self._is_shipped(uid):
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(_POLL_SECOND)
        return True

    def _is_shipped(self, uid: str) -> bool:
        with contextlib.suppress(KeyError):
            if "stop" in self.client[uid].metadata:
                return True
        told = shipper_status(self._data)["runs"].get(uid, {})
        return told.get("state") == "interrupted" and not told.get("error")

    def search(self, *, plan_name: str | None = None, cell: str | None = None, uid: str | None = None) -> Any:
        """The runs in Tiled, as a stock client: of a plan, of a cell (its id), or whose uid begins so."""
        from tiled.queries import Key, Like

        found = self.client
        if plan_name is not None:
            found = found.search(Key("start.plan_name") == plan_name)
        if cell is not None:
            found = found.search(Key("start.cell.id") == cell)
        if uid is not None:
            if not _plain(uid):
                raise ConfigurationError("search", "uid", uid, "letters, digits and hyphens")
            found = found.search(Like("start.uid", f"{uid}%"))
        return found


def _plain(text: str) -> bool:
    return text.replace("-", "").isascii() and text.replace("-", "").isalnum()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield b"".join([*parts, end])
            parts = []
        parts.append(rest)


def _no_stream(uid: str, stream: str, names: list[str]) -> ConfigurationError:
    return ConfigurationError(f"run {uid}", "stream", stream, f"this run has {', '.join(names) or 'none'}")


def _columns_of(documents: Iterator[tuple[str, dict[str, Any]]], stream: str) -> dict[str, np.ndarray]:
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
        raise _no_stream(uid, stream, sorted(set(names.values())))
    return {key: _array(column, keys.get(key, {})) for key, column in columns.items()}


def _array(values: list[Any], description: dict[str, Any]) -> np.ndarray:
    if description.get("dtype") == "string":
        return np.array(values, dtype=object)
    if description.get("dtype") == "number":
        return np.array(values, dtype=float)
    return np.array(values)
