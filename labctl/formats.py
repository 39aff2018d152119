"""The formats of labctl's files by number, and the refusal of what a newer labctl has written.

A journal carries its number in the start document, as `labctl_format`; files of protocols, stations and cells
carry theirs as the field `format`. One without a number is of format 1, as all that was written before there
were numbers. Every number up to the one given here stays readable. The number goes up when an older labctl
would misread what is written, not when something is added that it may leave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from labctl.errors import ConfigurationError, NewerFormatError

FileKind = Literal["journal", "protocol", "station", "cell"]
FORMAT_NUMBER: Final[Mapping[FileKind, int]] = {"journal": 2, "protocol": 2, "station": 2, "cell": 2}
FIELD: Final = "format"
START_FIELD: Final = "labctl_format"


def is_format_number(value: object) -> bool:
    """Whether `value` can be the number of a format: a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_newer(kind: FileKind, value: object) -> bool:
    """Whether `value` is the number of a format that this labctl does not know."""
    return isinstance(value, int) and value > FORMAT_NUMBER[kind]


def require_readable(kind: FileKind, value: object, where: str) -> None:
    """Refuse what a newer labctl has written.

    Args:
        kind: What is read.
        value: The number that it carries; None for none.
        where: Name of the file, for the message.

    Raises:
        NewerFormatError: The number is newer than those that are known.
    """
    if is_newer(kind, value):
        raise NewerFormatError(where, FIELD, value, _allowed(kind))


def require_known(kind: FileKind, data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The content of a file that a person may have written, without its number.

    Raises:
        NewerFormatError: The number is newer than those that are known.
        ConfigurationError: It is no number of a format.
    """
    content = dict(data)
    if FIELD not in content:
        return content
    value = content.pop(FIELD)
    require_readable(kind, value, where)
    if not is_format_number(value):
        allowed = f"must be a whole number from 1 to {FORMAT_NUMBER[kind]}"
        raise ConfigurationError(where, FIELD, value, allowed)
    return content


def _allowed(kind: FileKind) -> str:
    return f"this labctl reads up to {FORMAT_NUMBER[kind]}; use a newer labctl"
