"""Trigger blocks for a Keithley 2450 and its kin: numbered when all are there, branching to labels."""

from __future__ import annotations

from dataclasses import dataclass, field


class Label:
    """A place in the model that blocks branch to; its number is known at the end."""

    def __init__(self) -> None:
        self.number = 0


@dataclass(frozen=True)
class _Block:
    command: str
    arguments: str
    target: Label | None
    tail: str


@dataclass
class BlockList:
    """Blocks in their order. The end of the model has number 0."""

    _blocks: list[_Block] = field(default_factory=list)
    end: Label = field(default_factory=Label)

    @property
    def next_number(self) -> int:
        """Number of the block that comes next."""
        return len(self._blocks) + 1

    def here(self, label: Label) -> None:
        """`label` is the next block."""
        label.number = self.next_number

    def add(self, command: str, arguments: str = "", *, to: Label | None = None, tail: str = "") -> int:
        """One block, `TRIG:BLOC:<command> <number>, <arguments>, <target>, <tail>`; its number."""
        self._blocks.append(_Block(command, arguments, to, tail))
        return len(self._blocks)

    def commands(self) -> list[str]:
        """The SCPI commands that build the model."""
        return [self._command(number, block) for number, block in enumerate(self._blocks, start=1)]

    def _command(self, number: int, block: _Block) -> str:
        parts = [str(number), block.arguments, "" if block.target is None else str(block.target.number)]
        return f"TRIG:BLOC:{block.command} " + ", ".join(part for part in (*parts, block.tail) if part)
