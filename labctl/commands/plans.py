"""`labctl plans` and `labctl protocol`: what can be run, and protocols in files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labctl.commands.common import write
from labctl.errors import ConfigurationError
from labctl.plugins import load_executor, load_plan, plan_names

GIVEN_BY_LABCTL = {"cycler", "cell", "environment", "metadata"}


def show_plans(name: str | None) -> int:
    """One line for each plan, or all about one; the exit code."""
    if name is None:
        width = max(len(plan) for plan in plan_names())
        for plan in plan_names():
            write(f"{plan:<{width}}  {_first_line(load_plan(plan))}")
        write("\nlabctl plans NAME explains one; labctl run NAME --dry-run tells what it takes")
        return 0
    plan = load_plan(name)
    write(f"{name}: {inspect.getdoc(plan) or ''}\n")
    write("On the command line:")
    for parameter in inspect.signature(plan).parameters.values():
        if parameter.name not in GIVEN_BY_LABCTL:
            write(f"  --set {parameter.name}={_default(parameter)}")
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


def _first_line(plan: Callable[..., Any]) -> str:
    return (inspect.getdoc(plan) or "").split("\n", 1)[0]


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(to be given)"
    if parameter.default is None:
        return "null"
    text = str(list(parameter.default)) if isinstance(parameter.default, tuple) else str(parameter.default)
    return re.sub(r"['\"]", "", text)
