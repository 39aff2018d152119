"""`labctl live` and `labctl replay`: the window, on a run in progress or on a stored one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from labctl.commands.chosen import chosen_data
from labctl.errors import ConfigurationError
from labctl.runs.listing import find_run

_SOURCES = ("auto", "journal", "tiled")


def open_live(
    uid: str | None,
    data: Path | None,
    *,
    screenshot: Path | None,
    size: str,
    theme: str,
    panel: str | None = None,
) -> int:
    """The live window on the newest run, or on `uid`."""
    options = _options("labctl live", screenshot, size, theme, panel)
    directory = chosen_data(data)
    run = find_run(directory, uid).directory if uid is not None else None
    from labctl.live.app import run_live

    return run_live(directory, run_directory=run, **options)


def open_replay(
    uid: str,
    data: Path | None,
    *,
    speed: str,
    source: str,
    screenshot: Path | None,
    size: str,
    theme: str,
    panel: str | None = None,
) -> int:
    """The same window, fed from the store; a run that is still going is followed when it has caught up."""
    options = _options("labctl replay", screenshot, size, theme, panel)
    if source not in _SOURCES:
        raise ConfigurationError("labctl replay", "--source", source, f"allowed are {', '.join(_SOURCES)}")
    factor = _speed(speed)
    directory = chosen_data(data)
    from labctl.live.app import run_replay
    from labctl.store.client.store import Store

    store = Store(directory)
    full_uid = store.resolve(uid)
    read = partial(store.documents, full_uid, source=source)  # type: ignore[arg-type]  # checked above
    goes_on = store.summary(full_uid).has_writer
    return run_replay(
        read,
        speed=factor,
        title=f"replay {full_uid[:8]}",
        live=(lambda halt: read(live=True, halt=halt)) if goes_on else None,
        **options,
    )


def _options(where: str, screenshot: Path | None, size: str, theme: str, panel: str | None) -> dict[str, Any]:
    """What the window is to look like, checked before anything starts."""
    from labctl.live.app import check_look

    panels = tuple(name.strip() for name in panel.split(",")) if panel is not None else ()
    look = {"screenshot": screenshot, "size": _pixels(size, where), "theme": theme, "panels": panels}
    check_look(where, **look)
    return look


def _pixels(size: str, where: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", size)
    if not match:
        raise ConfigurationError(where, "--size", size, "WIDTHxHEIGHT in pixels, such as 1280x720")
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
