"""The lines of a journal: one Bluesky document each, checked by CRC32, with NaN restored on the way back.

A line is the orjson bytes of `{"name": ..., "doc": ...}` with `,"crc":"xxxxxxxx"` before the last brace,
where xxxxxxxx is the CRC32 of the bytes without it. JSON has no NaN: it is written as null, and null in a
float column of an event comes back as NaN.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from labctl.errors import JournalError
from labctl.platform import is_regular
from labctl.printable import printable

LINE_LIMIT_BYTE = 32 * 1024 * 1024  # without its newline; longer ones are neither written nor read
LOCK_NAME = "writer.lock"
_SUFFIX = re.compile(rb',"crc":"([0-9a-f]{8})"}')
_SUFFIX_LENGTH = 18
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{3,63}")
_NAN = float("nan")
_TORN = "not a whole journal line (no CRC at its end)"


@dataclass(frozen=True)
class Damage:
    """A stretch of a journal that cannot be read: where it begins, and why.

    `document` is its name and content where the line is whole, but holds what no reader can rely on.
    """

    file: Path
    offset_byte: int
    reason: str
    document: tuple[str, dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def is_torn(self) -> bool:
        """True for a line that does not end as lines do: its writer may have died in the middle of it."""
        return self.reason == _TORN

    def __str__(self) -> str:
        return printable(f"{self.file}: byte {self.offset_byte}: {self.reason}")


def is_uid(text: object) -> bool:
    """True for what may name a run: 4 to 64 letters, digits and hyphens; safe as a directory name."""
    return isinstance(text, str) and _UID.fullmatch(text) is not None


def segment_name(number: int) -> str:
    """File name of the journal's segment `number`."""
    return f"journal-{number:04d}.jsonl"


def segments(run_directory: Path) -> list[Path]:
    """The journal's files in order; links are none."""
    found = sorted(run_directory.glob("journal-[0-9][0-9][0-9][0-9].jsonl"))
    return [path for path in found if is_regular(path)]


def encode(name: str, doc: dict[str, Any], **beside: Any) -> bytes:
    """One line, newline included; `beside` goes next to name and doc, inside the CRC.

    Raises:
        JournalError: A value is neither JSON nor numpy, and the message says where in the document; or the
            line would be longer than `LINE_LIMIT_BYTE`.
    """
    try:
        body = _dumps({"name": name, "doc": doc, **beside})
    except TypeError as error:
        raise JournalError(f"{name} document: {_culprit(doc) or error}") from error
    length = len(body) - 1 + _SUFFIX_LENGTH
    if length > LINE_LIMIT_BYTE:
        raise JournalError(f"{name} document: {_too_long(doc, length)}")
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def _too_long(doc: dict[str, Any], length_byte: int) -> str:
    largest = max(doc, key=lambda key: len(_dumps(doc[key])))
    return (
        f"it has {length_byte / 1e6:.4g} MB, but at most {LINE_LIMIT_BYTE / 1e6:.4g} MB ({LINE_LIMIT_BYTE} "
        f"bytes) can be read again; its largest part, {largest}, has {len(_dumps(doc[largest])) / 1e6:.4g} MB"
    )


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: Any) -> Any:
    # Arrays that orjson does not take itself: not contiguous, or of strings.
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is neither JSON nor numpy")


def _culprit(value: Any, path: str = "") -> str:
    """Path and type of the first value that cannot be written, or nothing."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}" if path else str(key), key, item) for key, item in value.items()]
        for where, key, item in pairs:
            if not isinstance(key, str):
                return f"{where}: the key must be a string, not {type(key).__name__}"
            if found := _culprit(item, where):
                return found
        return ""
    if isinstance(value, list | tuple):
        return next((f for i, item in enumerate(value) if (f := _culprit(item, f"{path}[{i}]"))), "")
    try:
        _dumps(value)
    except TypeError as error:
        return f"{path}: {value!r:.100}: {error.__cause__ or error}"
    return ""


def is_rows(line: bytes) -> bool:
    """Whether a line holds an event or event page, told from how it begins; it may be damaged."""
    return line.startswith(b'{"name":"event')


def decode(line: bytes) -> dict[str, Any]:
    """The object of one line (without its newline), crc included.

    Raises:
        ValueError: The line is damaged; the message says how.
    """
    suffix = _SUFFIX.fullmatch(line, max(len(line) - _SUFFIX_LENGTH, 0))
    if suffix is None:
        raise ValueError(_TORN)
    if zlib.crc32(b"}", zlib.crc32(memoryview(line)[:-_SUFFIX_LENGTH])) != int(suffix[1], 16):
        raise ValueError("bad CRC")
    record = orjson.loads(line)  # its error is a ValueError as well
    if not isinstance(record.get("name"), str) or not isinstance(record.get("doc"), dict):
        raise ValueError("the line holds no document")
    return record


class NanRestorer:
    """Turns null in float columns back into NaN; learns the columns from the descriptors as they pass.

    Where the descriptor is lost (a damaged line), null in any column becomes NaN.
    """

    def __init__(self) -> None:
        self._floats: dict[str, frozenset[str]] = {}

    def restore(self, name: str, doc: dict[str, Any], line: bytes) -> None:
        """Restore `doc` in place; `line` (its bytes) tells cheaply whether there is anything to do."""
        if name == "descriptor":
            self._floats[doc.get("uid", "")] = float_columns(doc.get("data_keys", {}))
            for part in doc.get("configuration", {}).values():
                _restore(part.get("data", {}), float_columns(part.get("data_keys", {})))
        elif name in ("event", "event_page") and b"null" in line:
            data = doc.get("data", {})
            _restore(data, self._floats.get(doc.get("descriptor", ""), frozenset(data)))


def float_columns(data_keys: dict[str, Any]) -> frozenset[str]:
    """Names of the data keys that hold floating-point numbers, scalars or arrays."""
    return frozenset(key for key, description in data_keys.items() if _is_float(description))


def _is_float(description: dict[str, Any]) -> bool:
    kind = description.get("dtype_numpy")
    if isinstance(kind, str):
        return kind.lstrip("<>=|").startswith("f")
    return description.get("dtype") == "number"


def _restore(data: dict[str, Any], columns: frozenset[str]) -> None:
    for key in columns & data.keys():
        data[key] = _with_nan(data[key])


def _with_nan(value: Any) -> Any:
    if value is None:
        return _NAN
    if not isinstance(value, list):
        return value
    if value and any(isinstance(item, list) for item in value):
        return [_with_nan(item) for item in value]
    return [_NAN if item is None else item for item in value] if None in value else value
