"""What is told when a plan refuses its parameters: name, value, what is allowed, in which unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from labctl.errors import did_you_mean, with_decimal_point
from labctl.plan_parameters import GIVEN, PlanParameter, as_yaml, parameters_of

_SECOND_PER = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_LONGEST_VALUE = 60  # characters
_HOW_GIVEN = {
    "cycler": "gitt(cycler, cell=cell)",
    "cell": "cell=cell",
    "environment": "environment=environment",
    "metadata": "metadata={'operator': 'me'}",
}


def refusal(error: ValidationError, plan: Callable[..., Any] | None, assigned: str = "{} = {!r}") -> str:
    """One line for all that is wrong, e.g. "pulse_second = 0: must be a number from 1 to 86400 s (24 h)".

    Args:
        error: What the plan raised.
        plan: The plan; without it, what is allowed is told in pydantic's words.
        assigned: How name and value are written, as they were typed.
    """
    known = parameters_of(plan) if plan is not None else {}
    lines = [_line(fault, known, plan, assigned) for fault in error.errors(include_url=False)]
    return "; ".join(dict.fromkeys(lines))  # each alternative of a union has its own fault


def unknown_parameter(name: str, plan_name: str, known: Mapping[str, Any]) -> str:
    """What is said of a parameter that the plan does not have."""
    hint = did_you_mean(name, known)
    return f"{plan_name} has no parameter {name}; {hint}its parameters are {', '.join(known)}"


def _line(
    fault: Any, known: Mapping[str, PlanParameter], plan: Callable[..., Any] | None, assigned: str
) -> str:
    place, kind, value = fault["loc"], fault["type"], fault["input"]
    name = str(place[0] or "cycler") if place else "value"  # 0: the only one that goes without a name
    if kind.startswith("missing"):
        return f"{name} is missing: {_HOW_GIVEN.get(name, 'it has no default')}"
    if kind == "unexpected_keyword_argument" and plan is not None:
        return unknown_parameter(name, getattr(plan, "__name__", "the plan"), known)
    if kind == "unexpected_positional_argument":
        return "only the cycler goes without a name, as in gitt(cycler, cell=cell, pulses=3)"
    if name in GIVEN:
        return f"{name} cannot be {_short(value)}: {_HOW_GIVEN[name]}"
    index = f"[{place[1]}]" if len(place) > 1 and isinstance(place[1], int) else ""
    return f"{assigned.format(name + index, _Short(value))}: {_allowed(fault, known.get(name), bool(index))}"


def _allowed(fault: Any, parameter: PlanParameter | None, within: bool) -> str:
    said = fault["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if parameter is None:
        return said
    words = parameter.allowed_item if within else parameter.allowed
    if not words:
        return said
    example = f": {parameter.list_example}" if parameter.is_list and not within else ""
    return f"must be {words}{example}{_meant(fault['input'], parameter.unit)}"


def _meant(value: Any, unit: str | None) -> str:
    """A plain number in the right unit, where the text shows what was meant."""
    if not isinstance(value, str):
        return ""
    if point := with_decimal_point(value):
        return point
    timed = re.fullmatch(r"(\d+\.?\d*)\s*(s|min|h|d)", value)
    if timed and unit == "s":
        return f"; {value} is {float(timed[1]) * _SECOND_PER[timed[2]]:.12g}"
    return ""


class _Short:
    """A value that is written in few words, as YAML or as Python."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return _cut(as_yaml(self._value))

    def __repr__(self) -> str:
        return _short(self._value)


def _short(value: Any) -> str:
    return _cut(repr(value) if isinstance(value, str | int | float | list | tuple) else type(value).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
