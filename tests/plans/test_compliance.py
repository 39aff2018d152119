"""What every registered plan must be: documented with units, typed, safe in its defaults, run to its end."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, get_type_hints

import pytest

from labctl.commands.run import plan_parameters
from labctl.errors import LabctlError
from labctl.plan_parameters import GIVEN, arguments, sections
from labctl.plugins import load_plan, plan_names
from labctl.records.cell import load_cell
from labctl.records.station import load_station, packaged_config
from labctl.session import Session, open_session
from plans.executor.measurement import Measurement
from plans.measurement_plan import states_its_parameters
from plans.reference import PUBLISHED, example, example_files, example_settings, written
from tests.helpers import Documents

PLANS = plan_names()
SECTIONS = ("Args", "Returns", "References", "Example")
# the end of a parameter's name -> how its unit stands in the docstring
UNITS = {
    "_volt_per_hour": r"\(V/h\)",
    "_kelvin_per_minute": r"\(K/min\)",
    "_second": r"\(s\b",
    "_rms_volt": r"\(V rms\)",
    "_rms_ampere": r"\(A rms\)",
    "_volt": r"\(V\b",
    "_ampere": r"\(A\b",
    "_hertz": r"\(Hz\)",
    "_celsius": r"\(degrees Celsius\)",
    "_mpa": r"\(MPa\)",
    "_percent": r"\(percent\b",
    "rate": r"C-rate",
    "rates": r"C-rates",
}


def parameters(plan: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(plan).parameters)


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> Callable[..., Any]:
    loaded = load_plan(request.param)
    assert inspect.unwrap(loaded).__name__ == request.param
    return loaded


def test_there_are_plans() -> None:
    assert {"gitt", "rate_test", "cycle_life", "formation", "condition", "ici", "dcir"} <= set(PLANS)


def test_it_is_decorated_and_so_cannot_forget_its_parameters(plan: Callable[..., Any]) -> None:
    assert states_its_parameters(plan)


def test_it_is_documented_with_a_unit_for_every_number(plan: Callable[..., Any]) -> None:
    assert set(SECTIONS) <= set(sections(plan))
    assert len(sections(plan)[""].split()) > 10
    said = arguments(plan)
    assert list(said) == list(parameters(plan))
    for name in said:
        unit = next((u for end, u in UNITS.items() if name.endswith(end)), None)
        assert unit is None or re.search(unit, said[name]), f"{name} ({unit}): {said[name]}"


def test_it_is_typed_throughout(plan: Callable[..., Any]) -> None:
    hints = get_type_hints(inspect.unwrap(plan))
    assert hints.pop("return") is Measurement
    assert set(hints) == set(parameters(plan))
    assert Any not in hints.values()
    assert object not in hints.values()


def test_metadata_comes_last_and_all_but_the_cycler_go_by_name(plan: Callable[..., Any]) -> None:
    first, *others = parameters(plan).values()
    assert first.name == "cycler"
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}
    assert [parameter.name for parameter in others[-2:]] == ["environment", "metadata"]
    assert [others[0].name, others[0].default] == ["cell", inspect.Parameter.empty]


def test_its_defaults_cannot_change(plan: Callable[..., Any]) -> None:
    for parameter in parameters(plan).values():
        if parameter.name not in ("cycler", "cell"):
            hash(parameter.default)  # lists, sets and dicts have none
            assert isinstance(parameter.default, str | float | int | tuple | None), parameter.name


def test_its_defaults_can_be_given_on_the_command_line(plan: Callable[..., Any], idle: Session) -> None:
    name = inspect.unwrap(plan).__name__
    defaults = {p.name: p.default for p in parameters(plan).values() if p.name not in GIVEN}
    settings = [f"{key}={json.dumps(value)}" for key, value in defaults.items()]
    read = plan_parameters(plan, name, settings)
    assert set(read) == set(defaults)
    assert outcome(plan, idle, **read) == outcome(plan, idle)


def test_its_start_document_holds_what_it_was_asked_for_parameter_by_parameter(
    plan: Callable[..., Any], sessions: Callable[..., Session]
) -> None:
    name = inspect.unwrap(plan).__name__
    session = sessions(**example_files(plan, name))
    given = {"cell": session.cell, "environment": session.environment, "metadata": {"operator": "eva"}}
    asked = plan_parameters(plan, name, example_settings(plan, name))
    start = plan(session.cycler, **given, **asked).metadata
    defaults = {p.name: p.default for p in parameters(plan).values() if p.name not in GIVEN}
    expected = json.loads(json.dumps({**defaults, **asked}))  # in which a tuple is a list
    assert start["plan_parameters"] == expected
    assert set(expected) == set(parameters(plan)) - set(GIVEN)
    assert start["operator"] == "eva"


def outcome(plan: Callable[..., Any], session: Session, **given: Any) -> Any:
    """The protocol, or the words in which this station refuses it."""
    try:
        return plan(session.cycler, cell=session.cell, **given).protocol
    except LabctlError as error:
        return str(error)


# ---- the examples, run
@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Session]]:
    """Sessions by the packaged files of station and cell, opened when first asked for."""
    opened, directory = dict[tuple[str, str], Session](), tmp_path_factory.mktemp("examples")
    with ExitStack() as stack:

        def session(station: str = "sim.yaml", cell: str = "cells/lic-ncm.yaml") -> Session:
            if (station, cell) not in opened:
                records = load_station(packaged_config(station)), load_cell(packaged_config(cell))
                opened[station, cell] = stack.enter_context(
                    open_session(*records, directory, fresh_bench=True)
                )
            return opened[station, cell]

        yield session


def test_its_example_runs_says_what_it_is_and_leaves_an_open_circuit(
    plan: Callable[..., Any], sessions: Callable[..., Session], documents: Documents
) -> None:
    name, source = inspect.unwrap(plan).__name__, example(plan)
    session = sessions(**example_files(plan, name))
    session.bench.mount(session.cell, stoichiometry=0.6)
    before = len(session.bench.record())
    namespace = {"cycler": session.cycler, "cell": session.cell, "environment": session.environment}
    token = session.RE.subscribe(documents)
    exec(source, {"RE": session.RE, name: plan, **namespace})
    session.RE.unsubscribe(token)
    starts = documents.of("start")
    assert [start["plan_name"] for start in starts] == [name]
    assert_json_safe(starts[0])
    assert documents.stop["exit_status"] == "success"
    assert documents.stream("steps")["step_type"]
    assert not session.bench.cell_state()["circuit_closed"]
    circuit = [entry["closed"] for entry in session.bench.record()[before:] if entry["kind"] == "circuit"]
    assert True in circuit  # it did close it
    assert circuit[-1] is False
    # the command beside it in the reference asks for the same
    asked = plan_parameters(plan, name, example_settings(plan, name))
    again = plan(session.cycler, cell=session.cell, environment=session.environment, **asked)
    assert again.metadata["protocol"] == starts[0]["protocol"]


def test_the_published_reference_is_that_of_the_code() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == written(), "write it anew: python -m plans.reference"


def assert_json_safe(value: Any, where: str = "start") -> None:
    """Numbers that are numbers, keys that are identifiers, nothing that JSON does not know."""
    if isinstance(value, dict):
        for key, inner in value.items():
            assert isinstance(key, str), where
            assert key.isidentifier(), f"{where}: {key!r}"
            assert_json_safe(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            assert_json_safe(inner, f"{where}[{index}]")
    else:
        assert value is None or isinstance(value, str | int | float), f"{where}: {type(value)}"
        assert not isinstance(value, float) or math.isfinite(value), where
