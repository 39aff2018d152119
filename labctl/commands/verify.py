"""`labctl verify`: the journal of a run against what the document store holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from labctl.commands.chosen import existing_data, show, write, write_json
from labctl.number_table import NumberTable
from labctl.printable import printable
from labctl.store.client.store import Store
from labctl.store.client.verify import Verification, verify_run
from labctl.store.rejections import Letter

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
    write(f"Run {found.uid}: journal and Tiled")
    columns = {
        "stream": list(found.rows),
        "rows equal": [str(rows) for rows in found.rows.values()],
        "not shipped yet": [str(found.waiting.get(stream, 0)) for stream in found.rows],
    }
    show(NumberTable(columns, words=("stream",), ruled=False))
    for difference in found.differences:
        write(f"DIFFERENT  {printable(difference)}")
    for letter in letters:
        write(f"refused by the store  {printable(letter.what)}: {printable(letter.reason)}")
    count = len(found.differences)
    write("equal in every document, row and value" if found.is_equal else f"{count} difference(s)")
