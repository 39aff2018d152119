"""Files that survive a power cut: appending, syncing, replacing whole, keeping private."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of <linux/falloc.h>


def open_to_append(path: str | os.PathLike[str], *, new: bool = False) -> int:
    """Descriptor of `path` for writes at its end, bytes as they are; `new` refuses an existing file."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | (os.O_EXCL if new else 0), 0o644)


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
