"""Exporting runs: which files a format consists of, and writing them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from labctl.errors import ConfigurationError
from labctl.export.content import SAMPLES, RunContent, read_content
from labctl.export.files import file_stem, refuse_existing, safe_part, written_whole
from labctl.export.metadata import metadata_json, run_metadata
from labctl.export.spectra import spectra
from labctl.schema import SPECTRUM_COUNT
from labctl.store.client.store import Store

Format = Literal["bdf", "parquet", "csv", "xlsx", "hdf5"]
FORMATS: tuple[str, ...] = get_args(Format)
OnRows = Callable[[int], None]


def export_run(
    store: Store,
    reference: str,
    format: str,
    directory: Path,
    *,
    force: bool = False,
    on_rows: OnRows | None = None,
) -> list[Path]:
    """Write one run to files of its own in `directory`; a run that still goes on, up to now.

    `bdf` and `parquet` are the Battery Data Format as CSV and as Parquet with its sidecar
    (`.metadata.json`), and a CSV per impedance spectrum; `csv` has a file per stream, its columns named as in
    the journal; `xlsx` and `hdf5` are single files.

    Args:
        store: where the run is.
        reference: uid, its beginning, `last`, `last-1`.
        format: one of FORMATS.
        directory: made if it is not there.
        force: replace files that exist.
        on_rows: told how many samples have been written since it was told last.

    Returns:
        The files, in the order in which they were written.

    Raises:
        ConfigurationError: no such run or format, or a file exists.
        LabctlError: a file cannot be written.
    """
    check_format(format)
    uid = store.resolve(reference)
    content = read_content(lambda: store.documents(uid))
    return _Export(content, Path(directory), force, on_rows or (lambda rows: None)).write(format)


def check_format(format: str) -> None:
    """Raise ConfigurationError for what is no format."""
    if format not in FORMATS:
        raise ConfigurationError("export", "format", format, f"must be one of {', '.join(FORMATS)}")


class _Export:
    """One run on its way into files."""

    def __init__(self, content: RunContent, directory: Path, force: bool, on_rows: OnRows) -> None:
        self._content, self._directory, self._force, self._on_rows = content, directory, force, on_rows
        self._record = run_metadata(content)
        self._stem = file_stem(content.start)
        self._written: list[Path] = []

    def write(self, format: str) -> list[Path]:
        writers: dict[str, Callable[[], None]] = {
            "bdf": self._bdf_csv,
            "parquet": self._bdf_parquet,
            "csv": self._csv,
            "xlsx": self._excel,
            "hdf5": self._hdf5,
        }
        writers[format]()
        return self._written

    def _path(self, ending: str) -> Path:
        return self._directory / f"{self._stem}{ending}"

    def _new(self, ending: str) -> Any:
        """A file to be written whole, by its ending."""
        path = self._path(ending)
        self._written.append(path)
        return written_whole(path, force=self._force)

    def _bdf_csv(self) -> None:
        from labctl.export.tabular import CsvFile

        self._bdf(".bdf.csv", CsvFile)

    def _bdf_parquet(self) -> None:
        from labctl.export.tabular import ParquetFile

        self._bdf(".bdf.parquet", ParquetFile)

    def _bdf(self, ending: str, kind: Callable[[Path], Any]) -> None:
        from labctl.export.tabular import bdf_table

        refuse_existing(self._path(ending), force=self._force)
        if self._content.sample_count:
            with self._new(ending) as path, kind(path) as file:
                for table in self._content.sample_tables():
                    file.write(bdf_table(table))
                    self._on_rows(table.num_rows)
        self._spectra()
        # The place and the key `extras` are those that the format's own package keeps for metadata of others.
        self._text(".bdf.metadata.json", metadata_json({"extras": {"labctl": self._record}}))

    def _csv(self) -> None:
        from labctl.export.tabular import CsvFile, small_streams, stream_table

        refuse_existing(self._path(f".{SAMPLES}.csv"), force=self._force)
        if self._content.sample_count:
            with self._new(f".{SAMPLES}.csv") as path, CsvFile(path) as file:
                for table in self._content.sample_tables():
                    file.write(table)
                    self._on_rows(table.num_rows)
        for stream in small_streams(self._content):
            with self._new(f".{safe_part(stream)}.csv") as path, CsvFile(path) as file:
                file.write(stream_table(self._content, stream))
        self._spectra()
        self._text(".metadata.json", metadata_json(self._record))

    def _excel(self) -> None:
        from labctl.export.excel import ExcelFile
        from labctl.export.tabular import small_streams, stream_table

        refuse_existing(self._path(".xlsx"), force=self._force)
        with self._new(".xlsx") as path, ExcelFile(path) as book:
            book.describe({k: v for k, v in self._record.items() if k not in ("steps", "alarms")})
            book.begin(SAMPLES)
            for table in self._content.sample_tables():
                book.write(table)
                self._on_rows(table.num_rows)
            for stream in small_streams(self._content):
                book.begin(stream)
                book.write(stream_table(self._content, stream))

    def _hdf5(self) -> None:
        from labctl.export.hdf5 import Hdf5File
        from labctl.export.tabular import small_streams, stream_table

        refuse_existing(self._path(".h5"), force=self._force)
        with self._new(".h5") as path, Hdf5File(path, self._content, self._record) as file:
            for table in self._content.sample_tables():
                file.append(SAMPLES, table)
                self._on_rows(table.num_rows)
            for stream in small_streams(self._content):
                file.append(stream, stream_table(self._content, stream))

    def _spectra(self) -> None:
        cell = self._content.start.get("cell")
        cell_id = str(cell.get("id", "")) if isinstance(cell, dict) else "unknown"
        for spectrum in spectra(self._content):
            text = spectrum.csv(self._content.uid, cell_id)
            self._text(f".eis-{spectrum.conditions[SPECTRUM_COUNT]:04d}.csv", text.encode())

    def _text(self, ending: str, data: bytes) -> None:
        with self._new(ending) as path:
            path.write_bytes(data)
