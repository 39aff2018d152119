"""The way through a protocol: which program comes next, given how the ones before it ended."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from devices.core.techniques import AnyTechnique, StepResult
from plans.protocol.protocol import (
    EnvironmentStep,
    Gapless,
    Item,
    Loop,
    LoopCondition,
    Mark,
    Protocol,
    SetPressure,
    SetTemperature,
    Soak,
)
from plans.protocol.rated_steps import CcCv, RatedCurrent, RatedHold

_PASS_NUMBER = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Visit:
    """One program (or environment step) of the protocol: where it stands, what it runs, in which cycle."""

    path: str
    techniques: tuple[AnyTechnique, ...]
    cycle_count: int
    environment: EnvironmentStep | None = None

    def technique_path(self, index: int) -> str:
        """`protocol_step` of technique `index`."""
        return self.path if len(self.techniques) == 1 else f"{self.path}.{index}"


Outcome = Sequence[StepResult]  # what became of a visit's steps; empty where nothing is known (a dry run)
Walk = Generator[Visit, Outcome, None]


@dataclass
class ProtocolWalk:
    """One walk through a protocol, with what loops must remember.

    `notes` tells, in words, which loops ended early and why.
    """

    protocol: Protocol
    notes: list[str] = field(default_factory=list)
    _cycle: int = 0
    _over: bool = False
    _references_ah: dict[str, float] = field(default_factory=dict)  # discharging capacity of a first pass

    def walk(self) -> Walk:
        """The programs in order; send each one's results to get the next.

        Paths count from 0; a loop shows its pass in brackets: "1[3].0" is the first item of the fourth pass,
        and the parts of a gapless sequence or of a CC-CV step count on: "1[3].0.1".
        """
        yield from self._items(self.protocol.items, "")

    def _items(self, items: tuple[Item, ...], prefix: str) -> Generator[Visit, Outcome, _Pass]:
        done = _Pass()
        for index, item in enumerate(items):
            path = f"{prefix}{index}"
            if self._ends(done, path):
                break
            if isinstance(item, Mark):
                self._cycle += 1
            elif isinstance(item, Loop):
                done.add_loop((yield from self._loop(item, path)))
            elif isinstance(item, CcCv):
                yield from self._cc_cv(item, path, done)
            else:
                done.add_steps((yield self._visit(item, path)))
        return done

    def _ends(self, done: _Pass, path: str) -> bool:
        """Whether something before `path` ends the whole protocol."""
        met = done.reasons & set(self.protocol.stop_on)
        if met and not self._over:
            self.notes.append(f"the protocol ended before step {path}: {' and '.join(sorted(met))}")
        self._over = self._over or bool(met)
        return self._over

    def _visit(self, item: Item, path: str) -> Visit:
        if isinstance(item, SetTemperature | SetPressure):
            return Visit(path, (), self._cycle, item)
        if isinstance(item, Gapless):
            return Visit(path, item.techniques, self._cycle)
        if isinstance(item, RatedCurrent | RatedHold | CcCv | Loop | Mark):
            raise TypeError(
                f"step {path}: {item.kind} is not a program of its own; resolve the protocol first"
            )
        return Visit(path, (item.technique if isinstance(item, Soak) else item,), self._cycle)

    def _cc_cv(self, item: CcCv, path: str, done: _Pass) -> Walk:
        current, voltage = item.parts
        results = (yield Visit(f"{path}.0", (current,), self._cycle)) or ()
        done.add_steps(results)
        if not results or results[-1].end_reason in ("voltage_above", "voltage_below"):
            done.add_steps((yield Visit(f"{path}.1", (voltage,), self._cycle)))

    def _loop(self, loop: Loop, path: str) -> Generator[Visit, Outcome, _Pass]:
        whole, held = _Pass(), [0] * len(loop.stop_when)
        for number in range(loop.repeat):
            done = yield from self._items(loop.body, f"{path}[{number}].")
            whole.add_loop(done)
            if self._ends(done, f"{path}[{number + 1}]"):
                break
            if early := done.reasons & set(loop.stop_on):
                self._note(path, number, " and ".join(sorted(early)))
                break
            if met := self._met(loop, path, done, held):
                whole.reasons |= {condition.quantity for condition, _ in met}
                words = (f"{c.quantity} {c.value:g} (was {value:.4g})" for c, value in met)
                self._note(path, number, " and ".join(words))
                break
        return whole

    def _note(self, path: str, number: int, why: str) -> None:
        self.notes.append(f"loop {path} ended after pass {number + 1}: {why}")

    def _met(self, loop: Loop, path: str, done: _Pass, held: list[int]) -> list[tuple[LoopCondition, float]]:
        """The conditions that hold after this pass, with their values; `held` counts passes in a row."""
        met = list[tuple[LoopCondition, float]]()
        for index, condition in enumerate(loop.stop_when):
            value = self._value(condition, path, done)
            holds = value is not None and (
                value > condition.value
                if condition.quantity == "charge_above_ah"
                else value < condition.value
            )
            held[index] = held[index] + 1 if holds else 0
            if value is not None and held[index] >= condition.consecutive:
                met.append((condition, value))
        return met

    def _value(self, condition: LoopCondition, path: str, done: _Pass) -> float | None:
        if condition.quantity == "charge_above_ah":
            return done.charging_ah
        if condition.quantity == "efficiency_below":
            return done.discharging_ah / done.charging_ah if done.charging_ah > 0 else None
        # the same loop inside an outer one goes on from the reference of its very first pass
        place = _PASS_NUMBER.sub("[]", path)
        if place not in self._references_ah and done.discharging_ah > 0:
            self._references_ah[place] = done.discharging_ah
        reference = self._references_ah.get(place, 0.0)
        return done.discharging_ah / reference if reference > 0 else None


@dataclass
class _Pass:
    """What one pass of a body did: reasons of its ends, and charge moved."""

    reasons: set[str] = field(default_factory=set)
    charging_ah: float = 0.0
    discharging_ah: float = 0.0

    def add_steps(self, results: Outcome | None) -> None:
        for result in results or ():
            self.reasons.add(result.end_reason)
            self.charging_ah += _number(result.charging_capacity_ah)
            self.discharging_ah += _number(result.discharging_capacity_ah)

    def add_loop(self, inner: _Pass) -> None:
        self.reasons |= inner.reasons
        self.charging_ah += inner.charging_ah
        self.discharging_ah += inner.discharging_ah


def _number(value: float) -> float:
    return value if value == value else 0.0  # NaN: nothing valid was measured


def next_visit(progress: Walk, outcome: Outcome) -> Visit | None:
    """The visit after the one that ended in `outcome`; None at the end."""
    try:
        return progress.send(outcome)
    except StopIteration:
        return None
