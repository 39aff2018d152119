"""Alarms that are raised when something begins to be wrong, not at every look at it."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any


class AlarmLatch:
    """Tells of each kind of trouble once, and again only after it had gone.

    Args:
        report: takes kind, value, limit and action.
    """

    def __init__(self, report: Callable[..., Any]) -> None:
        self._report = report
        self._active: set[str] = set()

    def update(self, kind: str, active: bool, action: str, *, value: float = nan, limit: float = nan) -> bool:
        """Whether `kind` began just now; it is reported then."""
        began = active and kind not in self._active
        if active:
            self._active.add(kind)
        else:
            self._active.discard(kind)
        if began:
            self._report(kind=kind, value=value, limit=limit, action=action)
        return began

    def clear(self, *kinds: str) -> None:
        """These kinds of trouble are over."""
        self._active.difference_update(kinds)

    @property
    def active(self) -> frozenset[str]:
        """What is wrong now."""
        return frozenset(self._active)
