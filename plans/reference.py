"""Writes what the plans' docstrings say to docs/reference: `python -m plans.reference`."""

from __future__ import annotations

import ast
import doctest
import inspect
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labctl.plan_parameters import GIVEN, as_yaml, parameters_of, sections
from labctl.plugins import load_plan, plan_names

PUBLISHED = Path(__file__).parents[1] / "docs" / "reference" / "plans.md"
CELLS = {  # what the examples of some plans need in place of the default cell
    "dc_polarization": "cells/electron-path-bare.yaml",
    "tortuosity": "cells/ion-path-lic.yaml",
}
_HEAD = """\
# Plans

Written from the plans' docstrings by `python -m plans.reference`.

A plan checks its parameters and gives a measurement: nothing moves until the RunEngine has it. In the
console: `RE(rate_test(cycler, cell=cell, cycles=1))`; from a shell:
`labctl run rate_test --station FILE --cell FILE --set cycles=1`, with `--dry-run` to learn only what it would
take. Values after `--set` are YAML: `null` is Python's None, `[0.5C, 1C]` a list.

Every plan also takes `environment` (temperature and stack pressure, recorded beside; the command line gives
the station's) and `metadata` (further keys of the start document). Rates are multiples of the cell record's
nominal capacity per hour; voltages are cell voltages. The start document contains the parameters as
`plan_parameters`, and the resulting protocol.
"""


def example(plan: Callable[..., Any]) -> str:
    """The source of the docstring's example."""
    found = doctest.DocTestParser().get_examples(inspect.cleandoc(plan.__doc__ or ""))
    return "".join(each.source for each in found)


def example_settings(plan: Callable[..., Any], name: str) -> list[str]:
    """What the example asks for, as the values of `--set` on the command line."""
    calls = [node for node in ast.walk(ast.parse(example(plan))) if isinstance(node, ast.Call)]
    call = next(node for node in calls if isinstance(node.func, ast.Name) and node.func.id == name)
    keywords = [word for word in call.keywords if word.arg not in GIVEN]
    return [f"{word.arg}={as_yaml(ast.literal_eval(word.value))}" for word in keywords]


def example_files(plan: Callable[..., Any], name: str) -> dict[str, str]:
    """Station and cell that the example needs, as packaged with labctl, where the defaults do not do."""
    cell = {"cell": CELLS[name]} if name in CELLS else {}
    with_press = cell or "environment=environment" in example(plan)
    return {**({"station": "sim-press.yaml"} if with_press else {}), **cell}


def written() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name) for name in plan_names())])


def _section(name: str) -> str:
    plan = load_plan(name)
    told = sections(plan)
    files = (f"--{option} config/{file}" for option, file in example_files(plan, name).items())
    settings = (f"--set {shlex.quote(setting)}" for setting in example_settings(plan, name))
    command = " ".join(("labctl run", name, *files, *settings))
    return "\n".join(
        (
            f"## {name}\n",
            told[""],
            "\n| parameter | default | allowed | |\n|---|---|---|---|",
            *_rows(plan),
            f"\n```\n{command}\n```\n\n```python\n{example(plan)}```\n",
            f"Reference: {' '.join(told['References'].split())}\n",
        )
    )


def _rows(plan: Callable[..., Any]) -> Iterator[str]:
    for name, parameter in parameters_of(plan).items():
        said = parameter.said.replace("|", "\\|")  # in a table it would end the cell
        yield f"| `{name}` | `{as_yaml(parameter.default)}` | {parameter.allowed} | {said} |"


def main() -> None:
    """Write the page where it is published."""
    PUBLISHED.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
