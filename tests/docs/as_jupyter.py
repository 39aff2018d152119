"""Runs the cells of a JSON file one by one as Jupyter's kernel does: IPython, in a running event loop."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell


async def run(cells: list[str]) -> None:
    """All cells in order; the first error ends it."""
    shell = InteractiveShell.instance()
    for cell in cells:
        code = shell.transform_cell(cell)
        if shell.should_run_async(cell, transformed_cell=code):
            result = await shell.run_cell_async(cell, transformed_cell=code, store_history=True)
        else:
            result = shell.run_cell(cell, store_history=True)
        result.raise_error()


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))
