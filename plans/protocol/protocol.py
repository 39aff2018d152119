"""A measurement as data: steps, gapless sequences, loops, marks and what the die is brought to.

A protocol knows no instrument. Rates are resolved with a cell (`Protocol.resolved`), `plans.protocol.walk`
goes through it step by step, `plans.executor.dry_run` tells what it will take, `plans.executor.measurement`
runs it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from devices.core.techniques import (
    REST_SAMPLING,
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    Duration,
    EndReason,
    Impedance,
    OpenCircuit,
    Positive,
    Record,
    Tag,
)
from labctl.records.cell import Cell
from labctl.records.limits import Limits
from plans.protocol.made_for import MadeFor, carries_amperes
from plans.protocol.rated_steps import CcCv, RatedCurrent, RatedHold

MOST_VISITS = 1_000_000
Celsius = Annotated[float, Field(ge=-100, le=500, allow_inf_nan=False)]
Pascal = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Gapless(Record):
    """Techniques that the instrument runs as one program, such as a GITT pulse and its rest.

    When it is interrupted it is not continued: it is flagged and the protocol goes on after it.
    """

    kind: Literal["gapless"] = "gapless"
    tag: Tag = ""
    techniques: tuple[AnyTechnique, ...] = Field(min_length=2, max_length=100)


class Soak(Record):
    """Wait at open circuit for temperature and contacts to settle; ends early on a drift."""

    kind: Literal["soak"] = "soak"
    tag: Tag = ""
    until_time_second: Duration
    until_drift_volt_per_hour: Positive | None = None
    drift_window_second: float = Field(default=600.0, ge=10, le=86_400)

    @property
    def technique(self) -> OpenCircuit:
        """What the cycler does meanwhile."""
        return OpenCircuit(**self.model_dump(exclude={"kind"}), sampling=REST_SAMPLING)


class SetTemperature(Record):
    """Bring the die to a temperature, and go on when it has stayed inside the tolerance for the dwell.

    What is not given is as the station's temperature controller was set up.
    """

    kind: Literal["set_temperature"] = "set_temperature"
    tag: Tag = ""
    temperature_celsius: Celsius
    ramp_kelvin_per_minute: float | None = Field(default=None, ge=0, le=1000)
    tolerance_kelvin: Positive | None = None
    dwell_second: float | None = Field(default=None, ge=0, le=864_000)
    timeout_second: Duration | None = None


class SetPressure(Record):
    """Bring the pellet to a stack pressure; it is held there afterwards."""

    kind: Literal["set_pressure"] = "set_pressure"
    tag: Tag = ""
    pressure_pa: Pascal
    ramp_pa_per_second: Positive | None = None
    tolerance_pa: Positive | None = None
    dwell_second: float | None = Field(default=None, ge=0, le=864_000)
    timeout_second: Duration | None = None


EnvironmentStep = SetTemperature | SetPressure


class Mark(Record):
    """The next cycle begins: `cycle_count` goes up by one (it is 0 before the first mark)."""

    kind: Literal["mark"] = "mark"


LoopQuantity = Literal["retention_below", "efficiency_below", "charge_above_ah"]
LoopEnd = EndReason | LoopQuantity


class LoopCondition(Record):
    """Ends a loop after `consecutive` passes in a row for which it holds.

    Capacities are sums over the steps of one pass. `retention_below`: discharging capacity over that of the
    loop's first pass; `efficiency_below`: discharging over charging capacity; `charge_above_ah`: charging
    capacity in Ah. A pass that was interrupted counts with all its parts.
    """

    quantity: LoopQuantity
    value: Positive
    consecutive: int = Field(default=1, ge=1, le=1000)


class Loop(Record):
    """Repeats its body.

    Ends early after a pass in which a step (or an inner loop) ended for one of `stop_on`, or after which one
    of `stop_when` holds.
    """

    kind: Literal["loop"] = "loop"
    tag: Tag = ""
    repeat: int = Field(ge=1, le=1_000_000)
    body: tuple[Item, ...] = Field(min_length=1)
    stop_on: tuple[LoopEnd, ...] = ()
    stop_when: tuple[LoopCondition, ...] = ()


Item = Annotated[
    OpenCircuit
    | ConstantCurrent
    | ConstantVoltage
    | Impedance
    | Gapless
    | RatedCurrent
    | RatedHold
    | CcCv
    | Soak
    | SetTemperature
    | SetPressure
    | Mark
    | Loop,
    Field(discriminator="kind"),
]
Loop.model_rebuild()


class Protocol(Record):
    """A whole measurement; `model_dump_json()` and `model_validate_json()` carry it to and from text.

    It ends early after a step that ended for one of `stop_on`, or a loop for one of its own conditions named
    there: a soft short, say, which later steps would only make worse. `limits` narrow those of station and
    cell for this measurement. `made_for` is the cell that its currents (A) and charges (Ah) belong to.
    """

    name: str = Field(min_length=1, max_length=100)
    items: tuple[Item, ...] = Field(min_length=1)
    stop_on: tuple[LoopEnd, ...] = ()
    limits: Limits | None = None
    made_for: MadeFor | None = None

    @model_validator(mode="after")
    def _of_reasonable_length(self) -> Self:
        visits = _visits(self.items)
        if visits > MOST_VISITS:
            raise ValueError(f"its loops make {visits} steps: at most {MOST_VISITS} are allowed")
        return self

    def resolved(self, cell: Cell) -> Protocol:
        """The same protocol with the currents of `cell` in place of rates; it is made for that cell then.

        One that was made for another cell before stays so: amperes that it had already are not changed.

        Raises:
            ConfigurationError: The cell has no nominal capacity.
        """
        made_for = self.made_for or MadeFor.of(cell)
        return self.model_copy(update={"items": _resolved(self.items, cell), "made_for": made_for})

    def remark_on(self, cell: Cell) -> str:
        """What its amperes are on `cell`, in a sentence; "" where it has none, or was made for that cell."""
        said = "" if self.made_for is None else self.made_for.remark(cell)
        return said if said and carries_amperes(self.items) else ""


def _resolved(items: tuple[Item, ...], cell: Cell) -> tuple[Item, ...]:
    return tuple(_resolved_item(item, cell) for item in items)


def _resolved_item(item: Item, cell: Cell) -> Item:
    if isinstance(item, RatedCurrent | RatedHold | CcCv):
        return item.resolved(cell)
    if isinstance(item, Loop):
        return item.model_copy(update={"body": _resolved(item.body, cell)})
    return item


def _visits(items: tuple[Item, ...]) -> int:
    """Steps with all loops in full; each technique of a gapless sequence is one."""
    return sum(
        item.repeat * _visits(item.body)
        if isinstance(item, Loop)
        else len(item.techniques)
        if isinstance(item, Gapless)
        else 1
        for item in items
    )
