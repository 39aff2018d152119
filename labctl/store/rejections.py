"""Refused documents: what the document store did not accept, with the reason, one file per run.

Nothing here is lost, the journal has it all; the file tells a person what a reader of the store will miss.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from labctl.journal.format import is_uid
from labctl.platform import open_regular, open_to_append

_LINE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
_MOST_CHARACTERS = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Letter:
    """What was refused: its kind and identity, and why."""

    what: str
    reason: str
    unix_second: float


def read_letters(directory: Path, run_uid: str) -> list[Letter]:
    """The refused documents of one run; what a dying process tore is left out."""
    letters = []
    for line in _lines(directory / f"{run_uid}.jsonl"):
        try:
            record = orjson.loads(line)
            letters.append(Letter(record["key"], record["reason"], float(record["unix_second"])))
        except (ValueError, KeyError, TypeError):
            continue
    return letters


def all_letters(directory: Path) -> dict[str, list[Letter]]:
    """The refused documents by run uid."""
    return {path.stem: read_letters(directory, path.stem) for path in sorted(directory.glob("*.jsonl"))}


def _lines(path: Path) -> Iterator[bytes]:
    """One after the other: whole pages may have been refused, for days."""
    try:
        file = open_regular(path, follow=False)
    except FileNotFoundError:
        return
    with io.BufferedReader(file) as lines:
        yield from lines


class DeadLetters:
    """The refused documents of one run, appended to `<directory>/<run uid>.jsonl`, each once."""

    def __init__(self, directory: Path, run_uid: str) -> None:
        if not is_uid(run_uid):
            raise ValueError(f"{run_uid!r} cannot name a run")
        self._path = directory / f"{run_uid}.jsonl"
        self._known = {letter.what for letter in read_letters(directory, run_uid)}
        self.count = 0

    def add(self, reason: str, name: str, doc: dict[str, Any]) -> None:
        """Keep a document, unless it is there already.

        Args:
            reason: Why it was refused.
            name: Its kind, such as "event_page".
            doc: The document, or those parts of it that were refused.
        """
        self.count += 1
        key = f"{name}:{_identity(doc)}"
        if key in self._known:
            return
        self._known.add(key)
        _log.warning("run %s: %s not stored: %s", self._path.stem, key, reason)
        record = {"key": key, "unix_second": time.time(), "reason": reason, "name": name, "doc": doc}
        try:
            line = orjson.dumps(record, option=_LINE)
        except TypeError:  # such as one that is nested deeper than JSON may be
            line = orjson.dumps({**record, "doc": repr(doc)[:_MOST_CHARACTERS]}, option=_LINE)
        self._path.parent.mkdir(exist_ok=True)
        fd = open_to_append(self._path)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def _identity(doc: dict[str, Any]) -> str:
    """What tells a document from its like in one run, even when parts of it are missing."""
    numbers = doc.get("seq_num")
    if isinstance(numbers, list):
        numbers = f"{numbers[0]}-{numbers[-1]}" if numbers else "none"
    of = doc.get("stream") or doc.get("descriptor") or ""
    return f"{of}:{doc.get('data_key') or numbers or doc.get('uid') or ''}"
