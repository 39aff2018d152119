"""The parameters of a plan in words: what each means, its default, what is allowed and in which unit."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from labctl.errors import did_you_mean, with_decimal_point
from labctl.units import duration_text, unit_of

GIVEN = ("cycler", "cell", "environment", "metadata")  # what the command line and the session bring
_RATE = "a C-rate such as C/20, 0.5C or 1C"
_LIST_EXAMPLES = {
    _RATE: "[0.5C, 1C]",
    "percent": "[80, 50]",
    "degrees Celsius": "[25, 60]",
    "MPa": "[50, 100]",
    "V": "[3.2, 3.4]",
}
_WORTH_TELLING_SECOND = 3600.0  # longer limits are told in hours or days as well
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class PlanParameter:
    """One parameter of a plan.

    Attributes:
        name: As in the plan's signature; its end names the unit.
        default: The value when it is not given; `inspect.Parameter.empty` if it has to be.
        said: What the plan's docstring says of it, on one line.
        schema: JSON schema of what is allowed; empty where the annotation has none.
    """

    name: str
    default: Any
    said: str
    schema: Schema

    @property
    def unit(self) -> str | None:
        """The unit that the name ends in."""
        return unit_of(self.name)

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(each.get("type") == "array" for each in _alternatives(self.schema))

    @property
    def may_be_null(self) -> bool:
        """Whether it may be left unset."""
        return any(each.get("type") == "null" for each in _alternatives(self.schema))

    @property
    def allowed(self) -> str:
        """What may be given, e.g. "a number from 10 to 864000 s (10 d), or null"; "" if that is not known."""
        words = _words(self.schema, self.name)
        return f"{words}, or null" if words and self.may_be_null else words

    @property
    def allowed_item(self) -> str:
        """What each value of a list may be."""
        lists = [each for each in _alternatives(self.schema) if each.get("type") == "array"]
        return _words(lists[0].get("items", {}), self.name) if lists else self.allowed

    @property
    def list_example(self) -> str:
        """A list as it is typed."""
        if isinstance(self.default, tuple | list) and len(self.default) > 1:
            return as_yaml(self.default[:2])
        return _LIST_EXAMPLES.get(self.allowed_item, _LIST_EXAMPLES.get(self.unit or "", "[a, b]"))


def parameters_of(plan: Callable[..., Any]) -> dict[str, PlanParameter]:
    """What a person can set of `plan`, by name, in the order of its signature."""
    said, hints = arguments(plan), _hints(plan)
    return {
        name: PlanParameter(name, parameter.default, said.get(name, ""), _schema(hints.get(name)))
        for name, parameter in inspect.signature(plan).parameters.items()
        if name not in GIVEN
    }


def sections(plan: Callable[..., Any]) -> dict[str, str]:
    """The docstring by its sections ("Args", "Example", ...); "" is what comes before them."""
    found, name = {"": ""}, ""
    for line in inspect.cleandoc(plan.__doc__ or "").splitlines():
        heading = re.fullmatch(r"(\w+):", line)
        name = heading[1] if heading else name
        found[name] = found.get(name, "") + ("" if heading else line + "\n")
    return {name: inspect.cleandoc(text) for name, text in found.items()}


def arguments(plan: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each parameter, on one line each."""
    parts = re.split(r"^(\w+): ", sections(plan).get("Args", ""), flags=re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in zip(parts[1::2], parts[2::2], strict=True)}


def as_yaml(value: Any) -> str:
    """A plain value, or a sequence of them, as people type it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _hints(plan: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(plan), include_extras=True)
    except (NameError, TypeError):  # names that only a type checker sees: such a plan says less
        return {}


def _schema(hint: Any) -> Schema:
    if hint is None:
        return {}
    try:
        return TypeAdapter(hint).json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
        return {}


def _alternatives(schema: Schema) -> list[Schema]:
    if "anyOf" not in schema:
        return [schema]
    return [each for option in schema["anyOf"] for each in _alternatives(option)]


def _words(schema: Schema, name: str) -> str:
    kinds = [each for each in _alternatives(schema) if each.get("type") != "null"]
    words = [text for kind in kinds if (text := _words_of_one(kind, name))]
    types = {kind.get("type") for kind in kinds if "const" not in kind}
    if {"string", "number"} <= types and re.search(r"rates?$", name):
        words = [word for word in words if word not in ("text", "a number")] + [_RATE]
    return " or ".join(dict.fromkeys(words))


def _words_of_one(schema: Schema, name: str) -> str:
    if "const" in schema or "enum" in schema:
        return " or ".join(as_yaml(each) for each in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "boolean":
            return "true or false"
        case "string":
            return "text"
        case "number":
            return f"a number{_range(schema, unit_of(name))}"
        case "integer":
            return f"a whole number{_range(schema, unit_of(name))}"
        case "array":
            return f"a list{_length(schema)}, each {_words(schema.get('items', {}), name) or 'a value'}"
        case _:
            return ""


def _range(schema: Schema, unit: str | None) -> str:
    low = _bound(schema, "minimum", " from {}", "exclusiveMinimum", " above {}")
    high = _bound(
        schema, "maximum", " to {}" if "from" in low else " up to {}", "exclusiveMaximum", " below {}"
    )
    joint = "," if "above" in low and high else ""
    most = schema.get("maximum", 0)
    long = f" ({duration_text(most)})" if unit == "s" and most > _WORTH_TELLING_SECOND else ""
    return f"{low}{joint}{high}{f' {unit}' if unit else ''}{long}"


def _bound(schema: Schema, including: str, words: str, excluding: str, other_words: str) -> str:
    if including in schema:
        return words.format(as_yaml(float(schema[including])))
    return other_words.format(as_yaml(float(schema[excluding]))) if excluding in schema else ""


def _length(schema: Schema) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if most is None:
        return f" of at least {least}" if least else ""
    return f" of {least} to {most}" if least else f" of up to {most}"


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
