"""`labctl live` and `labctl replay`: the window, on a run in progress or on a stored one."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.commands.common import chosen_data
from labctl.errors import ConfigurationError
from labctl.runs import find_run

_SOURCES = ("auto", "journal", "tiled")
_THEMES = ("dark", "light")


def open_live(uid: str | None, data: Path | None, *, screenshot: Path | None, size: str, theme: str) -> int:
    """The live window on the newest run, or on `uid`."""
    pixels = _pixels(size, "labctl live")
    _one_of(theme, _THEMES, "labctl live", "--theme")
    directory = chosen_data(data)
    run = find_run(directory, uid).directory if uid is not None else None
    from labctl.live.app import run_live

    return run_live(directory, run_directory=run, screenshot=screenshot, size=pixels, theme=theme)


def open_replay(
    uid: str, data: Path | None, *, speed: str, source: str, screenshot: Path | None, size: str, theme: str
) -> int:
    """The same window, fed from the store."""
    pixels = _pixels(size, "labctl replay")
    _one_of(theme, _THEMES, "labctl replay", "--theme")
    _one_of(source, _SOURCES, "labctl replay", "--source")
    factor = _speed(speed)
    directory = chosen_data(data)
    from labctl.live.app import run_replay
    from labctl.store.client import Store

    store = Store(directory)
    full_uid = store.resolve(uid)
    documents = store.documents(full_uid, source=source)  # type: ignore[arg-type]  # checked above
    return run_replay(
        documents,
        speed=factor,
        title=f"replay {full_uid[:8]}",
        screenshot=screenshot,
        size=pixels,
        theme=theme,
    )


def _pixels(size: str, where: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{3,5})x(\d{3,5})", size)
    if not match or not all(320 <= int(n) <= 16384 for n in match.groups()):
        raise ConfigurationError(where, "--size", size, "allowed is WIDTHxHEIGHT, 320 to 16384 pixels each")
    return int(match[1]), int(match[2])


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e9:
        raise ConfigurationError("labctl replay", "--speed", text, "allowed is a number above 0, or max")
    return factor


def _one_of(value: str, allowed: tuple[str, ...], where: str, field: str) -> None:
    if value not in allowed:
        raise ConfigurationError(where, field, value, f"allowed are {', '.join(allowed)}")
