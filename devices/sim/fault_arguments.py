"""Arguments of faults, checked before anything is armed: names, kinds and bounds.

A parameter of the function that takes them says by its annotation what it allows:
`Annotated[float, Within(0, 10)]`, `Annotated[str, OneOf("S", "U")]`, or its type alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, get_args, get_origin

_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, both allowed."""

    low: float
    high: float

    def allows(self, value: Any) -> bool:
        """Whether `value` is among them."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        """The end of a sentence."""
        return f" from {self.low:g} to {self.high:g}"


class OneOf:
    """Some values, and no others."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def allows(self, value: Any) -> bool:
        """Whether `value` is one of them."""
        return value in self._values

    def __str__(self) -> str:
        """The end of a sentence."""
        return f", one of {', '.join(map(str, self._values))}"


def check_arguments(fault: str, takes: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse `arguments` that `takes` cannot have; it is not called. A parameter `kind` is none of a fault.

    Raises:
        ValueError: names the fault, the argument, its value and what is allowed.
    """
    parameters = dict(inspect.signature(takes, eval_str=True).parameters)
    parameters.pop("kind", None)
    unknown = sorted(arguments.keys() - parameters.keys())
    if unknown:
        names = ", ".join(sorted(parameters)) or "none, it takes no arguments"
        raise ValueError(f"{fault}: argument {unknown[0]!r} is unknown: must be among {names}")
    for name, parameter in parameters.items():
        kind, bounds = _allowed(parameter.annotation)
        allowed = f"must be {_KINDS[kind]}{''.join(map(str, bounds))}"
        if name not in arguments:
            if parameter.default is parameter.empty:
                raise ValueError(f"{fault}: argument {name!r} is missing: {allowed}")
            continue
        value = arguments[name]
        if not (_is_of(kind, value) and all(bound.allows(value) for bound in bounds)):
            raise ValueError(f"{fault}: {name} = {value!r}: {allowed}")


def _allowed(annotation: Any) -> tuple[type, tuple[Any, ...]]:
    """The type of a parameter, and its bounds."""
    if get_origin(annotation) is None:
        return annotation, ()
    kind, *bounds = get_args(annotation)
    return kind, tuple(bounds)


def _is_of(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
