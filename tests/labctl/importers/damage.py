"""The sample files, and copies of them with something changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FILES = Path(__file__).parent / "files"


def changed(name: str, directory: Path, change: Callable[[str], str], encoding: str = "cp1252") -> Path:
    """A copy of a sample file whose text has been changed."""
    before = (FILES / name).read_bytes().decode(encoding)
    after = change(before)
    assert after != before
    path = directory / name
    path.write_bytes(after.encode(encoding))
    return path
