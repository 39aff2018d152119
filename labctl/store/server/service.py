"""The document store's service: one process per data directory, started when first needed and left running.

It is a Tiled server on 127.0.0.1 together with the shipper that fills it (see `labctl.store.server.process`);
of a data directory with a lab-wide store it is the shipper alone. It is alive as long as its lock is held;
`stop_service` ends it, and so does the disappearance of its directory. While runs are made it is started
again if it dies.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson

from labctl.errors import StoreError
from labctl.platform import FileLock, has_ended, is_locked, read_regular, start_detached, terminate
from labctl.records.station import Station
from labctl.store.connection import (
    INFO_NAME,
    KEY_NAME,
    LETTERS_NAME,
    LOCK_NAME,
    LOG_NAME,
    STATUS_NAME,
    ServiceInfo,
    store_directory,
)
from labctl.store.lab_store import lab_store_named_by, lab_store_of, use_lab_store
from labctl.store.rejections import all_letters
from labctl.store.server.supervisor import keep_alive

_STOPPED_NAME = "stopped"  # a file that is there from a person's stop to the next start
_START_SECOND = 60.0
_STOP_SECOND = 15.0
_POLL_SECOND = 0.05
_STARTS = 2
_LOG_LIMIT_BYTE = 5_000_000
_LARGEST_BYTE = 20_000_000  # of what the service and the shipper say of themselves
_log = logging.getLogger(__name__)


def ensure_service(data_directory: Path, timeout_second: float = _START_SECOND) -> ServiceInfo:
    """Find the service of a data directory, or start it and wait until it answers.

    Raises:
        StoreError: It does not come up; the message ends with what its log says.
    """
    store = store_directory(data_directory)
    deadline = time.monotonic() + timeout_second
    started: list[int] = []
    while time.monotonic() < deadline:
        if (info := find_service(data_directory)) is not None:
            return info
        if not is_locked(store / LOCK_NAME) and (not started or has_ended(started[-1])):
            if len(started) == _STARTS:
                break
            started.append(_start(store))
        _wait()
    raise StoreError(f"the document store does not start: {_last_words(store)}")


def start_service_in_background(data_directory: Path, station: Station | None = None) -> None:
    """Start the service if it is not running, without waiting for it; a failure is logged, never raised.

    As long as this process lives it is started again when it has died, unless it was stopped.

    Args:
        data_directory: Its runs are shipped.
        station: Whose runs they are: it may name a lab-wide store.

    Raises:
        ConfigurationError: The station's store is not the one to which this directory is shipped already, or
            its key is not there.
    """
    news = station is not None and use_lab_store(data_directory, lab_store_named_by(station))
    try:
        if news:
            stop_service(data_directory)
        store = store_directory(data_directory)
        if not is_locked(store / LOCK_NAME):
            _start(store)
        keep_alive(store / LOCK_NAME, store / _STOPPED_NAME, lambda: _start(store))
    except (OSError, StoreError, subprocess.SubprocessError) as error:
        _log.warning("the document store cannot be started, the journal is not affected: %s", error)


def find_service(data_directory: Path) -> ServiceInfo | None:
    """The running service if it answers, None otherwise; starts nothing.

    With a lab-wide store it is the local shipper that is found, whether or not the store answers.
    """
    store = Path(data_directory).resolve() / "store"
    pid = FileLock(store / LOCK_NAME).owner_pid()
    try:
        told = orjson.loads(read_regular(store / INFO_NAME, _LARGEST_BYTE))
        local = "port" in told
        uri = f"http://127.0.0.1:{int(told['port'])}/api/v1" if local else str(told["uri"])
        info = ServiceInfo(uri, told["api_key"], told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A file left by a dead process names another pid than the lock: the key goes to nobody else.
    return info if info.pid == pid and (not local or _answers(int(told["port"]))) else None


def stop_service(data_directory: Path) -> bool:
    """End the service if it runs; what it has not shipped yet it ships when it is started again.

    Returns:
        Whether it was running.

    Raises:
        StoreError: It does not end.
    """
    store = Path(data_directory).resolve() / "store"
    lock = FileLock(store / LOCK_NAME)
    if store.exists():
        (store / _STOPPED_NAME).touch()
    pid = lock.owner_pid()
    if pid is None:
        return False
    terminate(pid, _STOP_SECOND)
    deadline = time.monotonic() + _STOP_SECOND
    while lock.owner_pid() == pid:
        if time.monotonic() > deadline:
            raise StoreError(f"the document store (process {pid}) does not end")
        _wait()
    return True


def service_status(data_directory: Path) -> dict[str, Any]:
    """Whether the service runs, where, and how far it has come: runs complete, and those on their way.

    The web interface wants the key once, as `?api_key=`: that of the key file named here.
    """
    store = Path(data_directory).resolve() / "store"
    info, lab = find_service(data_directory), lab_store_of(data_directory)
    status: dict[str, Any] = {
        "running": info is not None,
        "pid": info.pid if info else None,
        "uri": info.uri if info else None,
        "web": f"{info.uri.partition('/api/v1')[0]}/ui/browse/" if info else None,
        "lab_wide": lab is not None,
        "key_file": str(lab.api_key_file if lab else store / KEY_NAME),
        "log": str(store / LOG_NAME),
    }
    letters = {
        uid: [{"what": letter.what, "reason": letter.reason} for letter in found]
        for uid, found in all_letters(store / LETTERS_NAME).items()
    }
    return status | shipper_status(data_directory) | {"refused": letters}


def shipper_status(data_directory: Path) -> dict[str, Any]:
    """What the shipper last said.

    Returns:
        `complete`: the number of runs wholly in Tiled; `runs`: of each other run its state, the rows in Tiled
        and those read but not shipped yet, and its error; `error`: why nothing is shipped at all, or "".
    """
    said: dict[str, Any] = {"complete": 0, "runs": {}, "error": ""}
    with contextlib.suppress(OSError, ValueError, TypeError):
        said |= orjson.loads(read_regular(Path(data_directory) / "store" / STATUS_NAME, _LARGEST_BYTE))
    return said


def _start(store: Path) -> int:
    (store / _STOPPED_NAME).unlink(missing_ok=True)
    log = store / LOG_NAME
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTE:
        log.replace(log.with_suffix(".log.1"))
    # Settings of some other Tiled in this shell must not reach ours; few retries, it talks to itself.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TILED_")}
    environment["TILED_RETRY_ATTEMPTS"] = "2"
    return start_detached(
        [sys.executable, "-P", "-m", "labctl.store.server.process", str(store.parent)], log, environment
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(store: Path) -> str:
    try:
        lines = (store / LOG_NAME).read_text(errors="replace").strip().splitlines()
    except OSError:
        return "it has written no log"
    return f"{lines[-1] if lines else 'its log is empty'} (see {store / LOG_NAME})"


def _wait() -> None:
    threading.Event().wait(_POLL_SECOND)
