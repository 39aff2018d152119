"""Files that are damaged or meant to harm: refused by name, nothing runs, nothing is written elsewhere."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from labctl.errors import ConfigurationError
from labctl.importers.generic_csv import ColumnMap
from labctl.importers.run import LOCK_NAME, import_file
from labctl.importers.text import LONGEST_LINE_BYTE, MOST_EXPANSION
from labctl.platform import is_locked
from labctl.records.cell import load_cell
from labctl.records.loader import load_record
from labctl.records.station import load_station, packaged_config
from tests.helpers import wait_until

ROOT = Path(__file__).parents[2]


def flipped(content: bytes, generator: random.Random, bits: int) -> bytes:
    changed = bytearray(content)
    for _ in range(bits):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("name", ["sim.yaml", "cells/lic-ncm.yaml"])
@pytest.mark.parametrize("bits", [1, 20])
def test_a_damaged_configuration_is_loaded_or_refused_naming_the_file(
    tmp_path: Path, name: str, bits: int
) -> None:
    load = load_cell if name.startswith("cells") else load_station
    whole, path, generator = (
        packaged_config(name).read_bytes(),
        tmp_path / "damaged.yaml",
        random.Random(bits),
    )
    refused: list[str] = []
    for _ in range(250):
        path.write_bytes(flipped(whole, generator, bits))
        try:
            load(path)
        except ConfigurationError as error:
            refused.append(str(error))
    assert len(refused) > 25
    assert [text for text in refused if str(path) not in text] == []


HOSTILE = {
    "a Python object": b"!!python/object/apply:os.system ['touch %s']",
    "a Python name": b"name: !!python/name:os.system\n",
    "a billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 107)),
    "nested a million deep": b"[" * 10**6,
    "a mapping nested deep": b"".join(b" " * n + b"a:\n" for n in range(3000)),
    "not text": bytes(range(256)),
    "100 MB": b"name: " + b"x" * 100_000_000,
    "nothing": b"",
}


READERS: dict[str, Callable[[Path], object]] = {
    "station": load_station,
    "cell": load_cell,
    "column map": lambda path: load_record(path, ColumnMap),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_happens(
    tmp_path: Path, content: bytes, read: Callable[[Path], object]
) -> None:
    path, touched = tmp_path / "hostile.yaml", tmp_path / "touched"
    path.write_bytes(content.replace(b"%s", str(touched).encode()))
    with pytest.raises(ConfigurationError, match=re.escape(str(path))):
        read(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["hostile.yaml"]


def test_a_packed_file_that_unpacks_to_a_giant_line_is_refused_at_once(tmp_path: Path) -> None:
    heading = b"Test Time / s,Voltage / V,Current / A\n"
    path = tmp_path / "bomb.bdf.csv.gz"
    path.write_bytes(gzip.compress(heading + b"1" * 100_000_000, compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(
            ConfigurationError, match=f"line 2: text: is longer than {LONGEST_LINE_BYTE} bytes"
        ):
            import_file(path, tmp_path / "data")
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "data" / "runs").exists()


def packed_table(path: Path, rows: int) -> Path:
    """A table that packs very well, as rows that repeat do."""
    block = b"1,3.100000,0.000000\n" * 10_000
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"Test Time / s,Voltage / V,Current / A\n")
        for _ in range(rows // 10_000):
            file.write(block)
    return path


def test_a_file_that_was_packed_to_harm_is_refused_as_soon_as_that_shows(tmp_path: Path) -> None:
    path = packed_table(tmp_path / "bomb.bdf.csv.gz", 1_500_000)
    assert path.stat().st_size < 200_000
    with pytest.raises(ConfigurationError, match=f"unpacks to more than {MOST_EXPANSION} times its size"):
        import_file(path, tmp_path / "data")
    assert not (tmp_path / "data" / "runs").exists()


def test_nobody_waits_for_a_file_that_takes_long_to_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    small = tmp_path / "small.bdf.csv"
    small.write_text("Test Time / s,Voltage / V,Current / A\n1,3.1,0\n2,3.1,0\n")
    large = packed_table(tmp_path / "large.bdf.csv.gz", 700_000)  # just not refused: read to its end
    command = [sys.executable, "-m", "labctl", "import", str(large), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reading:
        wait_until(data.is_dir, 60)
        assert not is_locked(data / LOCK_NAME)
        import_file(small, data)
        still_reading = reading.poll() is None
        reading.kill()
    assert still_reading


@pytest.mark.slow
def test_a_parquet_file_of_more_rows_than_memory_holds_is_refused_at_once(tmp_path: Path) -> None:
    path, rows = tmp_path / "bomb.bdf.parquet", 200_000_000
    chunk = pa.array(np.zeros(rows // 100))
    schema = pa.schema([(name, pa.float64()) for name in ("Test Time / s", "Voltage / V", "Current / A")])
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for _ in range(100):
            file.write_table(pa.table([chunk] * 3, schema=schema))
    assert path.stat().st_size < 5_000_000
    with pytest.raises(ConfigurationError, match=f"needs more than 4 GiB: {rows} rows of 3 columns"):
        import_file(path, tmp_path / "data")


def test_nothing_unpickles_and_no_yaml_is_loaded_with_tags() -> None:
    loading = r"yaml\.(unsafe_|full_)load|yaml\.(Unsafe|Full)?Loader"
    code = r"import pickle|from pickle|pickle\.load|marshal\.load|(?<![\w.])(eval|exec)\("
    forbidden = re.compile(f"{code}|{loading}")
    for package in ("labctl", "devices", "plans"):
        for path in (ROOT / package).rglob("*.py"):
            found = forbidden.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found and found[0]}"
