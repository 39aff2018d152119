"""`labctl analyze`: results with their conditions, from a stored run."""

from __future__ import annotations

from pathlib import Path

from labctl.commands.common import chosen_data, write_json
from labctl.errors import ConfigurationError


def analyze_stored(reference: str, data: Path | None, *, as_json: bool) -> int:
    """Analyse a GITT run and print the table, or JSON."""
    from labctl.analysis.gitt import analyze_run
    from labctl.analysis.tables import tables
    from labctl.store.client import Store

    store = Store(chosen_data(data))
    uid = store.resolve(reference)
    content = tables(store.documents(uid))
    plan = (content.start or {}).get("plan_name", "unknown")
    if plan != "gitt":
        raise ConfigurationError(
            "labctl analyze", "plan of the run", plan, "only gitt can be analysed so far"
        )
    result = analyze_run(content)
    if as_json:
        write_json({"uid": uid, **result.to_dict()})
        return 0
    from rich.console import Console

    from labctl.analysis.gitt_text import result_table

    Console().print(result_table(result))
    return 0
