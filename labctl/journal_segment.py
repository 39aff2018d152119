"""The file a journal is writing to: appended, rotated, synced, with a reserve for the end of a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from labctl.files import open_to_append, sync_directory
from labctl.journal_format import LOCK_NAME, segment_name
from labctl.platform import FileLock

_RESERVE_BYTE = 1 << 20
_RESERVE_NAME = "reserve"


class Segments:
    """The segments of one run while it is written; holds the run's lock. Not thread-safe by itself.

    Args:
        directory: The run's directory, which exists.
        limit_byte: A segment is left for the next one before it grows beyond this.
    """

    def __init__(self, directory: Path, limit_byte: int) -> None:
        self._directory, self._limit_byte = directory, limit_byte
        self._lock = FileLock(directory / LOCK_NAME)
        if not self._lock.acquire():
            raise OSError(errno.EBUSY, f"locked by process {self._lock.owner_pid()}")
        _reserve(directory / _RESERVE_NAME)
        self._unsynced: list[int] = []  # duplicates of full segments' descriptors
        self._number = -1
        self._begin_next()
        sync_directory(directory.parent)

    def _begin_next(self) -> None:
        self._number += 1
        self.path = self._directory / segment_name(self._number)
        self._fd = open_to_append(self.path, new=True)
        self._size, self._torn, self._changed = 0, False, False
        sync_directory(self._directory)

    def write(self, line: bytes) -> None:
        """Append one line with one write; what a failed write left is closed off before the next."""
        if self._size and self._size + len(line) > self._limit_byte:
            self._unsynced.append(self._fd)
            self._begin_next()
        data = b"\n" + line if self._torn else line
        self._changed = True
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._free_reserve()
            raise
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            self._free_reserve()
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes: {os.strerror(errno.ENOSPC)}")

    def take_unsynced(self) -> list[int]:
        """Descriptors of what is to be synced; the caller syncs and closes them."""
        taken, self._unsynced = self._unsynced, []
        if self._changed:
            self._changed = False
            taken.append(os.dup(self._fd))
        return taken

    def close(self) -> None:
        """Close the files, free the reserve, release the run's lock."""
        for fd in (*self._unsynced, self._fd):
            os.close(fd)
        self._unsynced = []
        self._free_reserve()
        self._lock.release()

    def _free_reserve(self) -> None:
        (self._directory / _RESERVE_NAME).unlink(missing_ok=True)


def _reserve(path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(fd, 0, _RESERVE_BYTE)
    except OSError as error:
        path.unlink()
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot reserve
            raise
    finally:
        os.close(fd)
