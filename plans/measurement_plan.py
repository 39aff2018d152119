"""The decorator of every plan: parameters are validated, and the start document says what was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from pydantic import ConfigDict, validate_call
from pydantic_core import PydanticSerializationError, to_jsonable_python

from labctl.errors import ConfigurationError
from labctl.plan_parameters import GIVEN
from plans.executor.measurement import Measurement

Parameters = ParamSpec("Parameters")


def measurement_plan(function: Callable[Parameters, Measurement]) -> Callable[Parameters, Measurement]:
    """Make a plan of a function that returns a `Measurement`, as `run_protocol` does.

    Its arguments are validated and converted by their annotations before its body runs. All of them but
    cycler, cell, environment and metadata, defaults included, then stand in the start document as
    `plan_parameters`, as plain JSON (a tuple is a list, an enumeration its value); the function itself has
    nothing to do with that. Name, signature and docstring stay those of the function, so that `labctl plans`
    can explain it and `labctl run` can be given its parameters.

    Args:
        function: takes cycler, cell, environment and metadata, and parameters whose names end in units.

    Returns:
        The plan. Beside what the function raises it raises pydantic's ValidationError (an argument is not
        what its annotation allows), ConfigurationError (an argument cannot be written as JSON, or `metadata`
        brings `plan_parameters`) and TypeError (the function did not return a `Measurement`), all of them
        before anything moves.
    """
    signature = inspect.signature(function)
    name = getattr(function, "__name__", "plan")

    @wraps(function)
    def stating(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Measurement:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        _refuse_own_parameters(name, bound.arguments.get("metadata"))
        given = {key: value for key, value in bound.arguments.items() if key not in GIVEN}
        asked = {key: _plain(name, key, value) for key, value in given.items()}
        measurement = function(*args, **kwargs)
        if not isinstance(measurement, Measurement):
            returned = type(measurement).__name__
            raise TypeError(f"{name} returned a {returned}: a measurement plan returns run_protocol(...)")
        return measurement.with_metadata(plan_parameters=asked)

    plan = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(stating)
    plan.states_its_parameters = True  # type: ignore[attr-defined]
    return plan


def states_its_parameters(plan: Callable[..., Any]) -> bool:
    """Whether `plan` was made by `measurement_plan`."""
    return bool(getattr(plan, "states_its_parameters", False))


def _refuse_own_parameters(name: str, metadata: Any) -> None:
    if "plan_parameters" in (metadata or {}):
        allowed = "belongs to the plan, which writes what it was asked for; take another key"
        raise ConfigurationError(name, "metadata.plan_parameters", metadata["plan_parameters"], allowed)


def _plain(name: str, parameter: str, value: Any) -> Any:
    try:
        return to_jsonable_python(value, fallback=_plain_array)
    except (PydanticSerializationError, ValueError) as error:
        allowed = f"cannot be written into the start document as JSON ({error})"
        raise ConfigurationError(name, parameter, value, allowed) from error


def _plain_array(value: Any) -> Any:
    """NumPy's arrays and numbers as lists and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ValueError(f"of type {type(value).__name__}")
