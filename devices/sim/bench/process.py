"""The process of a simulated bench: `python -m devices.sim.bench.process --directory DIR --settings JSON`.

It holds `bench.lock` in its directory while it lives and tells in `bench.json` (readable by its owner only)
where it listens. It ends on SIGTERM, on the control verb `stop`, and after a time without any client; it then
saves the state of its cell. It prints "ready" when it can be used, or why it cannot.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devices.sim.bench.settings import BenchSettings
    from devices.sim.bench.station import Bench


IDLE_WALL_SECOND = 600.0
LOCK_NAME, INFO_NAME, LOG_NAME = "bench.lock", "bench.json", "bench.log"
ALREADY_RUNNING = "a bench is running already"
EXIT_LOCKED, EXIT_REFUSED = 3, 2
_HOUSEKEEPING_WALL_SECOND, _SAVES_EVERY = 0.5, 20


def main(arguments: list[str] | None = None) -> int:
    """Run a bench until it ends; the exit code."""
    parser = argparse.ArgumentParser(prog="devices.sim.bench.process", description="A simulated bench.")
    parser.add_argument("--directory", type=Path, required=True, help="where lock, ports and states are")
    parser.add_argument("--settings", required=True, help="BenchSettings as JSON")
    parser.add_argument("--idle-second", type=float, default=IDLE_WALL_SECOND, help="end after so long alone")
    parser.add_argument("--private", action="store_true", help="remove the directory at the end")
    parser.add_argument("--detach", action="store_true", help="go on in the background (POSIX)")
    options = parser.parse_args(arguments)
    if options.detach and hasattr(os, "fork") and os.fork():
        os._exit(0)  # before anything heavy is imported, opened or started

    from pydantic import ValidationError

    from devices.sim.bench.settings import BenchSettings
    from labctl.errors import LabctlError
    from labctl.platform import FileLock

    try:
        settings = BenchSettings.model_validate_json(options.settings)
    except ValidationError as error:
        _say(f"settings: {error}")
        return EXIT_REFUSED
    lock = FileLock(options.directory / LOCK_NAME)
    try:
        options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        acquired = lock.acquire()
    except OSError as error:
        _say(f"{error.filename}: cannot be written: {error.strerror}")
        return EXIT_REFUSED
    if not acquired:
        _say(f"{options.directory}: {ALREADY_RUNNING}, as process {lock.owner_pid()}")
        return EXIT_LOCKED
    (options.directory / INFO_NAME).unlink(missing_ok=True)  # of a bench that was killed
    try:
        asyncio.run(_serve(settings, options))
    except LabctlError as error:
        _say(str(error))
        return EXIT_REFUSED
    finally:
        if options.private:
            shutil.rmtree(options.directory, ignore_errors=True)
        lock.release()
    return 0


async def _serve(settings: BenchSettings, options: argparse.Namespace) -> None:
    import json

    from devices.sim.bench.station import Bench
    from labctl.platform import write_private

    stop = asyncio.Event()
    _stop_on_signals(stop)
    bench = Bench(settings, options.directory, stop.set)
    info_path: Path = options.directory / INFO_NAME
    try:
        info = await bench.open()
        write_private(info_path, json.dumps(info).encode())
        _say("ready")
        _leave_terminal(options.directory / LOG_NAME)
        await _until_stopped(bench, stop, options.idle_second)
    finally:
        info_path.unlink(missing_ok=True)
        await bench.close()


async def _until_stopped(bench: Bench, stop: asyncio.Event, idle_second: float) -> None:
    rounds = 0
    while not stop.is_set() and bench.idle_wall_second() < idle_second:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUSEKEEPING_WALL_SECOND)
        rounds += 1
        if rounds % _SAVES_EVERY == 0:
            bench.save()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _say(text: str) -> None:
    """To whoever started the process; afterwards it may be gone."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _leave_terminal(log: Path) -> None:
    """From now on warnings and tracebacks go to the log; the starter sees the end of the output."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
