"""Importing a file: what it is, whether it is here already, and the run it becomes."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from labctl.errors import ConfigurationError, LabctlError
from labctl.importers.bdf import looks_like_bdf, read_bdf
from labctl.importers.biologic.mpt import read_mpt
from labctl.importers.generic_csv import ColumnMap, read_csv
from labctl.importers.parquet import ParquetTable, is_parquet
from labctl.importers.rows import FileRows
from labctl.importers.run_writer import remove_leftovers, write_run
from labctl.importers.sidecar import Sidecar, read_sidecar
from labctl.importers.streams import ImportedStreams, streams_of
from labctl.importers.text import file_hash, opened, unreadable
from labctl.journal.reader import first_document
from labctl.platform import FileLock, open_regular
from labctl.records.cell import Cell
from labctl.records.loader import load_record
from labctl.runs.listing import list_runs
from labctl.runs.query import RunQuery
from labctl.version import __version__

Format = Literal["bdf", "mpt", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)
LOCK_NAME = "import.lock"
LATEST_UNIX_SECOND = 4_102_444_800.0  # the year 2100
_HEAD_BYTE = 4096
_LONGEST_WAIT_SECOND, _POLL_SECOND = 60.0, 0.1  # for another import


@dataclass(frozen=True)
class Imported:
    """What an import has made: the run, its rows per stream, and what the person should know."""

    uid: str
    plan_name: str
    rows: Mapping[str, int]
    notices: tuple[str, ...]


def import_file(
    path: Path,
    data_directory: Path,
    *,
    format: str | None = None,
    cell: Cell | None = None,
    columns: Path | None = None,
    force: bool = False,
) -> Imported:
    """Make a run of a file of another program.

    The run is marked `imported` in its start document: file, hash, format, version, notices. All of the file
    is read and checked before anything is written.

    Args:
        path: the file.
        data_directory: where the run goes.
        format: one of FORMATS; None tells it from the file.
        cell: the cell that was measured; None takes it from a sidecar that labctl wrote, if there is one.
        columns: the column map of a generic CSV file.
        force: import it again even if a run was made of it before.

    Raises:
        ConfigurationError: the file is not what it should be, or is imported already (names file, line, field
            and what is allowed); nothing was written.
        LabctlError: the run cannot be written.
    """
    path, data = Path(path), Path(data_directory)
    chosen = format or ("csv" if columns is not None else _format_of(path))
    _make_directory(data)
    digest = file_hash(path)
    if not force:
        _refuse_twice(path, data, digest)
    rows = _read(path, chosen, columns)
    if rows.sha256 != digest:
        raise ConfigurationError(str(path), "file", None, "was changed while it was read")
    sidecar = read_sidecar(path, rows)
    imported = streams_of(rows) if sidecar is None else _with_sidecar(rows, sidecar)
    start = _start(rows, cell, sidecar)
    with _writing(data):  # not while the file is read: that may take long, and others import as well
        remove_leftovers(data)
        if not force:
            _refuse_twice(path, data, digest)
        uid = write_run(data, start, imported)
    counts = {name: len(next(iter(stream.values()))) for name, stream in imported.streams.items()}
    return Imported(uid, start["plan_name"], counts, tuple(rows.notices))


def _with_sidecar(rows: FileRows, sidecar: Sidecar) -> ImportedStreams:
    """The streams with the recorded steps, whose charges the instrument counted, or else reconstructed."""
    whole = replace(rows, notices=list(rows.notices))
    imported = sidecar.applied_to(streams_of(whole, part_steps=False))
    if imported is None:
        rows.notices.append("the steps in the metadata file are not those of the data: reconstructed")
        return streams_of(rows)
    rows.notices[:] = whole.notices
    return imported


def _refuse_twice(path: Path, data: Path, digest: str) -> None:
    if (before := find_import(data, digest)) is not None:
        allowed = f"is imported already, as run {before}; --force imports it again"
        raise ConfigurationError(str(path), "file", None, allowed)


@contextmanager
def _writing(data: Path) -> Iterator[None]:
    """The one import that writes; another is waited for, as it only writes as well."""
    lock, deadline = FileLock(data / LOCK_NAME), time.monotonic() + _LONGEST_WAIT_SECOND
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise LabctlError(f"{lock.path}: locked by process {lock.owner_pid() or 'unknown'}")
        threading.Event().wait(_POLL_SECOND)
    try:
        yield
    finally:
        lock.release()


def find_import(data_directory: Path, sha256: str) -> str | None:
    """The uid of the newest run that was made of a file with this hash; None if there is none."""
    for run in list_runs(data_directory, query=RunQuery(text=sha256)):
        imported = first_document(run.directory).get("imported")
        if isinstance(imported, dict) and imported.get("sha256") == sha256:
            return run.uid
    return None


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            "data directory", "path", str(directory), f"cannot be made ({reason})"
        ) from None


def _read(path: Path, format: str, columns: Path | None) -> FileRows:
    if format not in FORMATS:
        raise ConfigurationError("import", "format", format, f"must be one of {', '.join(FORMATS)}")
    if (format == "csv") != (columns is not None):
        allowed = "a column map (--columns FILE) belongs to format csv, and that needs one"
        raise ConfigurationError("import", "columns", None if columns is None else str(columns), allowed)
    if columns is not None:
        return read_csv(path, load_record(columns, ColumnMap))
    return read_bdf(path) if format == "bdf" else read_mpt(path)


def _format_of(path: Path) -> str:
    """What a file is, by its first line, or by the columns of a Parquet file."""
    if is_parquet(path):
        with ParquetTable(path) as table:
            first = ",".join(table.headings)
    else:
        first = _first_line(path)
    if first.endswith("ASCII FILE"):
        return "mpt"
    if looks_like_bdf(first):
        return "bdf"
    allowed = (
        "is neither a BioLogic text export (.mpt) nor BDF (CSV or Parquet), which names Test Time / s, "
        "Voltage / V and Current / A; for other tables write a column map and give it with --columns"
    )
    raise ConfigurationError(f"{path}, line 1", "kind", first[:80], allowed)


def _first_line(path: Path) -> str:
    try:
        with open_regular(path) as file:
            first = file.read(2)
            file.seek(0)
            head = opened(file, first).read(_HEAD_BYTE)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None
    return head.decode("utf-8-sig", errors="replace").split("\n", 1)[0].strip()


def _start(rows: FileRows, cell: Cell | None, sidecar: Sidecar | None) -> dict[str, Any]:
    cell_record = cell.model_dump(mode="json") if cell else sidecar.cell if sidecar else None
    technique = sidecar.plan_name if sidecar else rows.technique
    began = rows.start_unix_second
    if began is None and sidecar is not None:
        began = sidecar.start_unix_second
    if began is not None and not 0 <= began < LATEST_UNIX_SECOND:
        rows.notices.append(f"the file's wall time, {began:g} s since 1970, cannot be: it was not used")
        began = None
    start = {
        "time": time.time() if began is None else began,
        "imported": {  # early in the document: that is what the search for a run's words looks through
            "sha256": rows.sha256,
            "file": rows.path.name,
            "format": rows.format,
            "importer_version": __version__,
            "imported_unix_second": time.time(),
            "start_time_known": began is not None,
            **({"source_uid": sidecar.uid} if sidecar else {}),
            "notices": list(rows.notices),
            **rows.about,
        },
        "plan_name": f"imported-{technique.removeprefix('imported-')}",
        "plan_type": "import",
        "station": {"name": "imported", "simulated": bool(sidecar and sidecar.is_simulated)},
        "devices": rows.devices or (sidecar.devices if sidecar else {}),
        "versions": {"labctl": __version__},
    }
    return start if cell_record is None else {**start, "cell": cell_record}
