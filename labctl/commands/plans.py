"""`labctl plans` and `labctl protocol`: what can be run, and protocols in files."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any

from labctl.commands.chosen import write
from labctl.errors import ConfigurationError
from labctl.plugins import load_executor, load_plan, plan_headlines

_LONGEST_LINE = 200  # where there is no terminal
_TEXT_WIDTH, _DEFAULT_WIDTH, _INDENT = 80, 34, "      "


def show_plans(name: str | None) -> int:
    """One line for each plan, or all about one; the exit code."""
    if name is None:
        headlines = plan_headlines()
        width = max(map(len, headlines), default=0)
        terminal = shutil.get_terminal_size((_LONGEST_LINE, 0)).columns
        for plan, headline in headlines.items():
            later = " " * (width + 2)
            write(textwrap.fill(f"{plan:<{width}}  {headline}", terminal, subsequent_indent=later))
        write("\nlabctl plans NAME explains one; labctl run NAME --dry-run estimates it")
        return 0
    for line in _explained(name, load_plan(name)):
        write(line)
    return 0


def convert_protocol(source: Path, target: Path, form: str) -> int:
    """Read a protocol file and write it in a form; the exit code.

    Raises:
        ConfigurationError: not a protocol, not a form, not to be expressed, or the target is there.
    """
    if form not in ("labctl", "unicycler"):
        raise ConfigurationError("labctl protocol", "--form", form, "labctl or unicycler")
    load_executor("save_protocol")(load_executor("load_protocol")(source), target, form)
    write(f"{target} written")
    return 0


def _explained(name: str, plan: Callable[..., Any]) -> Iterator[str]:
    """What the plan is for; its parameters with default, range and unit; sources and an example."""
    from labctl.plan_parameters import as_yaml, parameters_of, sections

    told = sections(plan)
    yield f"{name}: {told['']}"
    yield f"\nParameters (labctl run {name} --set NAME=VALUE):"
    parameters = parameters_of(plan)
    for parameter in parameters.values():
        required = parameter.default is Parameter.empty
        default = "to be given" if required else as_yaml(parameter.default)
        yield f"  {f'{parameter.name} = {default}':<{_DEFAULT_WIDTH}}  {parameter.allowed}".rstrip()
        said = re.sub(r"\bNone\b", "null", parameter.said)
        yield textwrap.fill(said, _TEXT_WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    if any(parameter.may_be_null for parameter in parameters.values()):
        yield "\nnull: not set. The cell record or other parameters decide, or there is no such limit."
    for section in ("References", "Example"):
        if section in told:
            yield f"\n{section}:\n{textwrap.indent(told[section].strip(), '  ')}"
