"""Names of exported files, and writing them whole or not at all."""

from __future__ import annotations

import filecmp
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.errors import ConfigurationError, LabctlError
from labctl.platform import sync, sync_directory

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_LONGEST_PART = 60
_UID_LETTERS = 8


def file_stem(start: dict[str, Any]) -> str:
    """`CELL__PLAN__YYYYMMDD_UID` of a run, in letters that are safe on every file system.

    After the pattern that the Battery Data Format recommends: who, what, when.
    """
    cell = start.get("cell")
    cell_id = cell.get("id", "") if isinstance(cell, dict) else cell or ""
    day = datetime.fromtimestamp(float(start.get("time", 0.0)), UTC).strftime("%Y%m%d")
    uid = _safe(str(start.get("uid", "")))[:_UID_LETTERS]
    return (
        f"{_safe(str(cell_id)) or 'no-cell'}__{_safe(str(start.get('plan_name', ''))) or 'run'}__{day}_{uid}"
    )


def safe_part(text: str) -> str:
    """A name from a document as a part of a file's name: no separators, never empty."""
    return _safe(text) or "unnamed"


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text)[:_LONGEST_PART].strip("-.")


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise ConfigurationError if `path` is there and may not be replaced."""
    if path.exists() and not force:
        raise ConfigurationError(str(path), "file", None, "exists already; --force replaces it")


@contextmanager
def written_whole(path: Path, *, force: bool) -> Iterator[Path]:
    """Give a path to write to; what is there at the end becomes `path`, after an error nothing does.

    An existing file is replaced only with `force`; one that holds the same bytes is left alone.

    Raises:
        ConfigurationError: another file of this name exists.
        LabctlError: it cannot be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _put_in_place(temporary, path, force=force)
    except OSError as error:
        raise LabctlError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        if path.is_file() and filecmp.cmp(temporary, path, shallow=False):
            return
        refuse_existing(path, force=force)
    fd = os.open(temporary, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        sync(fd)
    finally:
        os.close(fd)
    temporary.replace(path)
    sync_directory(path.parent)
