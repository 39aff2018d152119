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

from labctl.documents import columns_of, no_stream
from labctl.errors import ConfigurationError, StoreError
from labctl.journal.reader import follow, require_readable_run
from labctl.runs.directory import run_directories, run_names
from labctl.runs.listing import find_run, list_runs, summary_of
from labctl.runs.query import RunQuery
from labctl.runs.summary import RunSummary
from labctl.store.connection import CATALOGUE_NAME, LETTERS_NAME, ServiceInfo, connected, listens
from labctl.store.lab_store import lab_store_of
from labctl.store.rejections import Letter, read_letters
from labctl.store.server.service import ensure_service, find_service, shipper_status

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
        """The stock Tiled client of all runs; starts the service when it is not running.

        Raises:
            StoreError: The store does not answer, or does not accept the key.
        """
        info = self._found() or ensure_service(self._data)
        if self._client is None or info != self._info:
            self.close()
            self._client, self._info = connected(info), info
        return self._client

    def _found(self) -> ServiceInfo | None:
        """Where Tiled is; None when it has to be started first."""
        lab = lab_store_of(self._data)
        if lab is not None:
            return ServiceInfo(lab.uri, lab.api_key(), 0)
        return find_service(self._data)

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
            is_place = reference.startswith(_PLACES) or not _plain(reference)
            if is_place or not self.has_kept_runs or self.journal_directory(reference) is not None:
                raise
            found = self._kept(reference)
            if len(found) != 1:
                raise
            return found[0].uid

    def _kept(self, reference: str) -> list[RunSummary]:
        """At most two runs in Tiled whose uid begins so: their journals may have been moved away."""
        from labctl.store.client.search import newest

        where = self._found() or ensure_service(self._data)
        return newest(where, RunQuery(uid=reference), 2, self._data)

    def journal_directory(self, uid: str) -> Path | None:
        """Where the journal of the run with this full uid is; None when it is not there (any more)."""
        return next((d for d in run_directories(self._data) if d.name == uid), None)

    def documents(
        self, uid: str, source: Source = "auto", *, live: bool = False, halt: threading.Event | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the run's documents: start, descriptors, events or event pages, stop if it has ended.

        Args:
            uid: The run: a uid or its beginning, `last`, `last-1`.
            source: "journal", "tiled", or "auto": the journal if it is there, else Tiled. From the journal
                they come as they were emitted, from Tiled as event pages in the order of test time.
            live: Of a run that is still going, go on with what comes until it ends.
            halt: Ends the following when set.

        Raises:
            ConfigurationError: No such run, or no such source.
            StoreError: Tiled does not answer.
        """
        if source not in ("auto", "journal", "tiled"):
            raise ConfigurationError("documents", "source", source, "'auto', 'journal' or 'tiled'")
        uid = self.resolve(uid)
        journal = self.journal_directory(uid) if source != "tiled" else None
        if journal is not None:
            return follow(journal, live=live, stop=halt)
        if source == "journal":
            raise ConfigurationError(str(self._data), "run", uid, "its journal is not there; read from Tiled")
        from labctl.store.client.documents import documents, follow_documents

        run = self._run(uid)
        return follow_documents(run, halt or threading.Event()) if live else documents(run)

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
        if source != "journal" and (source == "tiled" or self.journal_directory(uid) is None):
            return self._read_table(uid, stream)
        return columns_of(self.documents(uid, source), stream)

    def _read_table(self, uid: str, stream: str) -> dict[str, np.ndarray]:
        from labctl.store.connection import plain_container

        run = plain_container(self._run(uid))
        if stream not in run:
            raise no_stream(uid, stream, list(run))
        table = plain_container(run[stream])["internal"]
        frame = table.read([name for name in table.columns if not name.startswith("ts_")])
        return {name: frame[name].to_numpy() for name in frame.columns}

    def summary(self, uid: str) -> RunSummary:
        """A run at a glance, from its journal, else from Tiled.

        Args:
            uid: The run: a uid or its beginning, `last`, `last-1`.

        Raises:
            ConfigurationError: No such run.
        """
        from labctl.store.client.search import summary_in_tiled

        uid = self.resolve(uid)
        journal = self.journal_directory(uid)
        return summary_of(journal) if journal else summary_in_tiled(self._run(uid).item, self._data)

    def runs(
        self, query: RunQuery | None = None, *, limit: int | None = 20, skip: int = 0
    ) -> list[RunSummary]:
        """The runs that meet a query, newest first, those whose journals are gone included.

        Tiled is asked for these only when it is running.

        Args:
            query: The conditions; none for all runs.
            limit: At most so many.
            skip: Leave out so many of the newest.
        """
        query, enough = query or RunQuery(), None if limit is None else skip + limit
        where = self._found()
        if where is None or not listens(where.uri):
            return list_runs(self._data, limit, query, skip)
        from labctl.store.client.search import newest

        found = list_runs(self._data, enough, query)
        with_journal = {run.name for run in run_names(self._data)}
        stored = newest(where, query, enough, self._data)
        found += [run for run in stored if run.uid not in with_journal]
        found.sort(key=lambda run: run.start_unix_second, reverse=True)
        return found[skip:enough]

    @property
    def has_kept_runs(self) -> bool:
        """Whether there is a store, so that it may hold runs whose journals are gone."""
        store = self._data / "store"
        return lab_store_of(self._data) is not None or (store / CATALOGUE_NAME).exists()

    @property
    def is_answering(self) -> bool:
        """Whether Tiled is running; nothing is started."""
        where = self._found()
        return where is not None and listens(where.uri)

    def refused(self, uid: str) -> list[Letter]:
        """What Tiled would not take of the run with this full uid, and why."""
        return read_letters(self._data / "store" / LETTERS_NAME, uid)

    def wait_until_shipped(self, uid: str, timeout_second: float) -> bool:
        """Wait until Tiled holds the whole run (of an interrupted one, all there is); False when time is up.

        Raises:
            ConfigurationError: No such run.
            NewerFormatError: Only a newer labctl can read, and ship, the run.
        """
        uid = self.resolve(uid)
        if (journal := self.journal_directory(uid)) is not None:
            require_readable_run(journal)
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

    def search(self, **conditions: Any) -> Any:
        """The runs in Tiled that meet all conditions, as a stock client.

        Args:
            **conditions: Those of `labctl.runs.RunQuery`: plan_name, cell, coating, station, status, tag,
                since and until (datetimes), text (whole words), uid (its beginning).

        Raises:
            ConfigurationError: A condition that cannot be met, with what is allowed.
        """
        from labctl.store.client.search import search_runs

        return search_runs(self.client, RunQuery(**conditions))


def _plain(text: str) -> bool:
    return text.replace("-", "").isascii() and text.replace("-", "").isalnum()
