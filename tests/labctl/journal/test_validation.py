"""The compiled validators against event-model's own: same documents accepted, same documents refused."""

from __future__ import annotations

import copy
from collections import ChainMap, OrderedDict
from pathlib import Path
from typing import Any

import event_model
import jsonschema
import numpy as np
import pytest
from bluesky import Msg, RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.core.columns import row_device
from devices.core.flyer import DirectCurrentFlyer
from labctl.journal.validation import CompiledValidator, install_compiled_validators
from labctl.records.cell import Cell, load_cell
from labctl.records.station import load_station, packaged_config
from labctl.schema import STEPS
from labctl.session import open_session
from tests.helpers import Documents

# stock validators, whatever this process has done to event-model's own
STOCK = {
    kind: getattr(validator, "_stock", validator) for kind, validator in event_model.schema_validators.items()
}
COMPILED = {kind: CompiledValidator(stock) for kind, stock in STOCK.items()}


def real_documents() -> list[tuple[str, dict[str, Any]]]:
    """One document of each kind that a run emits, with a cell record and a NaN in them."""
    documents, row = Documents(), row_device(STEPS)
    values: dict[str, Any] = {"float": float("nan"), "integer": 1, "string": "rest"}
    row.fill({spec.name: values[spec.kind] for spec in STEPS})
    flyer = DirectCurrentFlyer("", name="cycler_dc")
    for n in range(3):
        flyer.rows.append((0.1 * n, 0.1 * n, 3.2, float("nan"), 1, 0, "cc_charge", 0), 1.7e9)

    def plan() -> MsgGenerator[None]:
        yield from bps.declare_stream(flyer, name="timeseries", collect=True)  # type: ignore[arg-type]
        yield from bps.collect(flyer, name="timeseries")  # type: ignore[arg-type]
        yield Msg("create", None, name="steps")
        yield Msg("read", row)
        yield Msg("save")

    cell = load_cell(packaged_config("cells/lic-ncm.yaml")).model_dump(mode="json")
    engine = RunEngine({}, context_managers=[])
    engine(bpp.run_wrapper(plan(), md={"cell": cell, "protocol": {"steps": [1, 2.0, None]}}), documents)
    found = dict(documents.all)
    assert set(found) == {"start", "descriptor", "event", "event_page", "stop"}
    return list(found.items())


REAL = real_documents()
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
python_only = st.sampled_from(
    [
        np.float64(1.5), np.int64(1), np.bool_(True), np.str_("x"), np.nan, np.array([1.0, 2.0]),
        np.array(["a"]), Path("/a"), ChainMap({"a": 1}), OrderedDict(a=1), (1, 2), {1, 2},
        b"bytes", {1: 2}, 2**70, -0.0, object(), "\ud800", "a\n", "|S3", "<f8\n", "STREAM:", "success",
    ]
)  # fmt: skip
odd_keys = st.sampled_from(["", "a.b", "a/b", "a\n", "uid", "time", "é", "data_type", "hints"])
keys = odd_keys | st.text(max_size=4)
values = st.recursive(
    plain | python_only,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, item in inside for p in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """A real document in which one to three things were replaced, left out or added."""
    name, original = draw(st.sampled_from(REAL))
    document = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(["replace", "leave out", "add"]))
        target = parent[path[-1]] if path else document
        if what == "add" and isinstance(target, dict):
            target[draw(keys)] = copy.deepcopy(draw(values))
        elif what == "add" and isinstance(target, list):
            target.append(copy.deepcopy(draw(values)))
        elif path and what == "leave out":
            del parent[path[-1]]
        elif path:
            parent[path[-1]] = copy.deepcopy(draw(values))
    return name, document


def verdict(validator: Any, document: Any) -> tuple[type[BaseException] | None, str]:
    """What validation raises, and its words."""
    try:
        validator.validate(document)
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error), str(error)
    return None, ""


@given(mutated())
@settings(max_examples=500, deadline=None)
def test_both_accept_and_refuse_the_same_documents(case: tuple[str, Any]) -> None:
    name, document = case
    kind = event_model.DocumentNames[name]
    of_stock = verdict(STOCK[kind], document)
    assert verdict(COMPILED[kind], document) == of_stock
    if COMPILED[kind].accepts(document):
        assert of_stock == (None, "")


@pytest.mark.parametrize(("name", "document"), REAL, ids=[name for name, _ in REAL])
def test_what_a_run_emits_never_needs_the_slow_validator(name: str, document: dict[str, Any]) -> None:
    assert COMPILED[event_model.DocumentNames[name]].accepts(document)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("event", "seq_num", 1.5),
        ("event_page", "time", "now"),
        ("start", "a.b", 1),
        ("stop", "exit_status", "ok"),
    ],
)
def test_a_refusal_is_the_stock_one(name: str, field: str, value: Any) -> None:
    document = {**dict(REAL)[name], field: value}
    with pytest.raises(jsonschema.ValidationError) as refusal:
        COMPILED[event_model.DocumentNames[name]].validate(document)
    assert refusal.value.validator in {"type", "unevaluatedProperties", "additionalProperties", "enum"}


@pytest.mark.parametrize("time", [float("nan"), np.float64(1.0), np.float32(1.0)])
def test_what_is_not_plain_json_is_left_to_the_stock_validator(time: Any) -> None:
    document = {**dict(REAL)["event"], "time": time}
    kind = event_model.DocumentNames.event
    assert not COMPILED[kind].accepts(document)
    assert verdict(COMPILED[kind], document) == verdict(STOCK[kind], document)


def test_a_session_installs_them_once(tmp_path: Path, coated_cell: Cell) -> None:
    station = load_station(packaged_config("sim.yaml"))
    for _ in range(2):
        with open_session(station, coated_cell, tmp_path, connect=False) as session:
            validators = list(event_model.schema_validators.values())
            assert all(type(validator) is CompiledValidator for validator in validators)
            assert all(type(validator._stock) is not CompiledValidator for validator in validators)
            with pytest.raises(jsonschema.ValidationError):
                session.RE(bps.open_run({"a.b": 1}))
    before = dict(event_model.schema_validators)
    install_compiled_validators()
    assert event_model.schema_validators == before
