"""The decorator of plans, on plans such as other packages have: what it keeps, states and refuses."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field, ValidationError

from devices.core.protocols import Cycler, Environment
from labctl.errors import ConfigurationError, ProtocolError
from labctl.plan_parameters import parameters_of
from labctl.records.cell import Cell
from labctl.session import Session
from plans.building_blocks import Seconds, rest
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan, states_its_parameters
from plans.protocol.protocol import Protocol


class Gas(Enum):
    ARGON = "Ar"
    NITROGEN = "N2"


@measurement_plan
def forgetful(
    cycler: Cycler,
    *,
    cell: Cell,
    rest_second: Seconds = 60.0,
    places: tuple[tuple[int, float], ...] = ((1, 0.5),),
    gas: Gas = Gas.ARGON,
    table: Path | None = None,
    weights: Any = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Rest, and hand on neither parameters nor metadata.

    Args:
        rest_second: open circuit (s).
    """
    given = rest_second
    rest_second = 1.0  # what it was asked for is known before
    return run_protocol(cycler, Protocol(name="forgetful", items=(rest(given),)), cell=cell)


def asked(session: Session, **given: Any) -> Any:
    return forgetful(session.cycler, cell=session.cell, **given).metadata["plan_parameters"]


def test_what_it_was_asked_for_is_stated_though_it_does_nothing_for_it(idle: Session) -> None:
    defaults = {"rest_second": 60.0, "places": [[1, 0.5]], "gas": "Ar", "table": None, "weights": None}
    assert asked(idle) == defaults
    given = asked(idle, rest_second="90", places=[("2", 1)], gas="N2", table="a.csv")  # as validated
    assert given == {
        "rest_second": 90.0,
        "places": [[2, 1.0]],
        "gas": "N2",
        "table": "a.csv",
        "weights": None,
    }
    assert asked(idle, weights=np.array([1, 2]))["weights"] == [1, 2]
    assert json.loads(json.dumps(given)) == given


def test_what_the_caller_changes_later_changes_nothing(idle: Session) -> None:
    weights = [1, 2]
    start = forgetful(idle.cycler, cell=idle.cell, weights=weights).metadata
    weights.append(3)
    assert start["plan_parameters"]["weights"] == [1, 2]


def test_it_stays_the_function_that_it_was() -> None:
    assert states_its_parameters(forgetful)
    assert not states_its_parameters(run_protocol)
    assert forgetful.__name__ == "forgetful"
    assert (forgetful.__doc__ or "").startswith("Rest, and hand on")
    assert list(inspect.signature(forgetful).parameters)[:3] == ["cycler", "cell", "rest_second"]
    told = parameters_of(forgetful)["rest_second"]
    assert (told.default, told.said) == (60.0, "open circuit (s).")
    assert told.allowed == "a number above 0, up to 864000 s (10 d)"


def test_what_an_annotation_does_not_allow_is_refused(idle: Session) -> None:
    with pytest.raises(ValidationError, match="rest_second"):
        asked(idle, rest_second=-1)
    with pytest.raises(ValidationError, match="rest_seconds"):
        asked(idle, rest_seconds=1)


def test_what_is_no_json_is_refused_by_name(idle: Session) -> None:
    with pytest.raises(ConfigurationError, match=r"forgetful: weights = .*as JSON.*of type object"):
        asked(idle, weights=object())


def test_parameters_longer_than_a_journal_takes_are_refused(idle: Session) -> None:
    with pytest.raises(ProtocolError, match="plan_parameters"):
        asked(idle, weights="x" * 40_000_000)


def test_metadata_cannot_stand_in_for_the_parameters(idle: Session) -> None:
    with pytest.raises(ConfigurationError, match=r"metadata\.plan_parameters"):
        asked(idle, metadata={"plan_parameters": {"rest_second": 1}})


def test_a_plan_made_of_a_plan_states_what_it_was_asked_for_itself(idle: Session) -> None:
    @measurement_plan
    def minutes(cycler: Any, *, cell: Cell, rest_minute: Annotated[float, Field(gt=0)]) -> Measurement:
        return forgetful(cycler, cell=cell, rest_second=60 * rest_minute)

    measurement = minutes(idle.cycler, cell=idle.cell, rest_minute=2)
    assert measurement.metadata["plan_parameters"] == {"rest_minute": 2.0}
    assert measurement.protocol.items == (rest(120.0),)


def test_a_function_that_makes_no_measurement_is_told_so() -> None:
    @measurement_plan  # type: ignore[arg-type]
    def generator(pulses: int = 1):
        yield pulses

    with pytest.raises(TypeError, match=r"generator returned a generator: .*run_protocol"):
        generator()
