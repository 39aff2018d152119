"""The file a journal is writing to: appended, rotated, synced, with a reserve for the end of a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from labctl.files import open_to_append, reserve_behind, sync_directory
from labctl.journal_format import LOCK_NAME, segment_name
from labctl.platform import FileLock

RESERVE_BYTE = 2 << 20
_STEP_BYTE = 1 << 20  # the reserve is moved on in steps of this


class Segments:
    """The segments of one run while it is written; holds the run's lock. Not thread-safe by itself.

    Behind what is written there is always a reserve of 2 MB. When the disk has no more to give, `is_full`
    becomes true while the reserve is still untouched: it takes what a run has to say while it ends.

    Args:
        directory: The run's directory, which exists.
        limit_byte: A segment is left for the next one before it grows beyond this.

    Raises:
        OSError: The disk is full, or the directory cannot be written.
    """

    def __init__(self, directory: Path, limit_byte: int) -> None:
        self._directory, self._limit_byte = directory, limit_byte
        self._lock = FileLock(directory / LOCK_NAME)
        if not self._lock.acquire():
            raise OSError(errno.EBUSY, f"locked by process {self._lock.owner_pid()}")
        self._unsynced: list[int] = []  # duplicates of full segments' descriptors
        self.is_full = False
        self._number = -1
        try:
            self._begin_next()
        except OSError:
            self._lock.release()
            raise
        sync_directory(directory.parent)

    def _begin_next(self) -> None:
        path = self._directory / segment_name(self._number + 1)
        fd = open_to_append(path, new=True)
        try:
            reserved = _reserve(fd, path, 0)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self.path, self._fd, self._reserved = path, fd, reserved
        self._number += 1
        self._size, self._torn, self._changed = 0, False, False
        sync_directory(self._directory)

    def write(self, line: bytes) -> None:
        """Append one line with one write; what a failed write left is closed off before the next.

        Raises:
            OSError: The line was not written, or not whole.
        """
        if self._size and self._size + len(line) > self._limit_byte and not self.is_full:
            self._rotate()
        data = b"\n" + line if self._torn else line
        self._changed = True
        written = os.write(self._fd, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes: {os.strerror(errno.ENOSPC)}")
        self._move_reserve()

    def _rotate(self) -> None:
        old, size = self._fd, self._size
        try:
            self._begin_next()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.is_full = True  # the old segment and its reserve serve to the end
            return
        os.ftruncate(old, size)
        self._unsynced.append(old)

    def _move_reserve(self) -> None:
        if self.is_full or self._size + RESERVE_BYTE <= self._reserved:
            return
        try:
            self._reserved = _reserve(self._fd, self.path, self._size)
        except OSError:
            self.is_full = True

    def take_unsynced(self) -> list[int]:
        """Descriptors of what is to be synced; the caller syncs and closes them."""
        taken, self._unsynced = self._unsynced, []
        if self._changed:
            self._changed = False
            taken.append(os.dup(self._fd))
        return taken

    def close(self) -> None:
        """Give the reserve back, close the files, release the run's lock."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)
        for fd in (*self._unsynced, self._fd):
            os.close(fd)
        self._unsynced = []
        self._lock.release()


def _reserve(fd: int, path: Path, size_byte: int) -> int:
    """Have the reserve and a step behind `size_byte`; the size up to which that will do."""
    wanted = RESERVE_BYTE + _STEP_BYTE
    if not reserve_behind(fd, size_byte, wanted) and shutil.disk_usage(path).free < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return size_byte + wanted
