"""Where runs lie in a data directory, and what is one."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path

from labctl.journal.format import is_uid, segment_name
from labctl.platform import is_regular, leads_out

_log = logging.getLogger(__name__)


def run_directories(data_directory: Path) -> list[Path]:
    """All directories that may hold a run, newest day first."""
    return [run for run in run_names(data_directory) if is_run_directory(run)]


def run_names(data_directory: Path) -> list[Path]:
    """All paths that are named as runs are, newest day first; they were not looked at.

    Links that lead out of the data directory are left out, and told once.
    """
    runs = data_directory / "runs"
    if _is_led_out(runs, data_directory):
        return []
    days = sorted((day for day in runs.glob("*-*-*") if day.is_dir()), reverse=True)
    days = [day for day in days if not _is_led_out(day, data_directory)]
    return [day / name for day in days for name in _names(day, data_directory)]


def _names(day: Path, data_directory: Path) -> list[str]:
    with os.scandir(day) as entries:
        found = [(entry.name, entry.is_symlink()) for entry in entries if is_uid(entry.name)]
    return sorted(name for name, link in found if not (link and _is_led_out(day / name, data_directory)))


def _is_led_out(path: Path, data_directory: Path) -> bool:
    if not path.is_symlink() or not leads_out(path, data_directory):
        return False
    _tell_once(path, data_directory)
    return True


@functools.cache
def _tell_once(path: Path, data_directory: Path) -> None:
    _log.warning("%s: a link that leads out of the data directory %s: skipped", path, data_directory)


def is_run_directory(directory: Path) -> bool:
    """True when the directory is named as a run and holds the beginning of a journal."""
    return is_uid(directory.name) and is_regular(directory / segment_name(0))
