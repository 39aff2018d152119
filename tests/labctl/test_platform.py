"""Locks, ports, ending processes, private files: the ground that "alive means locked" stands on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labctl.errors import LabctlError
from labctl.platform import (
    FileLock,
    is_locked,
    port_key,
    port_lock,
    replace_atomically,
    sync,
    terminate,
    write_private,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
HOLD = """
import sys, threading
from labctl.platform import FileLock
lock = FileLock(sys.argv[1])
print(lock.acquire(), flush=True)
threading.Event().wait()
"""
CHILDREN = """
import os, signal, subprocess, sys
from labctl.platform import FileLock, is_locked
lock = FileLock(sys.argv[1])
lock.acquire()
sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
ours, theirs = os.pipe()
forked = os.fork()
if forked == 0:
    os.write(theirs, b"up")
    signal.pause()
os.read(ours, 2)
held = is_locked(sys.argv[1])
lock.release()
print("held", held, "after release", is_locked(sys.argv[1]))
os.kill(forked, signal.SIGKILL)
sleeper.kill()
"""
DEAF = """
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
threading.Event().wait()
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() in ("True", "ready")
    return child


def finish(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def test_a_lock_is_held_once_and_released(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire(), "taking it twice is no error"
    assert not second.acquire()
    assert is_locked(tmp_path / "lock")
    assert second.owner_pid() == os.getpid()
    first.release()
    assert not is_locked(tmp_path / "lock")
    assert second.owner_pid() is None
    assert second.acquire()
    second.release()


def test_a_lock_dies_with_its_process_and_names_it_before(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = start(HOLD, str(path))
    assert not FileLock(path).acquire()
    assert FileLock(path).owner_pid() == child.pid
    finish(child)
    with FileLock(path) as lock:
        assert lock.owner_pid() == os.getpid()


def test_a_held_lock_as_context_names_file_and_owner(tmp_path: Path) -> None:
    child = start(HOLD, str(tmp_path / "lock"))
    with (
        pytest.raises(LabctlError, match=rf"lock: locked by process {child.pid}"),
        FileLock(tmp_path / "lock"),
    ):
        pass
    finish(child)


@posix
def test_children_do_not_inherit_a_lock(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, str(tmp_path / "lock")], capture_output=True, text=True, timeout=20
    )
    assert (done.stdout, done.stderr) == ("held True after release False\n", "")


def test_looking_at_a_lock_all_the_time_does_not_keep_others_from_taking_it(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    path.touch()

    def look() -> None:
        while not stop.is_set():
            is_locked(path)

    watcher = threading.Thread(target=look)
    watcher.start()
    taken = 0
    for _ in range(200):
        lock = FileLock(path)
        taken += lock.acquire()
        lock.release()
    stop.set()
    watcher.join()
    assert taken == 200


@posix
def test_aliases_of_one_port_have_one_lock(tmp_path: Path) -> None:
    controller, device = os.openpty()
    name = os.ttyname(device)
    alias = tmp_path / "by-id"
    alias.symlink_to(name)
    lock = port_lock(name)
    assert lock.acquire()
    assert not port_lock(str(alias)).acquire()
    assert not port_lock(f"ASRL{name}::INSTR").acquire()
    lock.release()
    os.close(controller)
    os.close(device)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("socket://localhost:5025", "TCPIP::127.0.0.1::5025::SOCKET"),
        ("socket://LOCALHOST:5025?logging=debug", "TCPIP0::localhost::5025::SOCKET"),
        ("COM3", "\\\\.\\com3"),
        ("ASRL3::INSTR", "COM3"),
        ("TCPIP::192.0.2.1::INSTR", "tcpip0::192.0.2.1::inst0::INSTR"),
        ("USB0::0x05E6::0x2450::01::INSTR", "usb0::0x05e6::0x2450::01::instr"),
    ],
)
def test_two_spellings_of_a_port_are_one(one: str, other: str) -> None:
    assert port_key(one) == port_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("socket://127.0.0.1:5025", "socket://127.0.0.1:5026"),
        ("/dev/ttyACM0", "/dev/ttyACM1"),
        ("COM3", "COM30"),
        ("TCPIP::192.0.2.1::inst0::INSTR", "TCPIP::192.0.2.1::inst1::INSTR"),
    ],
)
def test_two_ports_are_two(one: str, other: str) -> None:
    assert port_key(one) != port_key(other)


@posix
def test_the_directory_of_port_locks_is_private() -> None:
    directory = port_lock("socket://127.0.0.1:1").path.parent
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.stat().st_uid == os.getuid()


def test_terminate_ends_a_process_that_listens() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    assert terminate(child.pid, 5)
    assert child.wait() == -signal.SIGTERM
    assert terminate(child.pid, 1), "a process that is gone is no error"


@posix
def test_terminate_kills_a_process_that_does_not_listen() -> None:
    child = start(DEAF)
    assert terminate(child.pid, 0.2)
    assert child.wait() == -signal.SIGKILL
    finish(child)


@pytest.mark.parametrize("pid", [-1, 0, 1, os.getpid()], ids=["group", "own group", "init", "itself"])
def test_terminate_refuses_groups_init_and_itself(pid: int) -> None:
    with pytest.raises(ValueError, match="another process"):
        terminate(pid, 1)


@posix
def test_private_files_are_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "inside").touch()
    with pytest.raises(OSError):  # noqa: PT011  a directory that is not empty cannot be replaced by a file
        replace_atomically(tmp_path / "state", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_sync_takes_any_open_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        file.flush()
        sync(file.fileno())
