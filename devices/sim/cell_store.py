"""Where a bench keeps the states of its cells between its lives: one JSON file per cell id."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from devices.sim.pellet import Pellet
from devices.sim.pellet_parameters import PelletParameters
from labctl.platform import replace_atomically

_CELL_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")


class CellStore:
    """States of cells in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, cell_id: str, parameters: PelletParameters) -> Pellet | None:
        """The pellet as it was saved, at open circuit; None if it never was.

        Raises:
            ValueError: the file is damaged, or belongs to a pellet of another kind.
        """
        path = self._path(cell_id)
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            pellet = Pellet.from_state(parameters, saved["state"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no state of this cell ({error}); remove it to begin anew") from None
        pellet.open_circuit()
        return pellet

    def save(self, cell_id: str, state: dict[str, Any]) -> None:
        """Remember a pellet's state."""
        path = self._path(cell_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, json.dumps({"cell_id": cell_id, "state": state}).encode())

    def _path(self, cell_id: str) -> Path:
        if not _CELL_ID.match(cell_id):
            raise ValueError(f"cell id = {cell_id!r}: must be letters, digits, '_' and '-', a letter first")
        return self._directory / f"{cell_id}.json"
