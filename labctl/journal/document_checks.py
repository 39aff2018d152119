"""Whether a journal's documents are what readers rely on; what is not is told by name, as damage is.

A line whose CRC is right may still hold nonsense: it was forged, or written by another program. Readers see
only documents that passed here, so that none of them has to ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from labctl.formats import START_FIELD, is_format_number
from labctl.journal.format import is_uid

YEAR_3000 = 32_503_680_000.0  # unix seconds
MOST_LEVELS = 100  # of nesting; the readers' own recursion goes deeper than this
_LARGEST_INTEGER = 2**63
_NUMBERS = frozenset({int, float})
_DTYPES = ("number", "integer", "string", "boolean", "array")
_EXIT_STATUSES = ("success", "abort", "fail")
Accepts = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e308 < value < 1e308


def _is_mapping_of_mappings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def _is_time(value: Any) -> bool:
    return _is_number(value) and 0 <= value < YEAR_3000


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_INTEGER


def _is_text_or_mapping(value: Any) -> bool:
    return isinstance(value, str | dict)


_TEXT, _MAPPING = (_is_text, "text"), (_is_mapping, "a mapping")
_NUMBER = (_is_number, "a finite number")
_OF_START: dict[str, tuple[Accepts, str]] = {
    START_FIELD: (is_format_number, "a whole number from 1"),
    "plan_name": _TEXT,
    "campaign_uid": _TEXT,
    "parent_uid": _TEXT,
    "parent_elapsed_s": _NUMBER,
    "cell": (_is_text_or_mapping, "a cell's record or id"),
    "station": (_is_text_or_mapping, "a station's record or name"),
    "devices": (_is_mapping_of_mappings, "a mapping of roles to instruments"),
    "protocol": (lambda value: isinstance(value, str | dict | list), "a protocol"),
    "limits": _MAPPING,
    "versions": _MAPPING,
    "estimate": _MAPPING,
    "imported": _MAPPING,
    "plan_parameters": _MAPPING,
    "simulation_truth": _MAPPING,
    "clock_second": _NUMBER,
    "found_clock_second": _NUMBER,
}
_OF_STOP: dict[str, tuple[Accepts, str]] = {
    "time": (_is_time, "a time in unix seconds"),
    "exit_status": (lambda value: value in _EXIT_STATUSES, " or ".join(_EXIT_STATUSES)),
    "reason": _TEXT,
    "num_events": (
        lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
        "counts by stream",
    ),
}


class DocumentCheck:
    """Checks the documents of one run in their order.

    Rows whose descriptor did not come (its line is damaged, or before the place where reading began) may have
    any columns.
    """

    def __init__(self) -> None:
        self._started = False
        self._columns: dict[str, dict[str, Accepts]] = {}

    def check(self, name: str, doc: dict[str, Any]) -> list[str]:
        """Take the next document; keys of start and stop documents that hold nonsense are taken out of it.

        Returns:
            What was taken out, and why.

        Raises:
            ValueError: The document as a whole is not what readers rely on.
        """
        if name == "start":
            return self._start(doc)
        if name == "stop":
            return without_nonsense("stop", doc)
        if name == "descriptor":
            self._descriptor(doc)
        elif name == "event":
            _check_event(doc, self._columns_of(doc))
        elif name == "event_page":
            _check_page(doc, self._columns_of(doc))
        return []

    def _start(self, doc: dict[str, Any]) -> list[str]:
        if self._started:
            raise ValueError("a second start document")
        taken_out = without_nonsense("start", doc)
        self._started = True
        return taken_out

    def _descriptor(self, doc: dict[str, Any]) -> None:
        _refuse_deep("descriptor", doc)
        for key in ("uid", "name"):
            _require(_is_text(doc.get(key)), f"descriptor: {key} must be text")
        keys = doc.get("data_keys")
        _require(
            _is_mapping_of_mappings(keys), "descriptor: data_keys must be a mapping of names to descriptions"
        )
        parts = doc.get("configuration", {})
        _require(_is_mapping_of_mappings(parts), "descriptor: configuration must be a mapping of mappings")
        _require(_is_mapping(doc.get("hints", {})), "descriptor: hints must be a mapping")
        _require(_is_mapping(doc.get("object_keys", {})), "descriptor: object_keys must be a mapping")
        columns = {key: _column(f"data key {_short(key)}", told) for key, told in (keys or {}).items()}
        for device, part in parts.items():
            what = f"configuration of {_short(device)}"
            for key in ("data", "timestamps", "data_keys"):
                _require(_is_mapping(part.get(key, {})), f"{what}: {key} must be a mapping")
            for key, told in part.get("data_keys", {}).items():
                _column(f"{what}: {_short(key)}", told)
        self._columns[doc["uid"]] = columns

    def _columns_of(self, doc: Mapping[str, Any]) -> dict[str, Accepts] | None:
        uid = doc.get("descriptor")
        if not isinstance(uid, str):
            raise ValueError(f"rows whose descriptor is {_short(uid)}: it must be text")
        return self._columns.get(uid)


def without_nonsense(name: str, doc: dict[str, Any]) -> list[str]:
    """Take keys that hold nonsense out of a start or stop document; what was taken out, and why.

    Raises:
        ValueError: What no reader can do without is wrong.
    """
    _refuse_deep(name, doc)
    if name == "start":
        _require(is_uid(doc.get("uid")), f"start document: uid {_short(doc.get('uid'))} is no uid")
        _require(_is_time(doc.get("time")), f"start document: time {_short(doc.get('time'))} is no time")
    told = []
    for key, (accepts, allowed) in (_OF_START if name == "start" else _OF_STOP).items():
        if doc.get(key) is not None and not accepts(doc[key]):
            told.append(f"{name} document: {key} = {_short(doc.pop(key))} left out: it must be {allowed}")
    return told


def _column(what: str, told: Any) -> Accepts:
    """Whether the values of a column are what its description says, as a function of a page's list."""
    _require(_is_mapping(told), f"{what} must be a description")
    kind, units = told.get("dtype"), told.get("units")
    _require(kind in _DTYPES, f"{what}: dtype {_short(kind)} must be one of {', '.join(_DTYPES)}")
    _require(units is None or _is_text(units), f"{what}: units must be text")
    if kind == "array":
        return _array_column(what, told)
    return {"number": _numbers, "integer": _integers, "string": _texts, "boolean": _booleans}[kind]


