"""The shipper: brings every run of a data directory into Tiled, and keeps up with those that are running."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from labctl.errors import NewerFormatError
from labctl.platform import leads_out
from labctl.runs.directory import is_run_directory
from labctl.store.connection import LETTERS_NAME, STATUS_NAME, plain_container
from labctl.store.ship.nodes import UnavailableError
from labctl.store.ship.run_shipper import RunShipper

FLUSH_PERIOD_SECOND = 1.0
_DOCUMENTS_A_TURN = 100
_SCAN_PERIOD_SECOND = 0.5
_FULL_SCAN_EVERY = 60  # scans; the others look at the newest days only
_NEWEST_DAYS = 2
_IDLE_SECOND = 0.1
_LOOK_AGAIN_SECOND = {"running": 0.2, "interrupted": 1.0, "complete": 0.0}
_LONGEST_BACK_OFF_SECOND = 30.0
_AFTER_A_BUG_SECOND = 60.0
_NEWER_LABCTL_SECOND = 600.0
_log = logging.getLogger(__name__)


@dataclass
class _Job:
    """A run on its way: when to look at it again, and what went wrong last."""

    shipper: RunShipper
    not_before: float = 0.0
    failures: int = 0
    error: str = ""


class Shipper:
    """Ships the runs of a data directory through a Tiled client.

    Args:
        data_directory: Runs are looked for below `runs/` of it.
        client: A Tiled client of the container that takes the runs.
        flush_period_second: A gathered row waits no longer than this before it is appended.
    """

    def __init__(
        self,
        data_directory: Path,
        client: Any,
        *,
        flush_period_second: float = FLUSH_PERIOD_SECOND,
    ) -> None:
        self._runs, self._store = data_directory / "runs", data_directory / "store"
        self._root = plain_container(client)
        self._flush_period_second = flush_period_second
        self._jobs: dict[str, _Job] = {}
        self._complete: set[str] = set()
        self._scans = 0
        self._next_scan = 0.0
        self._written: tuple[int, dict[str, dict[str, Any]]] | None = None

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set; no error of a run ends it."""
        while not stop.is_set():
            if not self.turn(stop):
                stop.wait(_IDLE_SECOND)
        for job in self._jobs.values():
            job.shipper.close()

    def turn(self, stop: threading.Event) -> bool:
        """Look for runs and move each of them on a little; True when there is more to do at once."""
        if time.monotonic() >= self._next_scan:
            self._scan()
            self._write_status()
            self._next_scan = time.monotonic() + _SCAN_PERIOD_SECOND
        more = False
        for uid, job in list(self._jobs.items()):
            if stop.is_set():
                return False
            if time.monotonic() >= job.not_before:
                more |= self._advance(job)
            if job.shipper.state == "complete":
                self._complete.add(uid)
                del self._jobs[uid]
        return more

    def _scan(self) -> None:
        days = sorted((day for day in self._runs.glob("*-*-*") if day.is_dir()), reverse=True)
        days = [day for day in days if not self._is_led_out(day)]
        whole = self._scans % _FULL_SCAN_EVERY == 0
        self._scans += 1
        for day in days if whole else days[:_NEWEST_DAYS]:
            for run in sorted(day.iterdir()):
                uid = run.name
                if uid in self._jobs or uid in self._complete or self._is_led_out(run):
                    continue
                if is_run_directory(run):
                    letters = self._store / LETTERS_NAME
                    self._jobs[uid] = _Job(RunShipper(self._root, run, letters))

    def _is_led_out(self, path: Path) -> bool:
        """A link to what is not in this data directory: its runs are not ours to ship."""
        return path.is_symlink() and leads_out(path, self._runs.parent)

    def _advance(self, job: _Job) -> bool:
        shipper = job.shipper
        try:
            more = shipper.advance(_DOCUMENTS_A_TURN, self._flush_period_second)
        except (UnavailableError, OSError) as error:
            self._back_off(job, error, min(_LONGEST_BACK_OFF_SECOND, 0.25 * 2**job.failures))
            return False
        except NewerFormatError as error:  # a labctl that can read it will ship it
            self._back_off(job, error, _NEWER_LABCTL_SECOND)
            return False
        except Exception as error:  # noqa: BLE001  one run that trips us must not keep the others from Tiled
            _log.exception("run %s", shipper.uid)
            self._back_off(job, error, _AFTER_A_BUG_SECOND)
            return False
        job.failures, job.error = 0, ""
        job.not_before = 0.0 if more else time.monotonic() + _LOOK_AGAIN_SECOND[shipper.state]
        return more

    def _back_off(self, job: _Job, error: Exception, wait_second: float) -> None:
        job.failures += 1
        job.error = f"{type(error).__name__}: {error}"
        job.not_before = time.monotonic() + wait_second
        _log.warning("run %s: next try in %.2g s: %s", job.shipper.uid, wait_second, job.error)

    def _write_status(self) -> None:
        runs = {
            uid: {
                "state": job.shipper.state,
                "rows": job.shipper.rows,
                "waiting": job.shipper.waiting,
                "refused": job.shipper.refused,
                "error": job.error,
            }
            for uid, job in self._jobs.items()
        }
        if (status := (len(self._complete), runs)) != self._written:
            write_status(self._store, *status)
            self._written = status


def write_status(
    store: Path, complete: int = 0, runs: dict[str, dict[str, Any]] | None = None, error: str = ""
) -> None:
    """Say how far the shipper is, for whoever asks; not synced, nothing depends on it."""
    status = orjson.dumps({"complete": complete, "runs": runs or {}, "error": error})
    path = store / STATUS_NAME
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)  # whatever it is: a link would be written through
    new.write_bytes(status)
    new.replace(path)
