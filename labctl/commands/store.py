"""`labctl store`: the Tiled service of a data directory."""

from __future__ import annotations

from pathlib import Path

from labctl.commands.common import chosen_data, write, write_json
from labctl.store.service import ensure_service, service_status, stop_service


def show_status(data: Path | None, *, as_json: bool) -> int:
    """Whether it runs, where, and how far it has come."""
    status = service_status(chosen_data(data))
    if as_json:
        write_json(status)
    else:
        for name, value in status.items():
            write(f"{name}: {value}")
    return 0


def serve(data: Path | None) -> int:
    """Start it, or find the one that runs."""
    service = ensure_service(chosen_data(data))
    write(f"document store at {service.uri} (process {service.pid}); the key is in its service.json")
    return 0


def stop(data: Path | None) -> int:
    """End it."""
    stop_service(chosen_data(data))
    write("document store ended")
    return 0
