"""What an exporter is given: a run's small streams as arrays, and its samples page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from labctl.bdf import SAMPLE_ORDER, TERMS
from labctl.documents import RunTables, page_of, tables
from labctl.errors import JournalError
from labctl.export.environment import EnvironmentReadings
from labctl.schema import ENVIRONMENT, TEST_TIME, TIMESERIES
from labctl.store.arrow import new_rows, null_for_nan, schema_of, table_of

Document = tuple[str, dict[str, Any]]
Documents = Callable[[], Iterable[Document]]
SAMPLES = TIMESERIES.name
PAGE_ROWS = 25_000
_ARRIVAL = "ts_voltage_volt"  # wall time at which a sample reached the computer


@dataclass(frozen=True)
class RunContent:
    """One run, read twice: first everything but the samples, then the samples as they are asked for.

    Attributes:
        tables: Start and stop document and all streams but `timeseries`.
        descriptors: The last event descriptor of each stream.
        sample_count: Rows of `timeseries`.
        documents: Yields the run's documents from the start, each time it is called.
    """

    tables: RunTables
    descriptors: Mapping[str, dict[str, Any]]
    sample_count: int
    documents: Documents = field(repr=False)

    @property
    def start(self) -> dict[str, Any]:
        """The start document."""
        return self.tables.start

    @property
    def uid(self) -> str:
        """The run's uid."""
        return str(self.start["uid"])

    @property
    def is_simulated(self) -> bool:
        """Whether the cell is a simulated one, whose time is not that of any clock on the wall."""
        station = self.start.get("station")
        return isinstance(station, dict) and bool(station.get("simulated"))

    def units(self, stream: str) -> dict[str, str]:
        """Units of the stream's columns, by their descriptor."""
        keys = self.descriptors.get(stream, {}).get("data_keys", {})
        return {name: str(key.get("units") or "") for name, key in keys.items()}

    @cached_property
    def environment(self) -> EnvironmentReadings:
        """Temperature and pressure of the run."""
        return EnvironmentReadings.from_columns(self.tables.stream(ENVIRONMENT.name))

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """The rows of a small stream, one mapping each."""
        columns = self.tables.stream(stream)
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def sample_tables(self) -> Iterator[pa.Table]:
        """The samples with temperature and pressure beside them, `PAGE_ROWS` rows at most at a time.

        Columns are named as in the journal. No valid reading is null. Rows that an interrupted plan repeated
        are left out.

        Raises:
            JournalError: rows that are not what their descriptor says.
        """
        environment, left = self.environment, self.sample_count
        for page in _pages(self._sample_pages()):
            page = page.slice(0, left)
            left -= page.num_rows
            if page.num_rows:
                yield self._with_environment(page, environment)

    def _sample_pages(self) -> Iterator[pa.Table]:
        schemas: dict[str, pa.Schema] = {}
        seen = 0
        for name, doc in self.documents():
            if name == "descriptor" and doc.get("name") == SAMPLES:
                schemas[doc["uid"]] = schema_of(doc)[0]
            elif (rows := page_of(name, doc)) is not None and rows.descriptor in schemas:
                try:
                    page = table_of(rows, schemas[rows.descriptor])
                except ValueError as error:
                    raise JournalError(f"run {self.uid}: stream {SAMPLES}: {error}") from None
                fresh = new_rows(page, seen)
                page = page if fresh.all() else page.filter(pa.array(fresh))
                seen = page["seq_num"][-1].as_py() if page.num_rows else seen
                yield page

    def _with_environment(self, page: pa.Table, environment: EnvironmentReadings) -> pa.Table:
        columns = {name: page[name] for name in self.units(SAMPLES) if name in page.column_names}
        if not self.is_simulated and _ARRIVAL in page.column_names:
            columns["unix_time_second"] = page[_ARRIVAL]
        time = page[TEST_TIME].to_numpy()
        for name in environment.columns:
            columns.setdefault(name, pa.array(environment.at(name, time)))
        known = [name for name in SAMPLE_ORDER if name in columns]
        names = [*known, *(name for name in columns if name not in TERMS)]
        return pa.table({name: null_for_nan(columns[name]) for name in names})


def read_content(documents: Documents) -> RunContent:
    """Read a run's start, stop and small streams, and count its samples.

    Raises:
        JournalError: the documents are not those of one run.
    """
    descriptors: dict[str, dict[str, Any]] = {}
    sample_uids: set[str] = set()
    count = seen = 0

    def small() -> Iterator[Document]:
        nonlocal count, seen
        for name, doc in documents():
            if name == "descriptor":
                descriptors[doc.get("name", "primary")] = doc
                if doc.get("name") == SAMPLES:
                    sample_uids.add(doc["uid"])
                    continue
            if (page := page_of(name, doc)) is not None and page.descriptor in sample_uids:
                numbers = page.seq_num
                count += sum(number > seen for number in numbers)  # a rewound plan repeats its numbers
                seen = max([seen, *numbers])
                continue
            yield name, doc

    content = tables(small())
    return RunContent(content, descriptors, count, documents)


def _pages(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of PAGE_ROWS rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        while rows >= PAGE_ROWS:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, PAGE_ROWS)
            waiting, rows = [joined.slice(PAGE_ROWS)], rows - PAGE_ROWS
    if rows:
        yield pa.concat_tables(waiting)
