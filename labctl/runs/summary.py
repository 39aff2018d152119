"""One run at a glance, from its start and stop documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from labctl.errors import NewerFormatError
from labctl.formats import START_FIELD, require_readable
from labctl.runs.query import BARE, WITH_WRITER, Status
from labctl.schema import TIMESERIES

_STATUS: dict[str, Status] = {"success": "finished", "fail": "failed", "abort": "aborted"}
_POINTS_STREAM = TIMESERIES.name
_YEAR_3000 = 32_503_680_000.0  # unix seconds
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class RunSummary:
    """One run at a glance.

    Attributes:
        uid: The run's full uid.
        directory: Where its journal is; of a run that only the document store has, where it was.
        start_unix_second: Wall time of the start document, seconds since 1970.
        plan_name: The plan, or "" if the start document names none.
        cell_id: Id of the cell, or "".
        station: Name of the station, or "".
        status: "running" or "paused" while its writer lives, "interrupted" when it died without a stop
            document (one that was added later does not change that), "stopped" when a person stopped it
            before its protocol's end, "unreadable" when a newer labctl has written it, else what the stop
            document says.
        points: Rows of `timeseries`; while there is no stop document, up to the last row written.
        reason: The stop document's reason, why it is unreadable, or "".
        coating: Material of the cell's coating, "bare" if it has none, "" if the run names no cell record.
        tags: The `tags` of the start document.
        source: Where it was found: "journal", or "tiled" when its journal is not there.
    """

    uid: str
    directory: Path
    start_unix_second: float
    plan_name: str
    cell_id: str
    station: str
    status: Status
    points: int
    reason: str
    coating: str = ""
    tags: tuple[str, ...] = ()
    source: Literal["journal", "tiled"] = "journal"

    @property
    def has_writer(self) -> bool:
        """Whether the run has not ended and its process lives."""
        return self.status in WITH_WRITER

    @property
    def start_time(self) -> datetime:
        """Wall time of the start, UTC."""
        return datetime.fromtimestamp(self.start_unix_second, UTC)


def summarise(
    directory: Path,
    start: dict[str, Any],
    stop: dict[str, Any] | None,
    *,
    status: Status,
    points: int,
    source: Literal["journal", "tiled"] = "journal",
) -> RunSummary:
    """A summary of a run.

    Args:
        directory: Named by the run's uid.
        start: Its start document, or what is known of it.
        stop: Its stop document, None if there is none: then `status` and `points` count.
        status: "running", "paused" or "interrupted".
        points: Rows of `timeseries` so far.
        source: Where the documents come from.
    """
    cell = start.get("cell")
    tags = start.get("tags", ())
    counts = (stop or {}).get("num_events")
    counted = counts.get(_POINTS_STREAM, 0) if isinstance(counts, dict) else 0
    refusal = why_unreadable(directory, start)
    return RunSummary(
        uid=directory.name,
        directory=directory,
        start_unix_second=start_unix_second(start),
        plan_name=str(start.get("plan_name", "")),
        cell_id=str(cell.get("id", "") if isinstance(cell, dict) else cell or ""),
        station=station_name(start),
        status="unreadable" if refusal else status if stop is None else status_of_stop(stop),
        points=int(counted or 0) if stop is not None else points,
        reason=refusal or str((stop or {}).get("reason", "")),
        coating=_coating(cell) if isinstance(cell, dict) else "",
        tags=tuple(map(str, tags)) if isinstance(tags, list | tuple) else (str(tags),),
        source=source,
    )


def why_unreadable(directory: Path, start: dict[str, Any]) -> str:
    """Why a run of this start document cannot be read by this labctl; "" if it can."""
    try:
        require_readable("journal", start.get(START_FIELD), str(directory))
    except NewerFormatError as error:
        return str(error)
    return ""


def status_of_stop(stop: dict[str, Any]) -> Status:
    """What a stop document says of its run; one that was added after a crash says "interrupted"."""
    if stop.get("recovered") is True:
        return "interrupted"
    if stop.get("stopped") is True:
        return "stopped"
    return _STATUS.get(str(stop.get("exit_status")), "failed")


def station_name(start: dict[str, Any]) -> str:
    """Name of the station in a start document, or ""."""
    station = start.get("station")
    return str(station.get("name", "") if isinstance(station, dict) else station or "")


def start_unix_second(start: dict[str, Any]) -> float:
    """Wall time of a start document; 0 where a stranger wrote something that is no time."""
    value = start.get("time")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < _YEAR_3000 else 0.0


def _coating(cell: dict[str, Any]) -> str:
    coating = cell.get("coating")
    return str(coating.get("material", "")) if isinstance(coating, dict) else BARE


def words_of(start: dict[str, Any], stop: dict[str, Any] | None) -> str:
    """What a search for words looks through, in lower case: names and values of a run's documents.

    The protocol comes last: of very long documents only the beginning is kept.
    """
    parts = [f"{key} {_words(value)}" for key, value in start.items() if key != "protocol"]
    parts += [str((stop or {}).get("reason", "")), _words(start.get("protocol", ""))]
    return "\n".join(parts).lower()[:_MOST_CHARACTERS]


def _words(value: Any) -> str:
    """Names and values in it; without recursion, as a document may be nested as deep as somebody likes."""
    words, left = list[str](), [value]
    while left and len(words) < _MOST_CHARACTERS:
        here = left.pop()
        if isinstance(here, dict):
            left += [part for pair in reversed(here.items()) for part in reversed(pair)]
        elif isinstance(here, list):
            left += reversed(here)
        else:
            words.append(str(here))
    return " ".join(words)
