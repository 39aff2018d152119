"""`labctl verify`: the journal of a run against what the document store holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from labctl.commands.common import existing_data, write, write_json
from labctl.store.client import Store
from labctl.store.refused import Letter
from labctl.store.verify import Verification, verify_run

_SHIPPED_WITHIN_SECOND = 60.0


def verify_stored(reference: str, data: Path | None, *, as_json: bool) -> int:
    """Compare, after what is on its way has arrived; 1 when there are differences."""
    with Store(existing_data(data)) as store:
        uid = store.resolve(reference)
        if not store.summary(uid).has_writer:
            store.wait_until_shipped(uid, _SHIPPED_WITHIN_SECOND)
        found = verify_run(store, uid)
        letters = store.refused(uid)
    if as_json:
        write_json(
            {**asdict(found), "equal": found.is_equal, "refused": [asdict(letter) for letter in letters]}
        )
    else:
        _print(found, letters)
    return 0 if found.is_equal else 1


def _print(found: Verification, letters: list[Letter]) -> None:
    table = Table(title=f"Run {found.uid}: journal and Tiled", title_justify="left", box=None)
    for heading in ("stream", "rows equal", "not shipped yet"):
        table.add_column(heading, justify="left" if heading == "stream" else "right")
    for stream, rows in found.rows.items():
        table.add_row(stream, str(rows), str(found.waiting.get(stream, 0)))
    Console().print(table)
    for difference in found.differences:
        write(f"DIFFERENT  {difference}")
    for letter in letters:
        write(f"refused by the store  {letter.what}: {letter.reason}")
    count = len(found.differences)
    write("equal in every document, row and value" if found.is_equal else f"{count} difference(s)")
