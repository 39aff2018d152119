"""What differs between operating systems: locks, syncing, ending processes, private files.

"Alive means locked": a process that writes a run, serves a store or owns a port holds a lock on a file. The
kernel drops the lock with the process, so a lock never outlives its owner and nobody has to guess from a pid.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from labctl.errors import LabctlError

if sys.platform == "darwin":
    import fcntl

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of <linux/falloc.h>


_BINARY, _NO_FOLLOW = getattr(os, "O_BINARY", 0), getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # to open a FIFO waits for its other end
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_to_append(path: str | os.PathLike[str], *, new: bool = False) -> int:
    """Descriptor of `path` for writes at its end, bytes as they are; `new` refuses an existing file.

    Raises:
        OSError: It cannot be opened, or is no regular file; a symbolic link is not followed.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY | _NO_FOLLOW | _NO_WAIT
    return _regular(_opened(path, flags | (os.O_EXCL if new else 0)), path)


def open_regular(path: str | os.PathLike[str], *, follow: bool = True) -> io.FileIO:
    """A regular file for reading, without a buffer; nothing else is waited for.

    Args:
        path: The file.
        follow: Whether it may be a symbolic link.

    Raises:
        OSError: It cannot be opened, or is a FIFO, a device, a socket, a directory, or a link.
    """
    fd = _opened(path, os.O_RDONLY | _BINARY | _NO_WAIT | (0 if follow else _NO_FOLLOW))
    return io.FileIO(_regular(fd, path), "rb")


def read_regular(path: str | os.PathLike[str], largest_byte: int) -> bytes:
    """All of a regular file.

    Raises:
        OSError: It cannot be read, is no regular file, or holds more than `largest_byte` (EFBIG).
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > largest_byte:
            raise OSError(errno.EFBIG, f"is larger than {largest_byte} bytes", os.fspath(path))
        parts = []
        while part := file.read(largest_byte):
            parts.append(part)
        return b"".join(parts)


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether `path` itself is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def leads_out(path: Path, directory: Path) -> bool:
    """Whether `path`, its links followed, lies outside `directory`, which may itself be a link."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def _opened(path: str | os.PathLike[str], flags: int) -> int:
    try:
        return os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP and Path(path).is_symlink():
            raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", os.fspath(path)) from None
        if error.errno == errno.ENXIO:  # writing to a FIFO without reader, or to a socket
            raise OSError(errno.ENXIO, "is no regular file", os.fspath(path)) from None
        raise


def _regular(fd: int, path: str | os.PathLike[str]) -> int:
    kind = stat.S_IFMT(os.fstat(fd).st_mode)
    if kind == stat.S_IFREG:
        return fd
    os.close(fd)
    number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
    raise OSError(number, f"is {_KINDS.get(kind, 'something else')}, no regular file", os.fspath(path))


def sync(fd: int) -> None:
    """Return once the data written to `fd` are on the medium."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync() on macOS stops at the drive's own cache
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Return once new or renamed entries of `directory` are on the medium (nothing to do on Windows)."""
    if sys.platform == "win32":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reserve_behind(fd: int, offset_byte: int, length_byte: int) -> bool:
    """Set space on the medium aside for `fd`, from `offset_byte` on, without making the file longer.

    Nobody else can take it. It is given back by truncating the file, also to the length that it has.

    Returns:
        False where the system or the file system has no such thing: then nothing was done.

    Raises:
        OSError: There is not so much space (ENOSPC, EDQUOT).
    """
    if sys.platform != "linux":
        return False
    import ctypes

    allocate = ctypes.CDLL(None, use_errno=True).fallocate64
    allocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if allocate(fd, _KEEP_SIZE, offset_byte, length_byte) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(error, os.strerror(error))
    return False


