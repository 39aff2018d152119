"""Which runs a data directory holds: listed, searched, found by a short name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError
from labctl.journal.format import LOCK_NAME
from labctl.journal.reader import count_points, first_document, is_paused, last_step, stop_document
from labctl.journal.run_end import as_it_ended
from labctl.platform import is_locked
from labctl.runs.directory import is_run_directory, run_names
from labctl.runs.index import RunIndex
from labctl.runs.query import RunQuery, Status
from labctl.runs.summary import RunSummary, summarise, why_unreadable, words_of

__all__ = ["RunQuery", "RunSummary", "Status", "find_run", "list_runs", "summary_of"]

_LAST = re.compile(r"last(?:-(\d{1,6}))?")
_PREFIX = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


def list_runs(
    data_directory: Path, limit: int | None = None, query: RunQuery | None = None, skip: int = 0
) -> list[RunSummary]:
    """The runs of a data directory that meet the query, newest first, at most `limit` after `skip`."""
    with RunIndex(Path(data_directory), _look) as index:
        return index.page(query or RunQuery(), limit, skip)


def summary_of(run_directory: Path) -> RunSummary:
    """The run in this directory at a glance."""
    return _look_closely(run_directory, first_document(run_directory))[0]


def _look(directory: Path) -> tuple[RunSummary, str, bool] | None:
    """A run's summary, the words in its documents, and whether it has ended; None before its first line."""
    start = first_document(directory)
    return _look_closely(directory, start) if start else None


def _look_closely(directory: Path, start: dict[str, Any]) -> tuple[RunSummary, str, bool]:
    if why_unreadable(directory, start):
        return summarise(directory, start, None, status="unreadable", points=0), words_of(start, None), False
    alive = is_locked(directory / LOCK_NAME)  # before the end is looked for: a run may end in between
    stop = stop_document(directory)
    if stop is not None:
        stop = as_it_ended(start, stop, lambda: last_step(directory))
    points = count_points(directory) if stop is None else 0
    status: Status = "interrupted"
    if alive:
        status = "paused" if is_paused(directory) else "running"
    summary = summarise(directory, start, stop, status=status, points=points)
    return summary, words_of(start, stop), stop is not None


def find_run(data_directory: Path, reference: str) -> RunSummary:
    """The run that `reference` names: a uid, the beginning of one, `last`, or `last-1` for the one before.

    Raises:
        ConfigurationError: No run, or more than one, goes by that name.
    """
    data = Path(data_directory)
    last = _LAST.fullmatch(reference)
    if last is not None:
        return _nth_last(data, reference, int(last[1] or 0))
    if _PREFIX.fullmatch(reference) is None:
        raise _refused(data, reference, "a uid or its beginning, `last`, or `last-1` and so on")
    found = [d for d in run_names(data) if d.name.startswith(reference) and is_run_directory(d)]
    candidates = [d for d in found if d.name == reference] or found
    if not candidates:
        count = len(run_names(data))
        raise _refused(data, reference, f"no such run; {count} runs are there, see `labctl runs`")
    if len(candidates) > 1:
        names = ", ".join(d.name[: len(reference) + 4] for d in candidates[:6])
        raise _refused(data, reference, f"{len(candidates)} runs begin with it ({names}); give more of it")
    return summary_of(candidates[0])


def _nth_last(data: Path, reference: str, back: int) -> RunSummary:
    found = list_runs(data, limit=back + 1)
    if back >= len(found):
        raise _refused(data, reference, f"only {len(found)} runs are there")
    return found[back]


def _refused(data: Path, reference: str, allowed: str) -> ConfigurationError:
    return ConfigurationError(str(data), "run", reference, allowed)
