"""Text files of other programs, line by line: strict about encoding, control characters and the end.

A file compressed with gzip is read as what it contains; that it is, its first bytes tell.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from labctl.errors import ConfigurationError
from labctl.platform import open_regular

LONGEST_LINE_BYTE = 1 << 20
LARGEST_BYTE = 4 << 30  # of text: two years of a sample a second, and what the columns of it need in memory
MOST_EXPANSION = 100  # tables of measured numbers pack to a fifth or a tenth; deflate could do 1/1032
_PACKED_BELOW_BYTE = 16 << 20  # of unpacked text, below which it is of no concern how well it was packed
_GZIP = b"\x1f\x8b"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\r\n])")  # \r where the line goes on


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed on their way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hash = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self.hash.update(memoryview(buffer)[:count])
        return count


def opened(file: BinaryIO, first: bytes) -> BinaryIO:
    """What a file contains, decompressed if its `first` bytes are those of gzip."""
    return io.BufferedReader(gzip.GzipFile(fileobj=file)) if first[:2] == _GZIP else file  # type: ignore[return-value]


class TextFile:
    """A file being read; `sha256` is that of its bytes once it is at its end.

    Args:
        path: the file.
        encoding: such as "utf-8" or "cp1252"; a byte order mark is skipped.
        any_bytes: bytes that are no text of the encoding become U+FFFD, which is part of no number.
        may_end_open: the last line may lack its end; `ends_open` is true once that one was given.
    """

    def __init__(
        self, path: Path, encoding: str, *, any_bytes: bool = False, may_end_open: bool = False
    ) -> None:
        self.path, self._encoding = path, encoding
        self._errors, self._may_end_open = "replace" if any_bytes else "strict", may_end_open
        self.ends_open = False
        self._hash = hashlib.sha256()
        self.line_number = 0

    @property
    def sha256(self) -> str:
        """Hash of what has been read so far."""
        return self._hash.hexdigest()

    def lines(self) -> Iterator[str]:
        """The lines without their ends; `line_number` is that of the line given last, from 1.

        Raises:
            ConfigurationError: it cannot be read, a line is not text of this encoding, or the last one has no
                end: then it may have been cut off within a number.
        """
        try:
            with open_regular(self.path) as file:
                hashed = _Hashed(file)
                self._hash = hashed.hash
                plain = io.BufferedReader(hashed)
                text = opened(plain, plain.peek(2))
                size = 0
                while line := text.readline(LONGEST_LINE_BYTE):
                    self.line_number += 1
                    size += len(line)
                    if size > _PACKED_BELOW_BYTE:
                        self._within_bounds(size, file.tell())
                    yield self._text(line)
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(self.path, error) from None

    def _within_bounds(self, size_byte: int, read_byte: int) -> None:
        """Refuse a file without end, or one that was packed to harm, as soon as that shows."""
        if size_byte > LARGEST_BYTE:
            raise self.error("file", None, f"holds more than {LARGEST_BYTE >> 30} GiB of text: split it")
        if size_byte > MOST_EXPANSION * read_byte:
            allowed = f"unpacks to more than {MOST_EXPANSION} times its size: unpack it first"
            raise self.error("file", None, allowed)

    def _text(self, line: bytes) -> str:
        self.ends_open = not line.endswith(b"\n")
        too_long = self.ends_open and len(line) >= LONGEST_LINE_BYTE
        if too_long or (self.ends_open and not self._may_end_open):
            reason = (
                f"is longer than {LONGEST_LINE_BYTE} bytes"
                if too_long
                else "the file ends within this line; it may be cut off (add a line end if it is whole)"
            )
            raise self.error("text", None, reason)
        if self.line_number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if control := _CONTROL.search(line):
            reason = f"is a control character at byte {control.start() + 1}; this is no text file"
            raise self.error("text", control[0].decode("latin-1"), reason)
        try:
            return line.decode(self._encoding, self._errors).rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is not {self._encoding} text"
            raise self.error("text", line[error.start : error.start + 1], reason) from None

    def error(self, field: str, value: object, allowed: str) -> ConfigurationError:
        """What is wrong with a field of the line given last."""
        return line_error(self.path, self.line_number, field, value, allowed)


def unreadable(path: Path, error: Exception) -> ConfigurationError:
    """What to say of a file that cannot be read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ConfigurationError(str(path), "file", None, f"cannot be read ({reason})")


def line_error(path: Path, line: int, field: str, value: object, allowed: str) -> ConfigurationError:
    """What is wrong with a field of a line of a file."""
    return ConfigurationError(f"{path}, line {line}", field, value, allowed)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None
