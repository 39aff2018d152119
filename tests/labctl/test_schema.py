"""The streams and their columns are what they are, and their names are written down only in labctl.schema."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.schema import (
    COLUMNS,
    IMPEDANCE,
    STREAMS,
    TIMESERIES,
    ColumnSpec,
    Row,
    Stream,
    impedance_row,
    sample_row,
)

ROOT = Path(__file__).parents[2]

# What stands in the journals and stores of laboratories, in the order of the columns: a change here is a
# change of the format, which older runs do not follow.
WRITTEN = {
    "timeseries": [
        ("test_time_second", "float", "s"),
        ("step_time_second", "float", "s"),
        ("voltage_volt", "float", "V"),
        ("current_ampere", "float", "A"),
        ("step_count", "integer", "1"),
        ("cycle_count", "integer", "1"),
        ("step_type", "string", ""),
        ("status", "integer", "1"),
    ],
    "impedance": [
        ("test_time_second", "float", "s"),
        ("frequency_hertz", "float", "Hz"),
        ("real_impedance_ohm", "float", "ohm"),
        ("imaginary_impedance_ohm", "float", "ohm"),
        ("voltage_volt", "float", "V"),
        ("current_ampere", "float", "A"),
        ("amplitude_rms", "float", ""),
        ("amplitude_unit", "string", ""),
        ("spectrum_count", "integer", "1"),
        ("step_count", "integer", "1"),
        ("cycle_count", "integer", "1"),
        ("status", "integer", "1"),
    ],
    "environment": [
        ("test_time_second", "float", "s"),
        ("temperature_t1_celsius", "float", "degC"),
        ("temperature_setpoint_celsius", "float", "degC"),
        ("applied_pressure_pa", "float", "Pa"),
        ("pressure_setpoint_pa", "float", "Pa"),
        ("surface_pressure_pa", "float", "Pa"),
    ],
    "steps": [
        ("step_count", "integer", "1"),
        ("protocol_step", "string", ""),
        ("step_type", "string", ""),
        ("cycle_count", "integer", "1"),
        ("start_test_time_second", "float", "s"),
        ("end_test_time_second", "float", "s"),
        ("end_reason", "string", ""),
        ("step_charging_capacity_ah", "float", "A.h"),
        ("step_discharging_capacity_ah", "float", "A.h"),
        ("end_voltage_volt", "float", "V"),
        ("end_current_ampere", "float", "A"),
    ],
    "alarms": [
        ("test_time_second", "float", "s"),
        ("kind", "string", ""),
        ("source", "string", ""),
        ("value", "float", ""),
        ("limit", "float", ""),
        ("action", "string", ""),
    ],
}
DTYPES = {"float": ("number", "<f8"), "integer": ("integer", "<i8"), "string": ("string", "<U64")}

# Words of the language, which mean something else nearly everywhere. Names of streams among them count where
# a stream is asked for by name.
TOO_GENERAL = {"kind", "source", "value", "limit", "action"}
ASKED_BY_NAME = {"impedance", "environment", "steps", "alarms"}

# Where a text is the name of something else that happens to be called alike: file, text, what it is.
ELSEWHERE = [
    ("devices/eurotherm/driver.py", "status", "a signal of the controller, in no stream"),
    ("devices/keithley/driver.py", "voltage_volt", "the limit that was read back"),
    ("devices/keithley/driver.py", "current_ampere", "the limit that was read back"),
    ("devices/core/program_checks.py", "voltage_volt", "a field of a technique"),
    ("devices/palmsens/methodscript.py", "status", "a group of a regular expression"),
    ("devices/sim/bench/station.py", "voltage_volt", "an answer of the bench, which knows of no stream"),
    ("devices/sim/bench/station.py", "current_ampere", "an answer of the bench, which knows of no stream"),
    ("labctl/analysis/impedance/complex_fit.py", "frequency_hertz", "an argument, in an error"),
    ("labctl/analysis/impedance/kramers_kronig.py", "frequency_hertz", "an argument, in an error"),
    ("labctl/cli.py", "status", "a command"),
    ("labctl/importers/rows.py", "cycle_count", "an attribute of FileRows"),
    ("labctl/importers/rows.py", "status", "an attribute of FileRows"),
    ("labctl/importers/rows.py", "step_count", "an attribute of FileRows"),
    ("labctl/importers/rows.py", "step_time_second", "an attribute of FileRows"),
    ("labctl/importers/rows.py", "step_type", "an attribute of FileRows"),
    ("labctl/live/model/spectra.py", "frequency_hertz", "an attribute of Spectrum"),
    ("labctl/runs/index.py", "status", "the status of a run"),
    ("labctl/runs/query.py", "status", "the status of a run"),
    ("plans/executor/dry_run.py", "current_ampere", "a field of a technique"),
    ("plans/executor/dry_run.py", "voltage_volt", "a field of a technique"),
    ("plans/gitt.py", "current_ampere", "a field of a technique"),
    ("plans/protocol/made_for.py", "current_ampere", "a field of a technique"),
    ("plans/protocol/rated_steps.py", "current_ampere", "a field of a technique"),
    ("plans/protocol/unicycler/reader.py", "voltage_volt", "a field of a technique"),
    ("plans/protocol/unicycler/writer.py", "cycle_count", "a field of aurora-unicycler's form"),
]


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every name of a column or stream that is typed as text; docstrings do not count."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    asked = {id(word) for node in ast.walk(tree) for word in _asked_for(node)}
    names = (COLUMNS.keys() - TOO_GENERAL) | (STREAMS.keys() - ASKED_BY_NAME)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in said:
            continue
        if node.value in names or (node.value in ASKED_BY_NAME and id(node) in asked):
            yield node.lineno, node.value


def _asked_for(node: ast.AST) -> list[ast.expr]:
    """What names a stream in this node: `x.stream("steps")`, `x.streams["steps"]`, `stream == "steps"`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="stream"), args=args):
            return args
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Attribute(attr="streams")), args=args):
            return args
        case ast.Subscript(value=ast.Attribute(attr="streams") | ast.Name(id="streams"), slice=word):
            return [word]
        case ast.Compare(left=ast.Name(id="stream"), comparators=words):
            return words
    return []


