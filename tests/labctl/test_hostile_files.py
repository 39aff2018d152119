"""Files that are damaged or meant to harm: refused by name, nothing runs, nothing is written elsewhere."""

from __future__ import annotations

import gzip
import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.config import load_cell, load_station, packaged_config
from labctl.errors import ConfigurationError
from labctl.importers.column_map import ColumnMap
from labctl.importers.run import import_file
from labctl.importers.text import LONGEST_LINE_BYTE
from labctl.records import load_record

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


def test_nothing_unpickles_and_no_yaml_is_loaded_with_tags() -> None:
    loading = r"yaml\.(unsafe_|full_)load|yaml\.(Unsafe|Full)?Loader"
    code = r"import pickle|from pickle|pickle\.load|marshal\.load|(?<![\w.])(eval|exec)\("
    forbidden = re.compile(f"{code}|{loading}")
    for package in ("labctl", "devices", "plans"):
        for path in (ROOT / package).rglob("*.py"):
            found = forbidden.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found and found[0]}"
