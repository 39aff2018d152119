"""Rows are the same whether they come as events or as pages; what they come as is decided in one module."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from math import nan
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labctl
from labctl.documents import Gather, Page, columns_of, joined, page_of, row_count, rows_of, tables
from labctl.export.content import read_content
from labctl.journal.format import encode
from labctl.journal.reader import count_points, follow, last_step
from labctl.live.model.newest import NewestReader
from labctl.live.model.run_model import RunModel
from labctl.live.replay.playback import ReplayClock, paced, read_outline
from labctl.runs.progress import Progress
from labctl.runs.recovery import recover_run
from labctl.store.arrow import null_for_nan, schema_of, table_of
from labctl.store.client.verify import _Side

Document = tuple[str, dict[str, Any]]
SOURCE = Path(labctl.__file__).parent
MAY_NAME_THEM = {
    "documents.py": "decides it",
    "journal/format.py": "works on the bytes of lines, before there is a document",
    "journal/writer.py": "writes documents; it syncs those of one stream at once",
    "journal/document_checks.py": "checks each kind by rules of its own, before anything reads it",
    "store/server/exporter.py": "writes the bytes of pages for stock clients of Tiled",
}
NUMBER, INTEGER, TEXT = (
    {"dtype": dtype, "shape": [], "source": "t"} for dtype in ("number", "integer", "string")
)
KEYS = {
    "test_time_second": NUMBER,
    "step_time_second": NUMBER,
    "voltage_volt": NUMBER,
    "current_ampere": NUMBER,
    "step_count": INTEGER,
    "cycle_count": INTEGER,
    "status": INTEGER,
    "step_type": TEXT,
    "note": TEXT,
}
STEPS = {
    "step_count": INTEGER,
    "cycle_count": INTEGER,
    "protocol_step": TEXT,
    "step_type": TEXT,
    "start_test_time_second": NUMBER,
    "end_test_time_second": NUMBER,
    "step_charging_capacity_ah": NUMBER,
}
ALARMS = {"test_time_second": NUMBER, "kind": TEXT, "action": TEXT, "value": NUMBER}
STREAMS = {"timeseries": KEYS, "steps": STEPS, "alarms": ALARMS}
UID = "0123abcd"
READINGS = (nan, 0.0, 1, -1, 2.5, -0.125, 1e-3)
WORDS = ("", "a", "b µ", "'\"é", ",,")


def value(column: str, row: int, chance: Random) -> Any:
    fixed: dict[str, Any] = {
        "test_time_second": float(row),
        "step_time_second": float(row % 7),
        "step_count": row // 7 + 1,
        "cycle_count": row // 20,
        "protocol_step": str(row),
        "step_type": ("cc_charge", "rest", "cc_discharge")[row // 7 % 3],
        "start_test_time_second": 7.0 * row,
        "end_test_time_second": 7.0 * row + 7,
        "kind": chance.choice(("trip", "acknowledge", "alarm")),
        "note": chance.choice(WORDS),
        "action": chance.choice(WORDS),
        "status": chance.randrange(9),
    }
    return fixed.get(column, chance.choice(READINGS))


def streams(lengths: list[int], chance: Random) -> dict[str, list[dict[str, Any]]]:
    """Rows by stream."""
    return {
        name: [{column: value(column, row, chance) for column in keys} for row in range(length)]
        for (name, keys), length in zip(STREAMS.items(), lengths, strict=True)
    }


def descriptor(stream: str, keys: dict[str, Any]) -> Document:
    doc = {"uid": f"{UID}-{stream}", "run_start": UID, "time": 0.0, "name": stream, "data_keys": keys}
    return "descriptor", {**doc, "configuration": {}, "hints": {}, "object_keys": {}}


def event(stream: str, number: int, row: dict[str, Any]) -> Document:
    stamps = dict.fromkeys(row, 100.0 + number + 0.25)
    doc = {"uid": f"e{number}", "descriptor": f"{UID}-{stream}", "seq_num": number, "time": 100.0 + number}
    return "event", {**doc, "data": dict(row), "timestamps": stamps, "filled": {}}


def page(stream: str, first: int, rows: list[dict[str, Any]]) -> Document:
    """Written out here, by no code that is under test."""
    docs = [event(stream, first + offset, row)[1] for offset, row in enumerate(rows)]
    doc: dict[str, Any] = {key: [one[key] for one in docs] for key in ("uid", "seq_num", "time")}
    for part in ("data", "timestamps"):
        doc[part] = {key: [one[part][key] for one in docs] for key in docs[0][part]}
    return "event_page", {**doc, "descriptor": f"{UID}-{stream}", "filled": {}}


def as_events(rows: dict[str, list[dict[str, Any]]]) -> list[Document]:
    return [event(name, n, row) for name, all_of in rows.items() for n, row in enumerate(all_of, 1)]


def as_pages(rows: dict[str, list[dict[str, Any]]], size: int) -> list[Document]:
    cuts = {name: range(0, len(all_of), size) for name, all_of in rows.items()}
    return [page(name, at + 1, rows[name][at : at + size]) for name, of in cuts.items() for at in of]


def run(rows: list[Document]) -> list[Document]:
    head = [("start", {"uid": UID, "time": 100.0, "plan_name": "made"})]
    other = [("datum", {"datum_id": "of a kind without rows", "seq_num": [9], "data": None})]
    return [*head, *(descriptor(name, keys) for name, keys in STREAMS.items()), *other, *rows]


class Doors:
    """What comes out of everything that takes documents, as plain lists of Python's own types."""

    @staticmethod
    def tables(documents: list[Document]) -> Any:
        return {
            name: {k: (c.dtype.kind, c.tolist()) for k, c in s.items()}
            for name, s in tables(documents).streams.items()
        }

    @staticmethod
    def columns(documents: list[Document]) -> Any:
        return {
            name: {k: (c.dtype.kind, c.tolist()) for k, c in columns_of(iter(documents), name).items()}
            for name in STREAMS
        }

    @staticmethod
    def verify(documents: list[Document]) -> Any:
        """Types follow the values of each document there, and 1 is compared to 1.0 as equal."""
        side, found = _Side(iter(documents), lambda *_: None), {}
        side.read(10**6)
        for name in STREAMS:
            found[name] = [
                [float(value) if isinstance(value, int) else value for value in row]
                for part in side.take(name, np.inf)
                for row in zip(
                    part.seq_num.tolist(), *(c.tolist() for c in part.columns.values()), strict=True
                )
            ]
        return found

    @staticmethod
    def arrow(documents: list[Document]) -> Any:
        schema = schema_of(descriptor("timeseries", KEYS)[1])[0]
        samples = [d for d in documents if d[1].get("descriptor") == f"{UID}-timeseries"]
        parts = [row for d in samples for row in table_of(Page(*d), schema).to_pylist()]
        assert repr(table_of(joined(samples), schema).to_pylist()) == repr(parts)
        return parts, sum(row_count(*d) for d in documents)

    @staticmethod
    def export(documents: list[Document]) -> Any:
        content = read_content(lambda: iter(documents))
        return content.sample_count, [row for part in content.sample_tables() for row in part.to_pylist()]

    @staticmethod
    def window(documents: list[Document]) -> Any:
        model = RunModel()
        for name, doc in documents:
            model.feed(name, doc)
        series, course = model.timeseries, [column.tolist() for column in model.course.columns]
        curves = [
            series.time.tolist(),
            *(series.values(name).tolist() for name in ("voltage_volt", "current_ampere")),
        ]
        capacities = [
            (c.cycle_count, c.charge_capacity_ah, c.discharge_capacity_ah) for c in model.cycles.results()
        ]
        halves = [(half.cycle_count, half.direction, half.start_net_ah) for half in model.half_cycles.all]
        newest = {name: dict(row) for name, row in model.last.items()}
        return (
            curves,
            course,
            capacities,
            halves,
            newest,
            list(model.alarm_rows),
            model.tripped,
            model.net_charge_ah,
        )

    @staticmethod
    def progress(documents: list[Document]) -> Any:
        progress = Progress()
        for name, doc in documents:
            progress.feed(name, doc)
        return {**vars(progress), "_streams": None}

    @staticmethod
    def replay(documents: list[Document]) -> Any:
        outline = read_outline(documents, threading.Event())
        shown = paced(documents, ReplayClock(None), threading.Event())
        return outline, [row for d in shown if (of := page_of(*d)) is not None for row in of.rows]

    @staticmethod
    def journal(documents: list[Document]) -> Any:
        with TemporaryDirectory() as place:
            directory = Path(place)
            lines = b"".join(encode(name, doc) for name, doc in documents if name != "datum")
            (directory / "journal-0000.jsonl").write_bytes(lines)
            reading = NewestReader(directory).read()
            newest = (
                reading.times_second,
                reading.volts,
                reading.current_ampere,
                reading.peak_ampere,
                reading.tripped,
            )
            ends = count_points(directory), last_step(directory)
            recovered = recover_run(directory, "ended")
            assert recovered is not None
            again = Doors.tables(list(follow(directory, live=False)))
            return newest, ends, recovered.num_events, again


