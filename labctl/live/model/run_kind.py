"""The kind of a run, from its start document: its panels and their first layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["general", "gitt", "impedance", "cycling"]
KINDS: tuple[Kind, ...] = ("general", "gitt", "impedance", "cycling")
_IMPEDANCE_PLANS = ("impedance", "conductivity", "tortuosity", "eis")
_PULSE_PLANS = ("gitt", "ici")
_CYCLES_TO_CYCLE = 2  # marks in a protocol from which it is about cycles


@dataclass(frozen=True)
class Contents:
    """What a protocol holds. `known` is False where the start document carries none: anything may come."""

    known: bool = False
    plan_name: str = ""
    techniques: frozenset[str] = frozenset()
    marks: int = 0
    environment: bool = False

    @property
    def kind(self) -> Kind:
        """Which layout fits."""
        if self._named(_PULSE_PLANS):
            return "gitt"
        if self._named(_IMPEDANCE_PLANS) or self.techniques - {"open_circuit"} == {"impedance"}:
            return "impedance"
        if self.marks >= _CYCLES_TO_CYCLE:
            return "cycling"
        if "gapless" in self.techniques:
            return "gitt"
        return "impedance" if "impedance" in self.techniques else "general"

    def _named(self, words: tuple[str, ...]) -> bool:
        return any(word in self.plan_name.lower() for word in words)

    @property
    def pulses(self) -> bool:
        """Whether there may be pulses and rests as of a GITT."""
        return not self.known or "gapless" in self.techniques

    def lacks(self, *techniques: str) -> bool:
        """Whether the protocol is known, and none of these is in it."""
        return self.known and not self.techniques & set(techniques)


def contents_of(start: Mapping[str, Any] | None) -> Contents:
    """What a start document says of its run."""
    start = start or {}
    protocol, devices = start.get("protocol"), start.get("devices")
    found = [(kind, times) for kind, times in _kinds(protocol, 1)]
    return Contents(
        known=bool(found),
        plan_name=str(start.get("plan_name", "")),
        techniques=frozenset(kind for kind, _ in found if kind not in ("mark", "loop")),
        marks=sum(times for kind, times in found if kind == "mark"),
        environment=isinstance(devices, Mapping) and "environment" in devices,
    )


def _kinds(item: Any, times: int) -> Iterator[tuple[str, int]]:
    """The kinds of all items of a protocol, and how often each is come to."""
    if isinstance(item, Mapping):
        kind, repeat = item.get("kind"), item.get("repeat")
        if isinstance(kind, str):
            yield kind, times
        inner = times * repeat if kind == "loop" and isinstance(repeat, int) else times
        for value in item.values():
            yield from _kinds(value, inner)
    elif isinstance(item, list):
        for value in item:
            yield from _kinds(value, times)
