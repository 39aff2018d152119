"""Stored runs for the browser: found in a thread of their own, in the journals and in the document store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from labctl.errors import LabctlError
from labctl.live.model.feed import _has_store
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery
from labctl.runs.summary import RunSummary
from labctl.store.server.service import ensure_service

_JOIN_TIMEOUT_SECOND = 2.0


@dataclass(frozen=True)
class Choices:
    """What the runs of a data directory can be filtered by, each in alphabetical order."""

    cells: tuple[str, ...] = ()
    coatings: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()

    @staticmethod
    def of(runs: list[RunSummary]) -> Choices:
        """All that occurs in some runs."""
        kinds = (
            {run.cell_id for run in runs},
            {run.coating for run in runs},
            {run.plan_name for run in runs},
        )
        return Choices(*(tuple(sorted(kind - {""})) for kind in kinds))


@dataclass(frozen=True)
class Found:
    """Runs that meet a query, newest first; `error` says why some may be missing."""

    query: RunQuery
    runs: tuple[RunSummary, ...] = ()
    total: int = 0
    choices: Choices = Choices()
    error: str = ""


Request = TypeVar("Request")


class NewestOnly(Generic[Request]):
    """Works off requests in a thread; those that were overtaken by a newer one are left out.

    Args:
        work: Called in the thread with the newest request.
        name: Of the thread.
    """

    def __init__(self, work: Callable[[Request], None], name: str) -> None:
        self._work = work
        self._asked = threading.Condition()
        self._request: Request | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, request: Request) -> None:
        """Have this done next."""
        with self._asked:
            self._request = request
            self._asked.notify()

    @property
    def overtaken(self) -> bool:
        """Whether a newer request waits, or nobody wants an answer any more."""
        return self._closed or self._request is not None

    def _run(self) -> None:
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self.overtaken)
                request, self._request = self._request, None
                if self._closed or request is None:
                    return
            self._work(request)

    def close(self) -> None:
        """End the thread, after what it is at."""
        with self._asked:
            self._closed = True
            self._asked.notify()
        self._thread.join(_JOIN_TIMEOUT_SECOND)


class RunFinder:
    """Finds runs beside the window.

    Args:
        data_directory: Holds the runs.
        answer: Called in a thread: first with the runs whose journals are there, then, if the document store
            has further ones, with all.
    """

    def __init__(self, data_directory: Path, answer: Callable[[Found], None]) -> None:
        self._data, self._answer = data_directory, answer
        self._journals: NewestOnly[RunQuery] = NewestOnly(self._look, "run-finder")
        self._store: NewestOnly[Found] = NewestOnly(self._look_further, "run-finder-store")

    def find(self, query: RunQuery) -> None:
        """Ask for the runs that meet a query."""
        self._journals.ask(query)

    def _look(self, query: RunQuery) -> None:
        found = find_in_journals(self._data, query)
        if not self._journals.overtaken:
            self._answer(found)
            self._store.ask(found)

    def _look_further(self, found: Found) -> None:
        more = with_stored(self._data, found)
        if more is not found and not self._store.overtaken:
            self._answer(more)

    def close(self) -> None:
        """End the threads."""
        self._journals.close()
        self._store.close()


def find_in_journals(data_directory: Path, query: RunQuery) -> Found:
    """The runs whose journals are there; trouble is told, never raised."""
    try:
        everything = list_runs(data_directory)
        runs = everything if query == RunQuery() else list_runs(data_directory, query=query)
    except (LabctlError, OSError, ValueError, KeyError) as error:
        return Found(query, error=f"{data_directory} cannot be listed: {error}")
    return Found(query, tuple(runs), len(everything), Choices.of(everything))


def with_stored(data_directory: Path, found: Found) -> Found:
    """With the runs that only the document store has; the same object if there are none.

    A store that was used and has ended is started for this, which takes a few seconds.
    """
    if not _has_store(data_directory):
        return found
    from labctl.store.client.store import Store

    try:
        with Store(data_directory) as store:
            ensure_service(data_directory)
            everything = store.runs(limit=None)
            runs = everything if found.query == RunQuery() else store.runs(found.query, limit=None)
    except Exception as error:  # noqa: BLE001 - whatever Tiled's client raises; the journals are shown anyway
        return replace(found, error=f"the document store cannot be searched: {error}")
    if len(runs) == len(found.runs) and len(everything) == found.total:
        return found
    return Found(found.query, tuple(runs), len(everything), Choices.of(everything))