def write_private(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, readable and writable by its owner only, wholly or not at all."""
    _replace(Path(path), data, 0o600)


def replace_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a power cut, finds the old content or the new."""
    _replace(Path(path), data, 0o666)


def _replace(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = [
    "CAN_ASK_TO_END",
    "FileLock",
    "ask_to_end",
    "end_by_force",
    "has_ended",
    "is_locked",
    "open_to_append",
    "port_key",
    "port_lock",
    "port_locks",
    "replace_atomically",
    "start_detached",
    "sync",
    "sync_directory",
    "terminate",
    "write_private",
]
CAN_ASK_TO_END = sys.platform != "win32"  # there another process can be killed, not asked to end
_LOCKED_BYTE = 1 << 30  # Windows locks are mandatory: lock far behind the pid, so that it stays readable
_PROBE_TRIES, _PROBE_WAIT_SECOND = (
    10,
    0.005,
)  # `is_locked` of somebody else holds a shared lock for microseconds
_LOCKS = "labctl-locks"
_WAKES_WITHIN_SECOND, _WAKE_LOOK_SECOND = 0.5, 0.01
_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """An exclusive lock on a file, held by this process until released or dead, never by its children.

    The holder's pid is written into the file; it serves messages only. The file itself is left behind,
    because unlinking it would let two processes hold "the" lock on two files of one name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody holds it; True when it is now held by this object."""
        if self._fd is not None:
            return True
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        for attempt in range(_PROBE_TRIES):
            if _try_lock(fd):
                with contextlib.suppress(OSError):  # a full disk: the pid serves messages only
                    os.ftruncate(fd, 0)
                    os.write(fd, b"%d\n" % os.getpid())
                self._fd = fd
                _held.add(self)
                return True
            if attempt < _PROBE_TRIES - 1:
                threading.Event().wait(_PROBE_WAIT_SECOND)
        os.close(fd)
        return False

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        fd, self._fd = self._fd, None
        _held.discard(self)
        if fd is not None:
            os.close(fd)

    def owner_pid(self) -> int | None:
        """The pid of the process that holds the lock, for messages only; None when nobody does."""
        if self._fd is None and not is_locked(self.path):
            return None
        try:
            return int(self.path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return None

    def holder_pid(self) -> int | None:
        """The pid of the holder, to end it: None where that process is seen not to have the file open."""
        pid = self.owner_pid()
        return pid if pid is not None and _may_have_open(pid, self.path) else None

    def __enter__(self) -> Self:
        if not self.acquire():
            raise LabctlError(f"{self.path}: locked by process {self.owner_pid() or 'unknown'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def _may_have_open(pid: int, path: Path) -> bool:
    """False where the system shows what the process has open, and the file is not among it (Linux)."""
    if not Path("/proc/self/fd").is_dir():
        return True
    try:
        wanted = path.stat()
        return any(os.path.samestat(wanted, found) for found in _open_files(Path(f"/proc/{pid}/fd")))
    except FileNotFoundError:
        return False
    except PermissionError:  # another user's
        return True


def _open_files(directory: Path) -> Iterator[os.stat_result]:
    for entry in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield entry.stat()


def is_locked(path: str | os.PathLike[str]) -> bool:
    """True while some process (this one included) holds the lock on `path`."""
    # A FIFO would be waited for, and nobody holds a lock through a link (`FileLock` follows none).
    ways = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        fd = os.open(path, (os.O_RDONLY if sys.platform != "win32" else os.O_RDWR) | ways)
    except FileNotFoundError:
        return False
    except OSError:
        if Path(path).is_symlink():
            return False
        raise
    try:
        return not _try_lock(fd, shared=True)
    finally:
        os.close(fd)


def _try_lock(fd: int, shared: bool = False) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            os.lseek(fd, 0, os.SEEK_SET)
        else:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _drop_after_fork() -> None:
    # A forked child shares the parent's open file, and with it the lock: it must not keep it alive.
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_after_fork)


def port_lock(address: str) -> FileLock:
    """The lock of an instrument port, one per machine and port whatever alias names it.

    Args:
        address: A pyserial URL (`/dev/ttyACM0`, `COM3`, `socket://host:port`) or a VISA resource
            (`TCPIP::host::5025::SOCKET`, `ASRL/dev/ttyUSB0::INSTR`).
    """
    return FileLock(_lock_directory() / _port_lock_name(address))


def port_locks(address: str) -> list[FileLock]:
    """The locks of an instrument port, those of other users too where they may be looked at."""
    own, name = _lock_directory(), _port_lock_name(address)
    others = sorted(own.parent.glob(f"{_LOCKS}-*")) if sys.platform != "win32" else []
    places = [own, *(place for place in others if place != own and os.access(place, os.R_OK | os.X_OK))]
    return [FileLock(place / name) for place in places]


def _port_lock_name(address: str) -> str:
    key = port_key(address)
    name = re.sub(r"[^A-Za-z0-9]+", "-", key).strip("-")[-40:]
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return f"{name}-{digest}.lock"


def port_key(address: str) -> str:
    """The one name of a port: device files resolved, hosts as numbers, VISA and pyserial forms made equal."""
    address = address.strip()
    visa = re.fullmatch(r"(TCPIP|ASRL)(\d*|/[^:]*|COM\d+)::(.*)", address, re.IGNORECASE)
    if visa and visa[1].upper() == "TCPIP":
        host, _, rest = visa[3].partition("::")
        port = rest.upper().removesuffix("::SOCKET").removesuffix("::INSTR")
        return f"tcp:{_host_number(host)}:{'inst0' if port in ('', 'INSTR') else port.lower()}"
    if visa:
        address = visa[2] if not visa[2].isdigit() else f"COM{visa[2]}"
    if "://" in address:
        parts = urlsplit(address)
        return f"tcp:{_host_number(parts.hostname or '')}:{parts.port or 0}"
    com = re.fullmatch(r"(?:\\\\\.\\)?(COM\d+):?", address, re.IGNORECASE)
    if com:
        return f"serial:{com[1].upper()}"
    return f"serial:{os.path.realpath(address)}" if "/" in address else f"visa:{address.upper()}"


def _host_number(host: str) -> str:
    try:
        numbers = sorted(str(entry[4][0]) for entry in socket.getaddrinfo(host, None))
    except OSError:
        return host.lower()
    return "127.0.0.1" if "::1" in numbers or numbers[0].startswith("127.") else numbers[0]


def _lock_directory() -> Path:
    # Not TMPDIR: two shells with different settings must meet in one place.
    base, user = (Path("/tmp"), os.getuid()) if sys.platform != "win32" else (Path(tempfile.gettempdir()), 0)
    directory = base / f"{_LOCKS}-{user}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if sys.platform != "win32" and (
        not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077
    ):
        raise LabctlError(f"{directory}: must be a directory of user {user} with mode 0700; remove it")
    return directory


_DETACH = """
import os, sys
pid = os.fork()
if pid:
    print(pid)
else:
    os.setsid()
    os.dup2(2, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
"""


def start_detached(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a process that outlives this one and is nobody's child; its output is appended to `log`.

    Returns:
        Its pid.
    """
    with os.fdopen(open_to_append(log), "ab") as output:
        if sys.platform == "win32":
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            return subprocess.Popen(command, env=environment, creationflags=flags, **pipes).pid
        # By way of a short-lived process, so that no zombie stays with us when the other one ends.
        between = [sys.executable, "-S", "-E", "-c", _DETACH, *command]
        # In a session of its own at once: a Ctrl-C is not meant for it.
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": output}
        pipes["start_new_session"] = True
        return int(subprocess.run(between, env=environment, cwd="/", check=True, **pipes).stdout)


def terminate(pid: int, timeout_second: float) -> bool:
    """Ask process `pid` to end (SIGTERM), force it (SIGKILL) after `timeout_second`; True when it is gone.

    Raises:
        PermissionError: The process belongs to somebody else.
        ValueError: `pid` is this process or not a process of ours to end.
    """
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"pid {pid} must be another process, greater than 1")
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        if has_ended(pid, timeout_second):
            return True
    return False


def ask_to_end(pid: int) -> None:
    """Ask process `pid` to end (SIGTERM; on Windows it ends at once); one that is stopped is woken up.

    Raises:
        ProcessLookupError: It has ended.
        PermissionError: It belongs to somebody else.
    """
    if hasattr(signal, "SIGCONT"):
        os.kill(pid, signal.SIGCONT)
        _await_waking(pid)
    os.kill(pid, signal.SIGTERM)


def _await_waking(pid: int) -> None:
    """Let a stopped process wake up before it gets another signal.

    Any of its threads would take that, and Python acts on it in its main one only, which would sleep on.
    """
    deadline = time.monotonic() + _WAKES_WITHIN_SECOND
    while _state(pid) in ("T", "R") and time.monotonic() < deadline:
        threading.Event().wait(_WAKE_LOOK_SECOND)


def _state(pid: int) -> str:
    """State of a process's main thread by the letter that Linux has for it, "T" is stopped; "" elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2][1:2]
    except OSError:
        return ""


def end_by_force(pid: int) -> None:
    """End process `pid` as it stands; raises as `ask_to_end` does."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def has_ended(pid: int, timeout_second: float = 0.0) -> bool:
    """Wait up to `timeout_second` for process `pid` to end; True when it has."""
    if hasattr(os, "pidfd_open"):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([fd], [], [], timeout_second)[0])
        finally:
            os.close(fd)
    deadline = time.monotonic() + timeout_second
    while True:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, getattr(os, "WNOHANG", 0))
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() >= deadline:
            return False
        threading.Event().wait(0.02)
