"""A table of all runs beside their journals, so that thousands are listed and searched in a moment.

It is a cache and nothing more: every journal is looked at each time (size and time of change), only what has
not changed is taken from the table; a table that is damaged is made anew, and one that cannot be written is
made in memory.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from labctl.formats import FORMAT_NUMBER
from labctl.journal.format import LOCK_NAME, segments
from labctl.platform import is_locked, is_regular
from labctl.runs.directory import is_run_directory, run_names
from labctl.runs.query import WITH_WRITER, RunQuery
from labctl.runs.summary import RunSummary

INDEX_NAME = "index.sqlite"
_LAYOUT = 3  # raise it whenever the table or what a summary says changes: old tables are then dropped
_VERSION = 1000 * FORMAT_NUMBER["journal"] + _LAYOUT  # what could not be read may be readable now
_BUSY_SECOND = 5.0
_AT_ONCE = 200  # runs looked at and written in one transaction
_CREATE = """
CREATE TABLE runs (
    directory TEXT PRIMARY KEY, segment TEXT, signature TEXT, final INTEGER, status TEXT,
    start REAL, uid TEXT, plan_name TEXT, cell TEXT, coating TEXT, station TEXT, tags TEXT, text TEXT,
    summary BLOB
) WITHOUT ROWID
"""
Look = Callable[[Path], tuple[RunSummary, str, bool] | None]


class RunIndex:
    """The runs of one data directory, brought up to date when it is opened.

    Args:
        data_directory: Holds `runs/`.
        look: Reads a run from its journal: its summary, the words in its documents, and whether it has
            ended, so that it will not change any more; None if there is no document yet.
    """

    def __init__(self, data_directory: Path, look: Look) -> None:
        self._data, self._runs, self._look = data_directory, data_directory / "runs", look
        self._table = self._opened()

    def _opened(self) -> sqlite3.Connection:
        path = self._runs / INDEX_NAME
        if self._runs.is_symlink() or (os.path.lexists(path) and not is_regular(path)):
            return self._refreshed(":memory:")  # SQLite would write through a link, and wait for a FIFO
        try:
            return self._refreshed(path)
        except sqlite3.OperationalError:  # locked for long, or the medium cannot be written
            return self._refreshed(":memory:")
        except sqlite3.DatabaseError:  # damaged
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            return self._refreshed(path)
        except sqlite3.Error:
            return self._refreshed(":memory:")

    def _refreshed(self, place: Path | str) -> sqlite3.Connection:
        there = self._runs.is_dir()
        table = sqlite3.connect(place if there else ":memory:", timeout=_BUSY_SECOND, isolation_level=None)
        try:
            _prepare(table)
            self._refresh(table)
        except BaseException:
            table.close()
            raise
        return table

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()

    def _refresh(self, table: sqlite3.Connection) -> None:
        query = "SELECT directory, segment, signature, final, status FROM runs"
        known = {row[0]: row[1:] for row in table.execute(query)}
        there = {f"{run.parent.name}/{run.name}": run for run in run_names(self._data)}
        changed = [name for name, run in there.items() if not _holds(run, known.get(name))]
        for first in range(0, len(changed), _AT_ONCE):
            names = changed[first : first + _AT_ONCE]
            rows = [row for name in names if (row := self._row(there[name])) is not None]
            self._replace(table, names, rows)
        if gone := [name for name in known if name not in there]:
            self._replace(table, gone, [])

    def _replace(self, table: sqlite3.Connection, names: list[str], rows: list[tuple[Any, ...]]) -> None:
        with _transaction(table):
            table.executemany("DELETE FROM runs WHERE directory = ?", [(name,) for name in names])
            table.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * 14)})", rows)

    def _row(self, run: Path) -> tuple[Any, ...] | None:
        if not is_run_directory(run):
            return None
        segment = segments(run)[-1].name
        signature = _signature(run, segment)  # before looking: what is written meanwhile is seen next time
        if (seen := self._look(run)) is None:
            return None
        summary, words, final = seen
        one = asdict(summary)
        tags = "".join(f"\n{tag}\n" for tag in summary.tags)
        place = f"{run.parent.name}/{run.name}"
        found = (summary.start_unix_second, summary.uid, summary.plan_name, summary.cell_id)
        told = orjson.dumps({key: one[key] for key in one if key != "directory"})
        return (place, segment, signature, final, summary.status, *found, summary.coating, summary.station,
                tags, words, told)  # fmt: skip

    def page(self, query: RunQuery, limit: int | None, skip: int) -> list[RunSummary]:
        """The runs that meet the query, newest first, at most `limit` after the first `skip`."""
        try:
            return self._page(query, limit, skip)
        except sqlite3.DatabaseError:  # damaged in a part that was not looked at when it was opened
            self._table.close()
            self._table = self._refreshed(":memory:")
            return self._page(query, limit, skip)

    def _page(self, query: RunQuery, limit: int | None, skip: int) -> list[RunSummary]:
        conditions, values = _conditions(query)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._table.execute(
            f"SELECT directory, summary FROM runs {where} ORDER BY start DESC, uid LIMIT ? OFFSET ?",
            (*values, -1 if limit is None else limit, skip),
        )
        return [self._summary(*row) for row in rows]

    def _summary(self, place: str, told: bytes) -> RunSummary:
        fields = orjson.loads(told)
        return RunSummary(**{**fields, "directory": self._runs / place, "tags": tuple(fields["tags"])})


def _prepare(table: sqlite3.Connection) -> None:
    if table.execute("PRAGMA user_version").fetchone() == (_VERSION,):
        return
    with _transaction(table):
        if table.execute("PRAGMA user_version").fetchone() != (_VERSION,):  # nobody else did meanwhile
            table.execute("DROP TABLE IF EXISTS runs")
            table.execute(_CREATE)
            table.execute("CREATE INDEX runs_start ON runs(start)")
            table.execute(f"PRAGMA user_version = {_VERSION}")


@contextlib.contextmanager
def _transaction(table: sqlite3.Connection) -> Iterator[None]:
    table.execute("BEGIN IMMEDIATE")
    with table:
        yield


def _signature(run: Path, segment: str) -> str:
    """Changes whenever a segment is begun or written to."""
    file = (run / segment).stat()
    return f"{run.stat().st_mtime_ns}:{file.st_size}:{file.st_mtime_ns}"


def _holds(run: Path, known: tuple[str, str, int, str] | None) -> bool:
    """Whether what is known of a run is what its journal says still."""
    if known is None:
        return False
    segment, signature, final, status = known
    try:
        if _signature(run, segment) != signature:
            return False
    except OSError:
        return False
    return bool(final) or (status in WITH_WRITER) == is_locked(run / LOCK_NAME)


def _conditions(query: RunQuery) -> tuple[list[str], list[Any]]:
    found: list[tuple[str, Any]] = [
        (f"{column} = ?", value)
        for column, value in (
            ("plan_name", query.plan_name),
            ("cell", query.cell),
            ("coating", query.coating),
            ("station", query.station),
            ("status", query.status),
        )
        if value is not None
    ]
    if query.since is not None:
        found.append(("start >= ?", query.since.timestamp()))
    if query.until is not None:
        found.append(("start < ?", query.until.timestamp()))
    if query.tag is not None:
        found.append(("instr(tags, ?) > 0", f"\n{query.tag}\n"))
    if query.uid is not None:
        found.append(("uid GLOB ?", f"{query.uid}*"))
    found += [("instr(text, ?) > 0", word) for word in query.words]
    return [condition for condition, _ in found], [value for _, value in found]
