"""Mutations of a run's documents with right CRCs: what a forger, or another program, could have written."""

from __future__ import annotations

import copy
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]
HOSTILE: list[Any] = [
    None, True, -1, 0, 7, 2**63, 2**64 - 1, -(2**63), 1e300, -1e308, "x", "", "2026", "nan", [], [1], [[1]],
    [[[["x"]]]], {}, {"a": 1}, [None], ["a", "b"], [{}], {"a": {"b": [1]}}, "x" * 5000, "a\nb",
    "\x1b]0;owned\x07\x1b[2J", "\x9b2J\u202e",
]  # fmt: skip
_KINDS = ("start", "stop", "event", "event_page", "descriptor", "resource", "of another program")


def checked(body: bytes) -> bytes:
    """A line of a journal as its writer makes them."""
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def records_of(journal: Path) -> list[Record]:
    """Name and document of every line."""
    return [
        {key: value for key, value in orjson.loads(line).items() if key != "crc"}
        for line in journal.read_bytes().splitlines()
    ]


def lines_of(records: list[Record]) -> bytes:
    """The journal of these records."""
    return b"".join(checked(orjson.dumps(record)) for record in records)


def mutated(records: list[Record], generator: random.Random) -> list[Record]:
    """The records with one to four things wrong."""
    changed = copy.deepcopy(records)
    for _ in range(generator.choice([1, 1, 1, 2, 4])):
        _mutate(changed, generator)
    return changed


def _mutate(records: list[Record], generator: random.Random) -> None:
    single = [n for n, record in enumerate(records) if not record["name"].startswith("event")]
    at = (
        generator.choice(single) if single and generator.random() < 0.5 else generator.randrange(len(records))
    )
    match generator.choices(("value", "drop", "repeat", "swap", "rename"), weights=(82, 8, 4, 3, 3))[0]:
        case "drop" if len(records) > 1:
            records.pop(at)
        case "repeat":
            records.insert(generator.randrange(len(records) + 1), copy.deepcopy(records[at]))
        case "swap":
            other = generator.randrange(len(records))
            records[at], records[other] = records[other], records[at]
        case "rename":
            records[at]["name"] = generator.choice(_KINDS)
        case _:
            _change_a_value(records[at]["doc"], generator)


def _change_a_value(doc: Record, generator: random.Random) -> None:
    places = [place for place in _places(doc) if place]
    if not places:
        return
    near = [place for place in places if len(place) <= 2]
    *above, key = generator.choice(near if generator.random() < 0.5 else places)
    parent: Any = doc
    for step in above:
        parent = parent[step]
    chance = generator.random()
    if chance < 0.3:
        del parent[key]
    elif chance < 0.4 and isinstance(parent[key], list) and parent[key]:
        parent[key] = parent[key][: generator.randrange(len(parent[key]))]
    elif chance < 0.5 and isinstance(parent, dict):
        parent[generator.choice(["x", "\x1b[31m", "seq_num", "uid"])] = parent[key]
    else:
        parent[key] = generator.choice(HOSTILE)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*at, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 3)):
            yield from _places(value[index], (*at, index))
