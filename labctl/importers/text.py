"""Text files of other programs, line by line: strict about encoding, control characters and the end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from labctl.errors import ConfigurationError

LONGEST_LINE_BYTE = 1 << 20
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class TextFile:
    """A file being read; `sha256` and `size_byte` are those of what has been read once it is at its end.

    Args:
        path: the file.
        encoding: such as "utf-8" or "cp1252"; a byte order mark is skipped.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        self.path, self._encoding = path, encoding
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
            with self.path.open("rb") as file:
                while line := file.readline(LONGEST_LINE_BYTE):
                    self._hash.update(line)
                    self.line_number += 1
                    yield self._text(line)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(str(self.path), "file", None, f"cannot be read ({reason})") from None

    def _text(self, line: bytes) -> str:
        if not line.endswith(b"\n"):
            reason = (
                f"is longer than {LONGEST_LINE_BYTE} bytes"
                if len(line) >= LONGEST_LINE_BYTE
                else "the file ends within this line; it may be cut off (add a line end if it is whole)"
            )
            raise self.error("text", None, reason)
        if self.line_number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if control := _CONTROL.search(line):
            reason = f"is a control character at byte {control.start() + 1}; this is no text file"
            raise self.error("text", control[0].decode("latin-1"), reason)
        try:
            return line.decode(self._encoding).rstrip("\r\n")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is not {self._encoding} text"
            raise self.error("text", line[error.start : error.start + 1], reason) from None

    def error(self, field: str, value: object, allowed: str) -> ConfigurationError:
        """What is wrong with a field of the line given last."""
        return line_error(self.path, self.line_number, field, value, allowed)


def line_error(path: Path, line: int, field: str, value: object, allowed: str) -> ConfigurationError:
    """What is wrong with a field of a line of a file."""
    return ConfigurationError(f"{path}, line {line}", field, value, allowed)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(str(path), "file", None, f"cannot be read ({reason})") from None
