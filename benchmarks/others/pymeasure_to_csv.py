"""Rows to PyMeasure's CSV, through its worker or its formatter alone; asks for folder, points, through."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import ClassVar

from points import COLUMNS, point
from pymeasure.experiment import Procedure, Results
from pymeasure.experiment.results import CSVFormatter
from pymeasure.experiment.workers import Worker

REQUEST = json.load(sys.stdin)


class Charge(Procedure):
    """A measurement as PyMeasure's users write it: one record for each point."""

    DATA_COLUMNS: ClassVar = list(COLUMNS)

    def execute(self) -> None:
        """Emit them all."""
        for number in range(REQUEST["points"]):
            self.emit("results", dict(zip(COLUMNS, point(number), strict=True)))


def _through_worker(path: Path) -> None:
    """Until its recorder has written the last record."""
    worker = Worker(Results(Charge(), str(path)))
    worker.start()
    worker.join(timeout=600)


def _through_formatter(path: Path) -> None:
    formatter = CSVFormatter(columns=list(COLUMNS))
    with path.open("w") as file:
        file.write(formatter.format_header() + "\n")
        for number in range(REQUEST["points"]):
            file.write(formatter.format(dict(zip(COLUMNS, point(number), strict=True))) + "\n")


def main() -> None:
    """Answer with points per second; nothing is synced."""
    path = Path(REQUEST["folder"]) / "pymeasure.csv"
    began = time.perf_counter()
    {"worker": _through_worker, "formatter": _through_formatter}[REQUEST["through"]](path)
    took = time.perf_counter() - began
    lines = path.read_text().splitlines()
    stored = len(lines) - 1 - sum(line.startswith("#") for line in lines)
    assert stored == REQUEST["points"], f"{stored} rows were stored of {REQUEST['points']}"
    print(json.dumps({"value": stored / took}))


main()
