"""Files that survive a power cut (appending, syncing, replacing whole), and files that may be anything."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import sys
from pathlib import Path

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
