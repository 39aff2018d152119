"""What a person looks for among the runs: by cell, coating, plan, date, state, tag, or any words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

from labctl.errors import ConfigurationError

Status = Literal["running", "paused", "finished", "stopped", "failed", "aborted", "interrupted", "unreadable"]
STATUSES: tuple[Status, ...] = get_args(Status)
WITH_WRITER: tuple[Status, ...] = ("running", "paused")  # the run has not ended, its process lives
BARE = "bare"
_DAYS_AGO = re.compile(r"(\d{1,5})d")


@dataclass(frozen=True)
class RunQuery:
    """Conditions that a run must all meet; None is no condition.

    Attributes:
        plan_name: The plan, as "gitt".
        cell: The cell's id.
        coating: Material of its coating, as "Li3InCl6"; "bare" for cells without one.
        station: Name of the station.
        status: One of "running", "paused", "finished", "stopped", "failed", "aborted", "interrupted",
            "unreadable" (a newer labctl has written it).
        tag: One of the `tags` of the start document.
        since: Started at this time or later.
        until: Started before this time.
        text: Words, each of which occurs in the start document or in the reason of the end (any case).
        uid: The uid begins so.
    """

    plan_name: str | None = None
    cell: str | None = None
    coating: str | None = None
    station: str | None = None
    status: Status | None = None
    tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    uid: str | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in STATUSES:
            raise ConfigurationError("search", "status", self.status, f"allowed are {', '.join(STATUSES)}")
        if self.uid is not None and re.fullmatch(r"[0-9A-Za-z-]+", self.uid) is None:
            raise ConfigurationError("search", "uid", self.uid, "letters, digits and hyphens")
        for name in ("since", "until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError("search", name, moment.isoformat(), "a time with its time zone")

    @property
    def words(self) -> list[str]:
        """The words of `text`, in lower case."""
        return (self.text or "").lower().split()


def parse_time(text: str, field: str, *, end: bool = False) -> datetime:
    """A date (2026-10-01), a time (2026-10-01T14:30, UTC unless it says otherwise), or days ago (7d).

    Args:
        text: What was typed.
        field: Name of the option, for the error.
        end: Of a date take the end of that day, so that the day is included.

    Raises:
        ConfigurationError: It is none of these.
    """
    if days := _DAYS_AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(days=int(days[1]))
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            return datetime.combine(day, time(), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        allowed = "a date as 2026-10-01, a time as 2026-10-01T14:30, or days ago as 7d"
        raise ConfigurationError("labctl runs", field, text, allowed) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
