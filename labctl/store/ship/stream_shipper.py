"""Shipping one stream: collects rows, appends them together, and skips those that are stored already.

One append is under way while the next rows are gathered.

Appends are not idempotent. What is certain is what can be read back: at the beginning, and after an append
without a clear answer, the stored seq_nums decide what comes next, never a note of our own.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from labctl.documents import joined, row_count
from labctl.store.arrow import new_rows, table_of
from labctl.store.rejections import DeadLetters
from labctl.store.ship.nodes import RefusedError, StreamTable

APPEND_ROWS = 50_000
_appending = ThreadPoolExecutor(max_workers=2, thread_name_prefix="append")
_ROWS_AT_ONCE = 1_000  # so many become a table together


class StreamShipper:
    """Gathers the rows of one stream and appends them."""

    def __init__(self, name: str, table: StreamTable, letters: DeadLetters) -> None:
        self.name, self._table, self._letters = name, table, letters
        self._documents: list[tuple[str, dict[str, Any]]] = []  # events and pages that are no tables yet
        self._rows = 0  # in them
        self._pages: list[pa.Table] = []
        self._since: float | None = None
        self._seen = 0  # highest seq_num met in the journal
        self._sure = False  # that nothing of what is gathered is stored
        self._flight: Future[None] | None = None  # the append of the first page
        self.expected = 0  # rows that Tiled should hold once all are shipped

    @property
    def waiting(self) -> int:
        """Rows gathered and not yet appended."""
        return self._rows + sum(page.num_rows for page in self._pages)

    @property
    def gathered(self) -> int:
        """Rows gathered whose append has not begun."""
        return self.waiting - (self._pages[0].num_rows if self._flight is not None else 0)

    @property
    def waited_second(self) -> float:
        """How long the oldest gathered row has been waiting (s)."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @property
    def stored(self) -> int:
        """Rows that Tiled holds, as far as is known."""
        return self.expected - sum(page.num_rows for page in self._pages)

    def add(self, name: str, doc: dict[str, Any]) -> None:
        """Gather the rows of an event or event page."""
        self._since = self._since if self._since is not None else time.monotonic()
        self._documents.append((name, doc))
        self._rows += row_count(name, doc)
        if self._rows >= _ROWS_AT_ONCE:
            self._convert()

    def _convert(self) -> None:
        documents, self._documents, self._rows = self._documents, [], 0
        if not documents:
            return
        try:
            self._gather(table_of(joined(documents), self._table.schema))
        except (ValueError, KeyError):  # at least one is bad: which?
            for name, doc in documents:
                try:
                    self._gather(table_of(joined([(name, doc)]), self._table.schema))
                except (ValueError, KeyError) as error:
                    self._letters.add(str(error), name, doc)

    def _gather(self, table: pa.Table) -> None:
        fresh = new_rows(table, self._seen)
        if not fresh.all():
            self._refuse(table.filter(pa.array(~fresh)), "seq_num repeated, the first row with it stands")
            table = table.filter(pa.array(fresh))
        if table.num_rows:
            self._seen = table["seq_num"][-1].as_py()
            self.expected += table.num_rows
            self._pages.append(table)

    def flush(self, *, wait: bool = False) -> None:
        """Append everything gathered; the last append is left under way unless told to wait.

        Raises:
            UnavailableError: An append has failed, this one or the one before; nothing is lost, call it again
                later.
        """
        self._convert()
        self.settle()
        if self._pages and not self._sure:
            self._drop_stored()
        if self._pages:
            rows = pa.concat_tables(self._pages).combine_chunks()
            self._pages = [rows.slice(start, APPEND_ROWS) for start in range(0, rows.num_rows, APPEND_ROWS)]
        while self._pages:
            self._sure = False
            self._flight = _appending.submit(self._table.append, self._pages[0])
            if len(self._pages) == 1 and not wait:
                break
            self.settle()
        self._since = None

    def settle(self, *, if_done: bool = False) -> None:
        """Wait for the append that is under way (or only look whether it is done) and take note of it.

        Raises:
            UnavailableError: It has failed, or it is not known whether it has.
        """
        if self._flight is None or (if_done and not self._flight.done()):
            return
        flight, self._flight = self._flight, None
        try:
            flight.result()
        except RefusedError as error:
            self._refuse(self._pages[0], str(error))
            self.expected -= self._pages[0].num_rows
        del self._pages[0]
        self._sure = True

    def _drop_stored(self) -> None:
        highest = self._table.held().highest
        pages = (page.filter(pa.array(page["seq_num"].to_numpy() > highest)) for page in self._pages)
        self._pages = [page for page in pages if page.num_rows]
        self._sure = True

    def _refuse(self, rows: pa.Table, reason: str) -> None:
        self._letters.add(reason, "rows", {"stream": self.name, **rows.to_pydict()})

    def count(self) -> int:
        """Rows that Tiled holds now."""
        return self._table.held().count

    def add_configuration(self, descriptor: dict[str, Any]) -> None:
        """Note a later descriptor of this stream."""
        self._table.add_configuration(descriptor)
