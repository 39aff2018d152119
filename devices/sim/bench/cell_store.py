"""Where a bench keeps the states of its cells between its lives: one JSON file per cell id."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from devices.sim.cell.kinds import restored_cell
from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.simulated_cell import SimulatedCell
from labctl.platform import replace_atomically

_CELL_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")


class CellStore:
    """States of cells in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, cell_id: str, kind: str, parameters: PelletParameters) -> SimulatedCell | None:
        """The cell as it was saved, at open circuit; None if it never was.

        Raises:
            ValueError: the file is damaged, or belongs to a cell of another kind.
        """
        path = self._path(cell_id)
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            if saved["kind"] != kind:
                raise ValueError(f"it is of kind {saved['kind']}, not {kind}")
            cell = restored_cell(kind, parameters, saved["state"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path}: no state of this cell ({error}); remove it to begin anew") from None
        cell.open_circuit()
        return cell

    def save(self, cell_id: str, kind: str, state: dict[str, Any]) -> None:
        """Remember a cell's state."""
        path = self._path(cell_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"cell_id": cell_id, "kind": kind, "state": state}
        replace_atomically(path, json.dumps(content).encode())

    def _path(self, cell_id: str) -> Path:
        if not _CELL_ID.match(cell_id):
            raise ValueError(f"cell id = {cell_id!r}: must be letters, digits, '_' and '-', a letter first")
        return self._directory / f"{cell_id}.json"
