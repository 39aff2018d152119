"""Battery Data Format as CSV or Parquet: columns have its labels, units are fixed, current > 0 charges."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.bdf import ENVIRONMENT_COLUMNS, REQUIRED, TERMS, Term, term_of_heading
from labctl.errors import ConfigurationError
from labctl.importers.parquet import ParquetTable, is_parquet
from labctl.importers.rows import FileRows, Floats, Integers
from labctl.importers.table import Kind, read_columns
from labctl.importers.text import TextFile, file_hash
from labctl.schema import CURRENT, CYCLE_COUNT, STATUS, STEP_COUNT, STEP_TIME, STEP_TYPE, TEST_TIME, VOLTAGE

_FLOATS = (VOLTAGE, CURRENT, *ENVIRONMENT_COLUMNS)
_STEP_TYPES = {  # words that the format's ontology gives as common, and labctl's own
    **{
        name: name
        for name in ("rest", "cc_charge", "cc_discharge", "cv_charge", "cv_discharge", "peis", "geis")
    },
    "ocv": "rest",
    "cc_chg": "cc_charge",
    "cc_dch": "cc_discharge",
    "cv_chg": "cv_charge",
    "cv_dch": "cv_discharge",
}


def read_bdf(path: Path) -> FileRows:
    """The rows of a BDF file: Parquet, or CSV separated by comma or tab with a decimal point, also gzipped.

    Raises:
        ConfigurationError: names file, line (row of a Parquet file), field and what is allowed.
    """
    return _read_parquet(path) if is_parquet(path) else _read_text(path)


def _read_text(path: Path) -> FileRows:
    file = TextFile(path, "utf-8")
    lines = file.lines()
    heading_line = next(lines, "")
    separator = "\t" if "\t" in heading_line else ","
    headings = [heading.strip().strip('"') for heading in heading_line.split(separator)]
    terms, notices = _terms(f"{path}, line 1", headings)
    wanted: dict[int, Kind] = {position: _kind(term) for position, term in terms.items()}
    columns, numbers = read_columns(
        file, lines, headings, wanted, separator=separator, decimal=".", quoted=True
    )
    found = {terms[position].name: values for position, values in columns.items()}
    return _rows(path, file.sha256, found, numbers, notices)


def _read_parquet(path: Path) -> FileRows:
    digest = file_hash(path)
    with ParquetTable(path) as table:
        terms, notices = _terms(str(path), table.headings)
        wanted: dict[str, Kind] = {table.headings[position]: _kind(term) for position, term in terms.items()}
        columns = table.columns(wanted)
    found = {term.name: columns[table.headings[position]] for position, term in terms.items()}
    numbers = np.arange(1, len(next(iter(found.values()))) + 1)
    return replace(_rows(path, digest, found, numbers, notices), line_word="row")


def _rows(
    path: Path, sha256: str, found: dict[str, NDArray[Any]], numbers: Integers, notices: list[str]
) -> FileRows:
    time, start = _time(found)
    return FileRows(
        path=path,
        sha256=sha256,
        format="bdf",
        technique="bdf",
        line_number=numbers,
        test_time_second=time,
        columns={name: found[name] for name in _FLOATS if name in found},
        step_count=found.get(STEP_COUNT),
        step_type=_step_types(found.get(STEP_TYPE), notices),
        step_time_second=found.get(STEP_TIME),
        cycle_count=found.get(CYCLE_COUNT),
        status=found.get(STATUS),
        start_unix_second=start,
        notices=notices,
    )


def looks_like_bdf(heading_line: str) -> bool:
    """Whether a line names the quantities that every BDF file has."""
    fields = heading_line.replace("\t", ",").split(",")
    names = {term.name for heading in fields if (term := term_of_heading(heading.strip().strip('"')))}
    return {VOLTAGE, CURRENT} <= names


def _terms(where: str, headings: list[str]) -> tuple[dict[int, Term], list[str]]:
    terms: dict[int, Term] = {}
    unknown: list[str] = []
    for position, heading in enumerate(headings):
        term = term_of_heading(heading)
        if term is None:
            unknown.append(heading)
        elif any(term.name == other.name for other in terms.values()):
            raise ConfigurationError(where, "heading", heading, f"{term.label} is given twice")
        else:
            terms[position] = term
    names = {term.name for term in terms.values()}
    for name in REQUIRED:
        instead = name == TEST_TIME and "unix_time_second" in names
        if name not in names and not instead:
            have = ", ".join(itertools.islice(headings, 12)) or "nothing"
            raise ConfigurationError(where, "heading", TERMS[name].label, f"is missing; the file has {have}")
    return terms, [f"columns not taken over: {', '.join(unknown)}"] if unknown else []


def _kind(term: Term) -> Kind:
    if term.kind == "string":
        return "text"
    if term.kind == "integer":
        return "integer"
    return "required_number" if term.name in (TEST_TIME, "unix_time_second") else "number"


def _time(found: dict[str, NDArray[Any]]) -> tuple[Floats, float | None]:
    """Test time, and the wall time of its zero."""
    wall = found.get("unix_time_second")
    time = found.get(TEST_TIME)
    if time is None:
        assert wall is not None  # noqa: S101  (one of them was found among the headings)
        time = wall - wall[0] if wall.size else wall
    return time, float(wall[0] - time[0]) if wall is not None and wall.size else None


def _step_types(values: NDArray[Any] | None, notices: list[str]) -> NDArray[Any] | None:
    if values is None:
        return None
    words = {word: _STEP_TYPES.get(word.lower(), "") for word in sorted({str(value) for value in values})}
    if unknown := [word for word, known in words.items() if word and not known]:
        notices.append(f"step types of the file without a counterpart in labctl: {', '.join(unknown)}")
    return np.array([words[str(value)] for value in values], dtype=object)
