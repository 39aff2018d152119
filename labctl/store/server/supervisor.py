"""Keeping the service alive while runs are made: started again when it has died, not when it was stopped."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

from labctl.platform import is_locked

_LOOK_SECOND = 5.0
_LONGEST_PAUSE_SECOND = 600.0
_log = logging.getLogger(__name__)
_keepers: dict[Path, Keeper] = {}
_making = threading.Lock()


def keep_alive(lock: Path, stopped: Path, start: Callable[[], object]) -> None:
    """From now on look after a service, for as long as this process lives; again for the same: nothing."""
    with _making:
        if lock not in _keepers or not _keepers[lock].is_alive():
            _keepers[lock] = Keeper(lock, stopped, start)
            _keepers[lock].start()


class Keeper(threading.Thread):
    """Starts a service whose process is gone; one that dies again and again ever more seldom.

    Ends when the service's directory is gone.

    Args:
        lock: Held by the service while it lives.
        stopped: While this file exists the service is to stay stopped.
        start: Starts the service, does not wait for it.
        look_second: How often to look; also the shortest pause between two starts.
    """

    def __init__(
        self, lock: Path, stopped: Path, start: Callable[[], object], look_second: float = _LOOK_SECOND
    ) -> None:
        super().__init__(name="store-keeper", daemon=True)
        self._lock, self._stopped, self._start, self._look_second = lock, stopped, start, look_second
        self._started_at, self._pause_second = -inf, look_second  # monotonic second
        self.looks = 0

    def run(self) -> None:
        """Look, wait, look again."""
        nobody = threading.Event()
        while not nobody.wait(self._look_second) and self._lock.parent.exists():
            if not is_locked(self._lock) and not self._stopped.exists():
                self._start_again()
            self.looks += 1

    def _start_again(self) -> None:
        since_second = time.monotonic() - self._started_at
        if since_second < self._pause_second:
            return
        died_again = since_second < _LONGEST_PAUSE_SECOND
        longer_second = min(2 * self._pause_second, _LONGEST_PAUSE_SECOND)
        self._pause_second = longer_second if died_again else self._look_second
        self._started_at = time.monotonic()
        _log.warning("the document store has died, it is started again")
        try:
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("the document store cannot be started, the journal is not affected: %s", error)
