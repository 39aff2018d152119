"""`labctl export` and `labctl import`: runs to files of other tools, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labctl.commands.chosen import chosen_data, screen, write
from labctl.errors import ConfigurationError
from labctl.printable import printable

_SHOWN_NOTICES = 20


def export_runs(
    references: Sequence[str],
    data: Path | None,
    *,
    format: str,
    output: Path,
    campaign: str | None,
    force: bool,
) -> int:
    """Write runs to files in `output`; the exit code."""
    from labctl.export.campaign import runs_of_campaign
    from labctl.export.run import check_format, export_run
    from labctl.store.client.store import Store

    check_format(format)
    with Store(chosen_data(data)) as store:
        uids = [store.resolve(reference) for reference in references]
        if campaign is not None:
            uids += runs_of_campaign(store, campaign)
        if not uids:
            raise ConfigurationError("labctl export", "UID", None, "name runs, or a --campaign")
        for uid in dict.fromkeys(uids):
            points = _points(store.data_directory, uid)
            with _progress(f"run {uid[:8]}", points) as on_rows:
                files = export_run(store, uid, format, output, force=force, on_rows=on_rows)
            for file in files:
                write(str(file))
    return 0


def _points(data_directory: Path, uid: str) -> int | None:
    """Samples of a run, for the progress bar alone; None if its journal is not here."""
    from labctl.runs.listing import find_run

    try:
        return find_run(data_directory, uid).points
    except ConfigurationError:
        return None


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} samples"))
    with Progress(*columns, TimeRemainingColumn(), console=screen(error=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda rows: bar.advance(task, rows)


def import_files(
    files: Sequence[Path],
    data: Path | None,
    *,
    format: str | None,
    cell: Path | None,
    columns: Path | None,
    force: bool,
) -> int:
    """Make a run of each file; the exit code. A wrong file ends it, and nothing is made of that one."""
    from labctl.importers.run import import_file
    from labctl.records.cell import load_cell

    record = None if cell is None else load_cell(cell)
    directory = chosen_data(data)
    for file in files:
        done = import_file(file, directory, format=format, cell=record, columns=columns, force=force)
        rows = ", ".join(f"{count} {stream}" for stream, count in done.rows.items())
        write(f"{file.name}: run {done.uid} ({done.plan_name}): {rows}")
        for notice in done.notices[:_SHOWN_NOTICES]:
            write(f"  note: {printable(notice)}")
        if len(done.notices) > _SHOWN_NOTICES:
            write(f"  and {len(done.notices) - _SHOWN_NOTICES} more notes: labctl show {done.uid[:8]} --json")
    return 0
