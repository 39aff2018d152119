"""Records read from YAML files: strict loading, and one clear line for everything that is wrong.

The YAML is the core schema of YAML 1.2: `1e-3` is a number, `on`, `yes`, `12:30` and `2024-01-01` are
text. Tags, anchors, duplicate keys and keys that are not text are refused.
"""

from __future__ import annotations

import difflib
import io
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from labctl.errors import ConfigurationError, with_decimal_point
from labctl.formats import FileKind, require_known
from labctl.platform import open_regular
from labctl.units import unit_of

Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_ERRORS_SHOWN = 10
_NAMED_FIELD = re.compile(r"([a-z_]\w*(?:\.\w+)*): ")


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
"""A finite number; true and false are none."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
"""A short name that is safe in file names, keys and URLs."""


class Record(BaseModel):
    """Frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load_record(path: Path | str, model: type[Model], kind: FileKind | None = None) -> Model:
    """The record of type `model` in the YAML file `path`.

    The validation context holds `path`, for models that resolve names against their own file.

    Args:
        path: The file.
        model: What it holds.
        kind: Of files that carry the number of their format, as the field `format`.

    Raises:
        NewerFormatError: a newer labctl has written it.
        ConfigurationError: one line per fault, each naming file, field, value and what is allowed.
    """
    path = Path(path)
    data = load_mapping(path)
    if kind is not None:
        data = require_known(kind, data, str(path))
    return validate_record(data, model, where=str(path), context={"path": path})


def validate_record(
    data: object, model: type[Model], *, where: str, context: Mapping[str, Any] | None = None
) -> Model:
    """`data` as a record of type `model`; `where` names its origin in messages.

    Raises:
        ConfigurationError: one line per fault, each naming `where`, field, value and what is allowed.
    """
    try:
        return model.model_validate(data, context=dict(context or {}))
    except ValidationError as error:
        raise _one_error(error, model, where) from None


def take_out_sources(data: Mapping[Any, Any], found: dict[str, Any], prefix: str = "") -> dict[Any, Any]:
    """A copy of `data` with every {value, source} replaced by its value; `found`: dotted place -> source."""
    plain: dict[Any, Any] = {}
    for key, value in data.items():
        place = f"{prefix}{key}"
        if isinstance(value, dict) and "value" in value and set(value) <= {"value", "source"}:
            if "source" in value:
                found[place] = value["source"]
            plain[key] = value["value"]
        elif isinstance(value, dict) and key != "sources":
            plain[key] = take_out_sources(value, found, f"{place}.")
        else:
            plain[key] = value
    return plain


def load_mapping(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file `path`.

    Raises:
        ConfigurationError: no such file, too large, not UTF-8, not YAML (with line and column), no mapping.
    """
    text = _read(path)
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"
        raise ConfigurationError(str(path), place, None, _yaml_problem(error)) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(str(path), "YAML", None, f"cannot be read: {reason}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(str(path), "content", None, "must be 'field: value' lines (a YAML mapping)")
    return data


def _read(path: Path) -> str:
    try:
        with io.BufferedReader(open_regular(path)) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(str(path), "file", None, f"cannot be opened ({reason})") from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(str(path), "file", None, f"is larger than {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(path), f"byte {error.start}", None, "is not UTF-8 text") from None


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "is not YAML"
    if isinstance(error, yaml.constructor.ConstructorError) and "constructor for the tag" in problem:
        return "YAML tags (!...) are not allowed here, only plain values"
    return problem if isinstance(error, yaml.constructor.ConstructorError) else f"is not YAML: {problem}"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2, no anchors, unique text keys, bounded depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (yaml's own API)
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node of the tree; refuses aliases and too deep nesting."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not allowed here", mark)
        if self._depth >= MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, f"is nested deeper than {MAX_DEPTH}", mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A dict; refuses keys that are not text and keys given twice."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"the key {key!r} must be text{_after_comma(key, node)}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the field {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _after_comma(key: Any, node: yaml.MappingNode) -> str:
    """{value: 15,3} is read as two fields: say so, where a number stands behind a comma within braces."""
    if not node.flow_style or isinstance(key, bool) or not isinstance(key, int):
        return ""
    return "; a number is written with a decimal point, as in 15.3"


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _one_error(error: ValidationError, model: type[BaseModel], where: str) -> ConfigurationError:
    faults = error.errors(include_url=False, include_context=False)
    lines = [_fault(fault, model, where) for fault in faults[:MAX_ERRORS_SHOWN]]
    rest = [str(line) for line in lines[1:]]
    if len(faults) > MAX_ERRORS_SHOWN:
        rest.append(f"{where}: and {len(faults) - MAX_ERRORS_SHOWN} more")
    first = lines[0]
    return ConfigurationError(where, first.field, first.value, "\n".join([first.allowed, *rest]))


def _fault(fault: Any, model: type[BaseModel], where: str) -> ConfigurationError:
    location = tuple(fault["loc"])
    allowed = " ".join(_allowed(fault, location, model).split())
    if named := _NAMED_FIELD.match(allowed):  # a rule of several fields says which one it is about
        location, allowed = (*location, named[1]), allowed[named.end() :]
    field = ".".join(str(part) for part in location) or "content"
    value = fault["input"]
    if fault["type"] == "missing" or isinstance(value, dict | list | BaseModel):
        value = None
    if isinstance(value, str) and len(value) > 60:
        value = value[:57] + "..."
    return ConfigurationError(where, field, value, allowed)


def _allowed(fault: Any, location: tuple[Any, ...], model: type[BaseModel]) -> str:
    kind = fault["type"]
    name = str(location[-1]) if location else ""
    unit = unit_of(name)
    if kind == "extra_forbidden":
        return _unknown_field(name, _model_at(model, location[:-1]))
    if kind == "missing":
        return "is missing; it is required" + (f", in {unit}" if unit else "")
    if kind in {"float_parsing", "float_type"}:
        point = with_decimal_point(str(fault["input"]))
        in_unit = f" in {unit} (the unit is in the field's name)" if unit else ""
        return f"must be a plain number{in_unit}{point}"
    if kind == "string_type":
        return "must be text (put it in quotes)"
    if kind == "string_pattern_mismatch":
        return "must begin with a letter and contain only letters, digits, '_' and '-' (at most 64)"
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return "must be a group of 'field: value' lines"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should", "must")
    return message + (f" (in {unit})" if unit and kind != "value_error" else "")


def _unknown_field(name: str, model: type[BaseModel] | None) -> str:
    allowed = sorted(model.model_fields) if model else []
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"is not a known field{hint or ';'} allowed are {', '.join(allowed)}"


def _model_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The record type at a place within `model`, following optional fields and maps of records."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = _record_type(info.annotation) if info else None
        elif get_origin(current) is dict:
            current = _record_type(get_args(current)[1])
        else:
            return None
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _record_type(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [a for a in get_args(annotation) if a is not type(None)]
        return _record_type(kinds[0]) if kinds else None
    return annotation
