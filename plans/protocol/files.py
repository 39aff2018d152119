"""Protocols in JSON files: labctl's own form, and aurora-unicycler's, which other labs' cyclers read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from labctl.errors import ConfigurationError
from labctl.formats import FIELD, FORMAT_NUMBER, require_known
from labctl.platform import read_regular
from labctl.records.loader import validate_record
from plans.protocol.protocol import Protocol
from plans.protocol.unicycler.reader import from_unicycler, is_unicycler
from plans.protocol.unicycler.writer import to_unicycler

_LARGEST_BYTE = 20_000_000
_MOST_LEVELS = 100  # three of them for each loop within a loop


def load_protocol(path: Path | str) -> Protocol:
    """The protocol in a JSON file, in labctl's form or aurora-unicycler's.

    Raises:
        NewerFormatError: a newer labctl has written it.
        ConfigurationError: names file, field, value and what is allowed.
    """
    data = _read(Path(path))
    if is_unicycler(data):
        return from_unicycler(data, where=str(path))
    if isinstance(data, dict):
        data = require_known("protocol", data, str(path))
    return validate_record(data, Protocol, where=str(path))


def save_protocol(
    protocol: Protocol, path: Path | str, form: Literal["labctl", "unicycler"] = "labctl"
) -> None:
    """Write a protocol; a file that is there is not overwritten.

    Raises:
        ConfigurationError: the file is there, or the form cannot express the protocol.
    """
    data = _in_own_form(protocol) if form == "labctl" else to_unicycler(protocol)
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise ConfigurationError(
            "protocol", "file", str(path), f"cannot be written: {error.strerror}"
        ) from None


def _in_own_form(protocol: Protocol) -> dict[str, Any]:
    return {FIELD: FORMAT_NUMBER["protocol"], **protocol.model_dump(mode="json")}


def _read(path: Path) -> Any:
    try:
        data = json.loads(read_regular(path, _LARGEST_BYTE).decode("utf-8"))
    except OSError as error:
        raise ConfigurationError("protocol", "file", str(path), f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(str(path), "content", None, f"is not JSON: {error}") from None
    if _is_deeper(data, _MOST_LEVELS):
        raise ConfigurationError(str(path), "content", None, f"is nested deeper than {_MOST_LEVELS} levels")
    return data


def _is_deeper(data: Any, levels: int) -> bool:
    """Without recursion: it may be nested as deep as somebody likes."""
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(levels):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return False
    return bool(level)