def typed_names() -> list[tuple[str, int, str]]:
    """File, line and text of all of them in the packages, but for the schema itself."""
    paths = sorted(
        path for package in ("labctl", "devices", "plans") for path in (ROOT / package).rglob("*.py")
    )
    files = {path.relative_to(ROOT).as_posix(): path for path in paths}
    del files["labctl/schema.py"]
    return [(file, *found) for file, path in files.items() for found in names_in(path.read_text("utf-8"))]


def test_the_streams_are_what_older_runs_hold() -> None:
    found = {name: [(c.name, c.kind, c.units) for c in stream] for name, stream in STREAMS.items()}
    assert found == WRITTEN


@pytest.mark.parametrize(("row", "stream"), [(sample_row, TIMESERIES), (impedance_row, IMPEDANCE)])
def test_a_row_has_a_value_for_each_column_in_their_order(row: Callable[..., Row], stream: Stream) -> None:
    assert tuple(inspect.signature(row).parameters) == stream.names
    assert row(**{name: name for name in reversed(stream.names)}) == stream.names


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_every_column_says_what_it_holds_and_is_in_a_stream(column: ColumnSpec) -> None:
    assert column.description
    assert any(column in stream.columns for stream in STREAMS.values())
    key = column.data_key("somewhere")
    assert (key["dtype"], key["dtype_numpy"], key["units"]) == (*DTYPES[column.kind], column.units)


def test_names_of_columns_and_streams_are_typed_nowhere_else() -> None:
    allowed = {(file, text) for file, text, _ in ELSEWHERE}
    typed = typed_names()
    wrong = [f"{file}:{line}: {text!r}" for file, line, text in typed if (file, text) not in allowed]
    assert not wrong, "take the name from labctl.schema: " + ", ".join(wrong)
    assert allowed <= {(file, text) for file, _, text in typed}, "an exception that nothing needs any more"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('row["voltage_volt"]', ["voltage_volt"]),
        ("f\"ended by {row['end_reason']}\"", ["end_reason"]),
        ('samples = run.stream("timeseries")', ["timeseries"]),
        ('rows = run.stream("steps")', ["steps"]),
        ('rows = content.streams.get("impedance", {})', ["impedance"]),
        ('rows = streams["environment"]', ["environment"]),
        ('if stream == "alarms": ...', ["alarms"]),
        ('def f():\n    """voltage_volt"""', []),
        ('"voltage_volt"', []),
        ('steps = "steps"', []),
        ('row[VOLTAGE], row["kind"], "the voltage_volt of a row"', []),
    ],
)
def test_what_counts_as_a_typed_name(source: str, names: list[str]) -> None:
    assert [text for _, text in names_in(source)] == names
