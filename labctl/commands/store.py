"""`labctl store`: the Tiled service of a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from labctl.commands.chosen import chosen_data, existing_data, show, write, write_json
from labctl.number_table import NumberTable
from labctl.store.server.service import ensure_service, service_status, stop_service

_MOST_LETTERS = 10


def show_status(data: Path | None, *, as_json: bool) -> int:
    """Whether it runs, where, and how far it has come."""
    directory = existing_data(data)
    status = service_status(directory)
    if as_json:
        write_json(status)
        return 0
    show(_service_table(directory, status))
    if status["runs"]:
        show("\nBeing shipped", _runs_table(status["runs"]))
    if status["refused"]:
        show(_letters_table(status["refused"]))
    return 0


def _service_table(directory: Path, status: dict[str, Any]) -> Table:
    table = Table(title=f"Document store of {directory}", title_justify="left", box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    kind = "lab-wide" if status["lab_wide"] else "of this data directory"
    for name, value in (
        ("store", kind),
        ("running", f"yes, process {status['pid']}" if status["running"] else "no (labctl store serve)"),
        ("address", status["uri"] or "none"),
        ("web interface", f"{status['web']}?api_key=KEY" if status["web"] else ""),
        ("KEY", f"is in {status['key_file']}"),
        ("runs complete", str(status["complete"])),
        ("log", status["log"]),
        ("error", status["error"]),
    ):
        if value:
            table.add_row(name, value)
    return table


def _runs_table(runs: dict[str, dict[str, Any]]) -> NumberTable:
    shown = runs.values()
    columns = {
        "run": [uid[:8] for uid in runs],
        "state": [str(run["state"]) for run in shown],
        "rows stored": [
            "\n".join(f"{s} {count}" for s, count in run["rows"].items()) or "0" for run in shown
        ],
        "rows waiting": [str(run["waiting"]) for run in shown],
        "error": [str(run["error"]) for run in shown],
    }
    return NumberTable(columns, words=("run", "state", "error"), ruled=False)


def _lines(rows: dict[str, int]) -> str:
    return "\n".join(f"{stream} {count}" for stream, count in rows.items()) or "0"


def _letters_table(letters: dict[str, list[dict[str, str]]]) -> Table:
    table = Table(
        title="\nRefused (kept in store/refused, and in the journals)", title_justify="left", box=None
    )
    for heading in ("run", "what", "reason"):
        table.add_column(heading, overflow="fold")
    for uid, found in letters.items():
        for letter in found[:_MOST_LETTERS]:
            table.add_row(uid[:8], letter["what"], letter["reason"])
        if len(found) > _MOST_LETTERS:
            table.add_row(uid[:8], f"and {len(found) - _MOST_LETTERS} more", "")
    return table


def serve(data: Path | None) -> int:
    """Start it, or find the one that runs."""
    service = ensure_service(chosen_data(data))
    key_file = service_status(chosen_data(data))["key_file"]
    write(f"document store at {service.uri} (process {service.pid}); the key is in {key_file}")
    return 0


def stop(data: Path | None) -> int:
    """End it."""
    was_running = stop_service(existing_data(data))
    write("document store ended" if was_running else "the document store was not running")
    return 0
