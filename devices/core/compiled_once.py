"""A program is compiled when it is checked; what came of it is kept for when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

C = TypeVar("C")


class CompiledOnce(Generic[C]):
    """Keeps what was compiled last, and everything that it was made of.

    The thread that checks and the reader thread that loads may use it at the same time: at worst a program is
    compiled twice.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], C] | None = None

    def get(self, made_of: tuple[object, ...], compile_it: Callable[[], C]) -> C:
        """What was compiled of the same things before, or else now."""
        kept = self._kept
        if kept is None or kept[0] != made_of:
            kept = self._kept = (made_of, compile_it())
        return kept[1]