DOORS = [name for name in vars(Doors) if not name.startswith("_")]


@pytest.mark.parametrize("door", DOORS)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=len(STREAMS), max_size=len(STREAMS)),
    size=st.integers(1, 60),
    seed=st.integers(0, 999),
)
@settings(deadline=None, max_examples=20)
def test_events_and_pages_of_the_same_rows_come_out_the_same(
    door: str, lengths: list[int], size: int, seed: int
) -> None:
    through, rows = getattr(Doors, door), streams(lengths, Random(seed))
    wanted, found = through(run(as_events(rows))), through(run(as_pages(rows, size)))
    assert repr(found) == repr(wanted)  # NaN is NaN, 1 is not 1.0


@given(
    lengths=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    size=st.integers(1, 5),
)
@settings(deadline=None, max_examples=50)
def test_columns_of_lists_of_any_length_come_out_row_by_row(lengths: list[int], size: int) -> None:
    rows = [{"trace": [float(n)] * length, "name": f"r{n}"} for n, length in enumerate(lengths)]
    events, pages = as_events({"other": rows}), as_pages({"other": rows}, size)
    mixed = [*events[:3], *([page("other", 4, rows[3:])] if rows[3:] else [])]
    for documents in (events, pages, mixed):
        assert [row for d in documents for row in Page(*d).rows] == rows
        assert joined(documents).rows == rows
        assert [len(v) for d in documents for v in rows_of(Page(*d)).columns["trace"]] == lengths
        side = _Side(iter([descriptor("other", {}), *documents]), lambda *_: None)
        side.read(10**6)
        taken = [list(v) for part in side.take("other", np.inf) for v in part.columns["trace"]]
        assert taken == [row["trace"] for row in rows]


