"""Dead letters: what the document store would not take, with the reason, one file per run.

Nothing here is lost, the journal has it all; the file tells a person what a reader of the store will miss.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import orjson

from labctl.journal_format import is_uid

_log = logging.getLogger(__name__)


class DeadLetters:
    """The refused documents of one run, appended to `<directory>/<run uid>.jsonl`, each once."""

    def __init__(self, directory: Path, run_uid: str) -> None:
        if not is_uid(run_uid):
            raise ValueError(f"{run_uid!r} cannot name a run")
        self._path = directory / f"{run_uid}.jsonl"
        self._known = self._read()
        self.count = 0

    def _read(self) -> set[str]:
        if not self._path.exists():
            return set()
        known = set()
        for line in self._path.read_bytes().splitlines():
            try:
                known.add(orjson.loads(line)["key"])
            except (ValueError, KeyError, TypeError):
                continue  # torn by a dying process
        return known

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
        line = orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("ab") as file:
            file.write(line)


def _identity(doc: dict[str, Any]) -> str:
    """What tells a document from its like in one run, even when parts of it are missing."""
    numbers = doc.get("seq_num")
    if isinstance(numbers, list):
        numbers = f"{numbers[0]}-{numbers[-1]}" if numbers else "none"
    of = doc.get("stream") or doc.get("descriptor") or ""
    return f"{of}:{doc.get('data_key') or numbers or doc.get('uid') or ''}"
