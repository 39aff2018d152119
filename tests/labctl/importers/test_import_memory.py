"""Memory of an import: a few numbers per row, however long the text of the file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB")]
MOST_BYTE_PER_ROW = 300
HEADING = (
    "Test Time / s,Voltage / V,Current / A,Cycle Count / 1,Step Count / 1,Step Time / s,Step Type,"
    "Temperature T1 / degC,Applied Pressure / Pa,Status / 1\n"
)
STEPS = (("rest", 0.0), ("cc_charge", 1e-4), ("cc_discharge", -1e-4))
IMPORT = """
import resource, sys
from pathlib import Path
from labctl.importers.run import import_file
done = import_file(Path(sys.argv[1]), Path(sys.argv[2]))
print(done.rows["timeseries"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def written(path: Path, rows: int) -> Path:
    with path.open("w", encoding="ascii") as file:
        file.write(HEADING)
        for row in range(rows):
            step = row // 1000
            kind, current = STEPS[step % 3]
            file.write(
                f"{row * 0.5},{3 + row % 997 * 1e-4:.6f},{current},{step // 3},{step},{row % 1000 * 0.5},"
            )
            file.write(f"{kind},{60 + row % 10 * 0.01:.2f},50000000.0,0\n")
    return path


def peak_byte(path: Path, data: Path) -> tuple[int, int]:
    """Rows imported, and the most memory the process had."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(path), str(data)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows, kibibyte = map(int, done.stdout.split())
    return rows, kibibyte * 1024


@pytest.mark.timeout(600)
def test_an_import_takes_less_than_300_bytes_per_row(tmp_path: Path) -> None:
    few, many = 10_000, 400_000
    small = peak_byte(written(tmp_path / "small.csv", few), tmp_path / "one")
    large = peak_byte(written(tmp_path / "large.csv", many), tmp_path / "two")
    assert (small[0], large[0]) == (few, many)
    assert (large[1] - small[1]) / (many - few) < MOST_BYTE_PER_ROW
