"""Parameters of plans in words: what is allowed, what is refused and how, and what was meant."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import ValidationError

from labctl.cli import main
from labctl.commands.plans import show_plans
from labctl.commands.run import plan_parameters
from labctl.errors import ConfigurationError
from labctl.plan_parameters import parameters_of, refusal
from labctl.plugins import load_plan, plan_headlines, plan_names
from labctl.records.cell import Cell


@pytest.mark.parametrize(
    ("plan", "name", "allowed"),
    [
        ("gitt", "pulse_second", "a number from 1 to 86400 s (24 h)"),
        ("gitt", "pulses", "a whole number from 1 to 10000, or null"),
        ("gitt", "rate", "a C-rate such as C/20, 0.5C or 1C"),
        ("gitt", "direction", "charge or discharge or both"),
        ("rate_test", "rest_second", "a number above 0, up to 864000 s (10 d)"),
        ("rate_test", "rates", "a list of 1 to 50, each a C-rate such as C/20, 0.5C or 1C"),
        ("rate_test", "charge_rate", "symmetric or a C-rate such as C/20, 0.5C or 1C"),
        ("dcir", "soc_percent", "a list of up to 100, each a number from 0 to 100 percent"),
        ("cycle_life", "check_up_spectrum", "true or false"),
        ("cycle_life", "stop_retention", "a number above 0, below 1, or null"),
        ("condition", "rest_drift_volt_per_hour", "a number above 0, up to 1 V/h, or null"),
    ],
)
def test_what_is_allowed_is_told_with_its_unit(plan: str, name: str, allowed: str) -> None:
    assert parameters_of(load_plan(plan))[name].allowed == allowed


@pytest.mark.parametrize("name", plan_names())
def test_every_parameter_says_what_is_allowed_and_lists_show_how_they_are_written(name: str) -> None:
    for parameter in parameters_of(load_plan(name)).values():
        assert parameter.allowed, parameter.name
        assert parameter.said, parameter.name
        if parameter.is_list:
            assert any(figure.isdigit() for figure in parameter.list_example), parameter.list_example


def refused(cell: Cell, plan_name: str, assigned: str = "--set {}={}", **given: Any) -> str:
    plan = load_plan(plan_name)
    with pytest.raises(ValidationError) as error:
        plan(**{"cell": cell, **given})
    return refusal(error.value, plan, assigned)


@pytest.mark.parametrize(
    ("plan", "given", "said"),
    [
        (
            "rate_test",
            {"rest_second": "inf"},
            "--set rest_second=inf: must be a number above 0, up to 864000 s (10 d)",
        ),
        ("gitt", {"pulse_second": "10min"}, "must be a number from 1 to 86400 s (24 h); 10min is 600"),
        ("gitt", {"pulse_second": "600,5"}, "with a decimal point: 600.5"),
        ("gitt", {"direction": "up"}, "--set direction=up: must be charge or discharge or both"),
        ("rate_test", {"rates": "1C"}, "--set rates=1C: must be a list of 1 to 50, each a C-rate"),
        ("rate_test", {"rates": ["0.5C", "fast"]}, "--set rates[1]=fast: must be a C-rate such as C/20"),
        ("cycle_life", {"charge_rate": "x"}, "--set charge_rate=x: must be symmetric or a C-rate"),
    ],
)
def test_a_refusal_tells_value_range_and_unit(
    coated_cell: Cell, plan: str, given: dict[str, Any], said: str
) -> None:
    assert said in refused(coated_cell, plan, **given)


def test_one_wrong_value_is_told_once_though_each_alternative_refuses_it(coated_cell: Cell) -> None:
    assert refused(coated_cell, "cycle_life", charge_rate="x").count("charge_rate=x") == 1


def test_what_is_missing_is_told_as_it_is_typed() -> None:
    plan = load_plan("gitt")
    with pytest.raises(ValidationError) as error:
        plan(pulses=1)
    said = refusal(error.value, plan)
    assert "cell is missing: cell=cell" in said
    assert "cycler is missing: gitt(cycler, cell=cell)" in said
    assert "ArgsKwargs" not in said


def test_a_mistyped_name_in_python_is_asked_about(coated_cell: Cell) -> None:
    assert "did you mean pulses or pulse_second?" in refused(coated_cell, "gitt", pulse=600)


def test_one_value_stands_for_a_list_of_one() -> None:
    assert plan_parameters(load_plan("dcir"), "dcir", ["soc_percent=50"]) == {"soc_percent": [50]}
    assert plan_parameters(load_plan("rate_test"), "rate_test", ["rates=1C"]) == {"rates": ["1C"]}


@pytest.mark.parametrize(
    ("plan", "setting", "said"),
    [
        ("rate_test", "rates=0.5C,1C", "--set rates=[0.5C,1C]"),
        ("gitt", "pulse=600", "did you mean pulses or pulse_second?"),
        ("gitt", "pulses", "write NAME=VALUE"),
        ("gitt", "pulses=[", "cannot be read; allowed is a whole number from 1 to 10000, or null"),
    ],
)
def test_a_setting_that_cannot_be_taken_is_told_with_what_to_type(plan: str, setting: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        plan_parameters(load_plan(plan), plan, [setting])
    assert said in str(error.value)
    assert f"--set {setting}" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "begin", "words"),
    [
        (["run", "gitts", "--dry-run"], "labctl: plan = 'gitts'", "did you mean gitt?"),
        (["run", "gitt", "--dry-run", "--set", "pulse=1"], "labctl run gitt: --set", "did you mean"),
        (["plans", "rates_test"], "labctl: plan = 'rates_test'", "did you mean rate_test?"),
    ],
)
def test_a_refusal_on_the_command_line_names_the_program_once(
    arguments: list[str],
    begin: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["labctl", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(begin)
    assert said.count("labctl") == 1
    assert words in said


def test_the_list_of_plans_has_the_first_line_of_each_docstring() -> None:
    assert plan_headlines() == {
        name: (inspect.getdoc(load_plan(name)) or "").partition("\n")[0] for name in plan_names()
    }


def test_a_plan_is_explained_with_defaults_ranges_and_what_null_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert show_plans("gitt") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "pulse_second = 600 a number from 1 to 86400 s (24 h) length of a pulse (s)." in told
    assert "pulses = null a whole number from 1 to 10000, or null pulses per direction; null goes on" in told
    assert "Weppner" in told
    assert "None" not in told