def _array_column(what: str, told: Mapping[str, Any]) -> Accepts:
    try:
        dtype = np.dtype(told.get("dtype_numpy") or np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: dtype_numpy {_short(told.get('dtype_numpy'))} is no type") from None

    def accepts(values: list[Any]) -> bool:
        try:
            np.asarray(values, dtype=dtype)
        except (TypeError, ValueError, OverflowError):
            return False
        return True

    return accepts


def _numbers(values: list[Any]) -> bool:
    kinds = set(map(type, values))
    return kinds <= _NUMBERS or kinds <= {int, float, bool, type(None)}


def _integers(values: list[Any]) -> bool:
    kinds = set(map(type, values))
    if kinds <= {int, bool}:
        return not values or max(values) < _LARGEST_INTEGER  # JSON has none below -2**63
    return kinds <= {int, float, bool} and all(abs(v) < _LARGEST_INTEGER and v == int(v) for v in values)


def _texts(values: list[Any]) -> bool:
    return set(map(type, values)) <= {str, type(None)}


def _booleans(values: list[Any]) -> bool:
    return set(map(type, values)) <= {bool, int}


def _check_event(doc: Mapping[str, Any], columns: dict[str, Accepts] | None) -> None:
    _require(_is_count(doc.get("seq_num")), f"event: seq_num {_short(doc.get('seq_num'))} is no count")
    _require(_is_number(doc.get("time")), f"event: time {_short(doc.get('time'))} is no number")
    data = _rows_of("event", doc, columns)
    for key, accepts in (columns or {}).items():
        _require(accepts([data[key]]), f"column {key}: {_short(data[key])} does not match its descriptor")


def _check_page(doc: Mapping[str, Any], columns: dict[str, Accepts] | None) -> None:
    numbers, times = doc.get("seq_num"), doc.get("time")
    if not isinstance(numbers, list) or not set(map(type, numbers)) <= {int} or not _integers(numbers):
        raise ValueError("event page: seq_num must be a list of counts")
    if not isinstance(times, list) or not set(map(type, times)) <= _NUMBERS:
        raise ValueError("event page: time must be a list of numbers")
    data, count = _rows_of("event page", doc, columns), len(numbers)
    _require(len(times) == count, f"event page: {len(times)} times for {count} rows")
    for part in (data, doc["timestamps"]):
        for key, values in part.items():
            if not isinstance(values, list) or len(values) != count:
                raise ValueError(
                    f"event page: {_short(key)} must be a list of {count} values, one for each row"
                )
    for key, accepts in (columns or {}).items():
        _require(accepts(data[key]), f"column {key}: its values do not match its descriptor")


def _rows_of(what: str, doc: Mapping[str, Any], columns: dict[str, Accepts] | None) -> dict[str, Any]:
    data, stamps = doc.get("data"), doc.get("timestamps")
    if not isinstance(data, dict) or not isinstance(stamps, dict):
        raise ValueError(f"{what}: data and timestamps must be mappings")
    names = data.keys() if columns is None else columns.keys()
    if data.keys() != names or stamps.keys() != names:
        odd = sorted((data.keys() ^ names) | (stamps.keys() ^ names))
        raise ValueError(f"{what}: columns differ from its descriptor: {_short(', '.join(odd))}")
    return data


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


def _refuse_deep(name: str, doc: dict[str, Any]) -> None:
    level: list[Any] = [doc]
    for _ in range(MOST_LEVELS):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise ValueError(f"{name} document: it is nested deeper than {MOST_LEVELS} levels")


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."
