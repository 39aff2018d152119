"""The text of the status line: state, plan, cell, progress, last values, age of data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from labctl.journal.run_end import as_it_ended
from labctl.live.model.run_model import RunModel
from labctl.live.text import ampere_parts, counted, volt_parts
from labctl.runs.summary import status_of_stop
from labctl.schema import CURRENT, ENVIRONMENT, STEPS, SURFACE_PRESSURE, TEMPERATURE, TIMESERIES, VOLTAGE
from labctl.units import duration_text

State = Literal[
    "waiting",
    "running",
    "stale",
    "paused",
    "tripped",
    "finished",
    "stopped",
    "aborted",
    "interrupted",
    "failed",
    "unreadable",
    "replay",
]
STATE_TEXT: dict[State, str] = {
    "waiting": "waiting",
    "running": "running",
    "stale": "no new data",
    "paused": "paused",
    "tripped": "tripped",
    "finished": "finished",
    "stopped": "stopped",
    "aborted": "aborted",
    "interrupted": "interrupted",
    "failed": "failed",
    "unreadable": "unreadable",
    "replay": "replay",
}
# The sign beside the word, so that a state is shown by shape too and not by colour alone.
STATE_SIGN: dict[State, str] = {
    "waiting": "○",
    "running": "▶",
    "stale": "▲",
    "paused": "❚❚",
    "tripped": "◆",
    "finished": "✔",
    "stopped": "□",
    "aborted": "■",
    "interrupted": "▲",
    "failed": "✖",
    "unreadable": "?",
    "replay": "▷",
}
_SHORTEST_SILENCE_SECOND = 30.0
_SILENCE_PER_GAP = 3.0


@dataclass(frozen=True)
class ShownValue:
    """One last value: what it is, the number as text, its unit."""

    label: str
    number: str
    unit: str


@dataclass(frozen=True)
class Status:
    """All texts of the status line.

    `fraction` is None where the length of the run is unknown; `health` describes the window itself.
    """

    state: State
    title: str
    detail: str = ""
    progress: str = ""
    fraction: float | None = None
    values: tuple[ShownValue, ...] = ()
    age: str = ""
    health: str = ""
    warning: str = ""


def describe(
    model: RunModel,
    *,
    now_unix_second: float,
    writer_alive: bool = True,
    replay_title: str | None = None,
    replay_speed: float | None = None,
    damaged: int = 0,
) -> Status:
    """The status of a run.

    Args:
        model: What is known of it.
        now_unix_second: Wall time now.
        writer_alive: Whether a process holds the run's lock.
        replay_title: What is replayed, if this is no live run; ages then mean nothing and are left out.
        replay_speed: Run time per wall time of the replay; None for as fast as possible.
        damaged: Stretches of the journal that could not be read.
    """
    replayed = replay_title is not None
    state = _state(model, now_unix_second, writer_alive, replayed)
    pace = model.progress.wall_per_cell_second
    if replayed:
        pace = 1 / replay_speed if replay_speed else None
    return Status(
        state=state,
        title=" · ".join(part for part in (_title(model), replay_title) if part),
        detail=_detail(model),
        progress=_progress(model, state, pace),
        fraction=model.progress.fraction,
        values=_values(model),
        age="" if replayed else _age(model, now_unix_second),
        warning=_warning(model, state, damaged),
    )


def _progress(model: RunModel, state: State, pace: float | None) -> str:
    """How far the run is, and how long it will take where it goes on."""
    text = model.progress.time_text(pace) if model.progress.step_count else ""
    return " · ".join(text.split(" · ")[:2]) if state in ("tripped", "interrupted") else text


def _state(model: RunModel, now: float, writer_alive: bool, replayed: bool) -> State:
    if model.stop is not None:
        state = status_of_stop(as_it_ended(model.start or {}, model.stop, lambda: model.last.get(STEPS.name)))
        return "tripped" if model.tripped and state != "finished" else state
    if replayed:
        return "replay"
    if model.start is None:
        return "waiting"
    if not writer_alive:
        return "interrupted"
    if model.tripped:
        return "tripped"
    if model.paused:
        return "paused"
    silent = _silence(model, now) > longest_silence_second(model.longest_gap_second)
    return "stale" if silent else "running"


def _silence(model: RunModel, now: float) -> float:
    return now - model.last_data_unix_second if model.last_data_unix_second is not None else 0.0


def longest_silence_second(longest_gap_second: float) -> float:
    """The time without data after which a running measurement counts as stale.

    Args:
        longest_gap_second: The longest recent time between rows.
    """
    return max(_SHORTEST_SILENCE_SECOND, _SILENCE_PER_GAP * longest_gap_second)


def _title(model: RunModel) -> str:
    cell = ", ".join(part for part in (model.cell_id, model.coating) if part)
    return " · ".join(part for part in (model.plan_name, cell) if part)


def _detail(model: RunModel) -> str:
    if model.stop is None:
        return model.progress.step_line
    told = (
        counted(model.progress.steps_done, "step", "steps"),
        counted(model.timeseries.rows_fed, "point", "points") or "no points",
        counted(len(model.spectra.all), "spectrum", "spectra"),
    )
    return " · ".join(part for part in told if part)


def _values(model: RunModel) -> tuple[ShownValue, ...]:
    row = model.last.get(TIMESERIES.name, {})
    peak = model.timeseries.peak(CURRENT)
    found = [
        ShownValue("Voltage", *volt_parts(row.get(VOLTAGE))),
        ShownValue("Current (charge > 0)", *ampere_parts(row.get(CURRENT), peak)),
    ]
    environment = model.last.get(ENVIRONMENT.name, {})
    for column, label, show in _ENVIRONMENT:
        value = environment.get(column)
        if isinstance(value, int | float) and isfinite(value):
            found.append(ShownValue(label, *show(float(value))))
    return tuple(found)


def _celsius(value: float) -> tuple[str, str]:
    return f"{value:.1f}".replace("-", "−"), "°C"


def _megapascal(value: float) -> tuple[str, str]:
    return f"{value / 1e6:.1f}".replace("-", "−"), "MPa"


_Show = Callable[[float], tuple[str, str]]
_ENVIRONMENT: tuple[tuple[str, str, _Show], ...] = (
    (TEMPERATURE, "Temperature", _celsius),
    (SURFACE_PRESSURE, "Stack pressure", _megapascal),
)


def _age(model: RunModel, now: float) -> str:
    ended = _unix_second(model.stop)
    if ended is not None:
        return f"ended {duration_text(now - ended)} ago"
    if model.last_data_unix_second is None:
        return ""
    return f"data {duration_text(_silence(model, now))} old"


def _unix_second(doc: dict[str, Any] | None) -> float | None:
    when = (doc or {}).get("time")
    return float(when) if isinstance(when, int | float) else None


def _warning(model: RunModel, state: State, damaged: int) -> str:
    reason = str(model.stop.get("reason", "")) if model.stop else ""
    told = [reason] if reason and state != "finished" else []
    if model.alarms:
        last = model.alarm_rows[-1]
        more = f" (and {model.alarms - 1} more)" if model.alarms > 1 else ""
        what = " ".join(str(last[key]) for key in ("kind", "source") if last.get(key))
        action = f": {last['action']}" if last.get("action") else ""
        told.append(f"alarm: {what}{action}{more}")
    if damaged:
        told.append(f"{damaged} damaged stretch{'es' if damaged > 1 else ''} of the journal skipped")
    return " · ".join(told)