def test_gathered_events_and_pages_are_the_same_where_a_column_is_missing() -> None:
    rows = [{"voltage_volt": float(n)} for n in range(40)]
    found = []
    for documents in (
        as_events({"other": rows}),
        as_pages({"other": rows}, 40),
        as_pages({"other": rows}, 3),
    ):
        gather = Gather(("voltage_volt", "current_ampere"), ("status",))
        for document in documents:
            gather.add(Page(*document))
        found.append({name: (c.dtype, repr(c.tolist())) for name, c in gather.take().items()})
    assert found[0] == found[1] == found[2]


def test_a_page_that_is_cut_is_a_page_of_its_rows() -> None:
    rows = [{"voltage_volt": float(n), "note": "x" * n} for n in range(5)]
    whole = page("other", 1, rows)
    name, cut = Page(*whole).between(1, 3)
    assert (name, cut) == page("other", 2, rows[1:3])
    assert Page(name, cut).highest_seq_num == 3
    assert Page(name, cut).last_time == 103.0
    assert len(whole[1]["seq_num"]) == 5


def test_null_stands_for_nan_in_numbers_of_any_kind_of_column() -> None:
    """Float columns as arrays and as Arrow, whole or in chunks; types stay, and all else is left alone."""
    for kind in (np.float64, np.float32):
        values = np.array([1.5, nan, np.inf], dtype=kind)
        for column in (values, pa.array(values), pa.chunked_array([values[:1], values[1:]])):
            found = null_for_nan(column)
            assert (found.to_pylist(), found.type) == ([1.5, None, np.inf], pa.array(values).type)
    assert null_for_nan(pa.array([1.5, None, nan])).to_pylist() == [1.5, None, None]
    words, counts = pa.array(["a", None]), np.array([1, 2])
    assert null_for_nan(words) is words
    assert null_for_nan(counts).to_pylist() == [1, 2]


def names_of_kinds(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        told = node.value if isinstance(node, ast.Constant) else None
        if told in ("event", "event_page") or (isinstance(told, bytes) and b'"event' in told):
            yield node.lineno  # type: ignore[attr-defined]


def test_no_other_module_asks_whether_rows_are_an_event_or_a_page() -> None:
    found = {}
    for path in SOURCE.rglob("*.py"):
        lines = list(names_of_kinds(ast.parse(path.read_text(encoding="utf-8"))))
        if lines:
            found[path.relative_to(SOURCE).as_posix()] = lines
    assert {name: lines for name, lines in found.items() if name not in MAY_NAME_THEM} == {}
    assert found.keys() == MAY_NAME_THEM.keys()  # an exception that is none any more goes
