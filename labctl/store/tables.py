"""A reader of the SQLite tables behind the document store.

Tiled 0.2.20 reads SQLite through ADBC, which guesses each column's type from the first 1024 rows: a float
column that begins with as many NaN (stored as NULL) cannot be read at all. This adapter takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa
from tiled.adapters.sql import SQLAdapter

if TYPE_CHECKING:
    import pandas as pd

_WHOLE_RESULT = {
    "adbc.sqlite.query.batch_rows": str(2_000_000_000)
}  # types are guessed from all rows at once


class SqliteTable(SQLAdapter):
    """Reads rows of one dataset of a SQLite table in the order in which they were appended."""

    def read(self, fields: list[str] | None = None) -> pd.DataFrame:
        """All rows, or the columns `fields` of them."""
        return self.arrow(fields).to_pandas()

    def read_partition(self, partition: int, fields: list[str] | None = None) -> pd.DataFrame:
        """The rows of one partition, or the columns `fields` of them."""
        return self.arrow(fields, f"AND _partition_id = {int(partition)}").to_pandas()

    def pages(self, rows: int) -> Iterator[pa.Table]:
        """Yield the rows in pages of at most `rows`, each read on its own: constant memory, no long lock."""
        last = 0
        while True:
            condition = f"AND _partition_id = 0 AND rowid > {last}"
            page = self._query([*self._names(None), "rowid"], condition, f"LIMIT {int(rows)}")
            if not page.num_rows:
                return
            last = page["rowid"][-1].as_py()
            yield self._typed(page.drop_columns(["rowid"]))

    def arrow(self, fields: list[str] | None = None, condition: str = "") -> pa.Table:
        """The rows as an Arrow table of the declared schema."""
        return self._typed(self._query(self._names(fields), condition))

    def _names(self, fields: list[str] | None) -> list[str]:
        return [name for name in self.structure().columns if fields is None or name in fields]

    def _query(self, names: list[str], condition: str = "", limit: str = "") -> pa.Table:
        # Column and table names passed Tiled's own check when the table was created.
        columns = ", ".join(f'"{name.lower()}"' if name != "rowid" else name for name in names)
        query = (
            f'SELECT {columns} FROM "{self.table_name}" WHERE _dataset_id = {int(self.dataset_id)} '
            f"{condition} ORDER BY _partition_id, rowid {limit}"
        )
        with (
            closing(self.storage.connect()) as connection,
            connection.cursor(adbc_stmt_kwargs=_WHOLE_RESULT) as cursor,
        ):
            cursor.execute(query)
            table = cursor.fetch_arrow_table()
            connection.commit()
        return table.rename_columns(names)

    def _typed(self, table: pa.Table) -> pa.Table:
        schema = self.structure().arrow_schema_decoded
        return table.cast(pa.schema([schema.field(name) for name in table.column_names]))
