"""A measurement as data: steps, gapless sequences, loops and marks, with a dry run before anything moves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from devices.techniques import (
    AnyTechnique,
    ConstantCurrent,
    ConstantVoltage,
    EndReason,
    Impedance,
    OpenCircuit,
    Program,
    Record,
    Sampling,
)
from labctl.cell import Cell
from labctl.errors import ProtocolError

_EXPECTED_CONSTANT_VOLTAGE_SECOND = 3600.0  # a CV step without a time condition, for the estimate only


class Gapless(Record):
    """Techniques that the instrument runs as one program, such as a GITT pulse and its rest.

    When it is interrupted it is not continued: it is flagged and the protocol goes on after it.
    """

    kind: Literal["gapless"] = "gapless"
    techniques: tuple[AnyTechnique, ...] = Field(min_length=2, max_length=100)


class Mark(Record):
    """The next cycle begins: `cycle_count` goes up by one (it is 0 before the first mark)."""

    kind: Literal["mark"] = "mark"


class Loop(Record):
    """Repeats its body. Ends early after a pass in which a step ended for one of `stop_on`."""

    kind: Literal["loop"] = "loop"
    repeat: int = Field(ge=1, le=1_000_000)
    body: tuple[Item, ...] = Field(min_length=1)
    stop_on: tuple[EndReason, ...] = ()


Item = Annotated[
    OpenCircuit | ConstantCurrent | ConstantVoltage | Impedance | Gapless | Mark | Loop,
    Field(discriminator="kind"),
]
Loop.model_rebuild()


class Protocol(Record):
    """A whole measurement; `model_dump_json()` and `model_validate_json()` carry it to and from text."""

    name: str = Field(min_length=1, max_length=100)
    items: tuple[Item, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Stop:
    """One program of the protocol on its way: where it stands, what it runs, in which cycle."""

    path: str
    techniques: tuple[AnyTechnique, ...]
    cycle_count: int

    def technique_path(self, index: int) -> str:
        """`protocol_step` of technique `index`."""
        return self.path if len(self.techniques) == 1 else f"{self.path}.{index}"


Walk = Generator[Stop, Sequence[str], set[str]]


def walk(protocol: Protocol) -> Walk:
    """The programs of `protocol` in order; send each one's end reasons to get the next.

    Paths count from 0; a loop shows its pass in brackets: "1[3].0" is the first item of the fourth pass.
    """
    cycle = [0]
    return (yield from _walk_items(protocol.items, "", cycle))


def _walk_items(items: tuple[Item, ...], prefix: str, cycle: list[int]) -> Walk:
    seen: set[str] = set()
    for index, item in enumerate(items):
        path = f"{prefix}{index}"
        if isinstance(item, Mark):
            cycle[0] += 1
        elif isinstance(item, Loop):
            for number in range(item.repeat):
                reasons = yield from _walk_items(item.body, f"{path}[{number}].", cycle)
                seen |= reasons
                if reasons & set(item.stop_on):
                    break
        else:
            techniques = item.techniques if isinstance(item, Gapless) else (item,)
            seen |= set((yield Stop(path, techniques, cycle[0])) or ())
    return seen


@dataclass(frozen=True)
class DryRun:
    """What a protocol will take, loops in full: time (s), rows, steps, charge (Ah, net and moved)."""

    duration_second: float
    points: int
    steps: int
    net_charge_ah: float
    moved_charge_ah: float

    def as_estimate(self) -> dict[str, float | int]:
        """For the start document; progress is shown against it."""
        return {"duration_second": self.duration_second, "points": self.points, "steps": self.steps}


def dry_run(protocol: Protocol, cell: Cell, check: Callable[[Program], None] | None = None) -> DryRun:
    """Go through `protocol` without moving anything.

    Args:
        protocol: what would be run.
        cell: whose limits hold and whose capacity bounds steps that end by voltage.
        check: a cycler's own check of each program.

    Raises:
        ProtocolError: a step is outside the limits; names its path, field, value and what is allowed.
    """
    duration, points, steps, net, moved = 0.0, 0, 0, 0.0, 0.0
    progress = walk(protocol)
    checked: set[tuple[AnyTechnique, ...]] = set()
    stop = next(progress, None)
    while stop is not None:
        if stop.techniques not in checked:
            _check(stop, cell, check)
            checked.add(stop.techniques)
        for technique in stop.techniques:
            seconds = expected_second(technique, cell)
            charge = _current(technique) * seconds / 3600.0
            duration, steps = duration + seconds, steps + 1
            net, moved = net + charge, moved + abs(charge)
            points += expected_points(technique, seconds)
        try:
            stop = progress.send(())
        except StopIteration:
            stop = None
    return DryRun(duration, points, steps, net, moved)


def _check(stop: Stop, cell: Cell, check: Callable[[Program], None] | None) -> None:
    limits = cell.limits
    for index, technique in enumerate(stop.techniques):
        for field in (
            "voltage_volt",
            "dc_voltage_volt",
            "until_voltage_above_volt",
            "until_voltage_below_volt",
        ):
            volt = getattr(technique, field, None)
            low, high = limits.voltage_min_volt, limits.voltage_max_volt
            if volt is not None and ((low is not None and volt < low) or (high is not None and volt > high)):
                raise ProtocolError(
                    f"step {stop.technique_path(index)}: {field} = {volt:g} V: cell {cell.id} allows "
                    f"{low} V to {high} V"
                )
    if check is not None:
        try:
            check(Program(techniques=stop.techniques))
        except ProtocolError as error:
            raise ProtocolError(f"step {stop.path}: {error}") from error


def _current(technique: AnyTechnique) -> float:
    return technique.current_ampere if isinstance(technique, ConstantCurrent) else 0.0


def expected_second(technique: AnyTechnique, cell: Cell) -> float:
    """How long (s) a step is expected to take; without time or charge, a whole capacity or 1 h at CV."""
    if isinstance(technique, Impedance):
        return technique.expected_second
    candidates = [] if technique.longest_second is None else [technique.longest_second]
    if isinstance(technique, ConstantCurrent):
        charge = technique.until_charge_ah or cell.nominal_capacity_ah
        candidates.append(charge * 3600.0 / abs(technique.current_ampere))
    elif not candidates:
        candidates.append(_EXPECTED_CONSTANT_VOLTAGE_SECOND)
    return min(candidates)


def expected_points(technique: AnyTechnique, seconds: float) -> int:
    """Rows that a step of this length records: by its schedule, or one per frequency."""
    return (
        technique.points
        if isinstance(technique, Impedance)
        else scheduled_points(technique.sampling, seconds)
    )


def scheduled_points(sampling: Sampling, seconds: float) -> int:
    """Rows of a sampling schedule over this length."""
    points, begin = 0.0, 0.0
    for stage in sampling.stages:
        end = seconds if stage.until_second is None else min(stage.until_second, seconds)
        points += max(end - begin, 0.0) / stage.interval_second
        begin = max(begin, end)
    return int(points) + 1
