"""Every error labctl raises on purpose.

LabctlError
├── ConfigurationError      a file or an argument is wrong; nothing has moved        (exit code 2)
│   └── NewerFormatError    a newer labctl has written it
├── ProtocolError           a protocol asks for what is not allowed; nothing moved   (exit code 2)
├── JournalError            the journal cannot be written or read
├── StoreError              the document store cannot be reached or refuses
├── EndedEarlyError         a signal asked to end before anything moved
└── DeviceError             an instrument, or its link
    ├── TransportError      no reply, link dropped, not the answer to the question
    ├── PortInUseError      another process holds the port                            (exit code 2)
    ├── InstrumentError     the instrument reports an error, in its own words
    └── TripError           a safety limit was reached and the circuit is open
"""

from __future__ import annotations

from collections.abc import Iterable

MAY_BE_CLOSED = "may still be closed: open it with `labctl off STATION`"  # of a circuit not verified open


class LabctlError(Exception):
    """Base of all errors that labctl raises on purpose."""


class ConfigurationError(LabctlError):
    """A file or argument is wrong; the message names where, field, value and what is allowed."""

    def __init__(self, where: str, field: str, value: object, allowed: str) -> None:
        self.where, self.field, self.value, self.allowed = where, field, value, allowed
        shown = "" if value is None else f" = {value!r}"
        super().__init__(f"{where}: {field}{shown}: {allowed}")


class NewerFormatError(ConfigurationError):
    """A file or a run of a format that only a newer labctl can read."""


class ProtocolError(LabctlError):
    """A protocol asks for what instrument, station or cell do not allow."""


class JournalError(LabctlError):
    """The journal cannot be written or read."""


class StoreError(LabctlError):
    """The document store cannot be reached or refuses."""


class EndedEarlyError(LabctlError):
    """A signal asked the process to end before its run began; nothing has moved."""


class DeviceError(LabctlError):
    """An instrument or its link failed."""


class TransportError(DeviceError):
    """No reply in time, a dropped link, or an answer that does not belong to the question."""


class PortInUseError(DeviceError):
    """Another process (named in the message) holds the port."""


class InstrumentError(DeviceError):
    """The instrument reports an error; `code` and its own text are kept."""

    def __init__(self, text: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(text)


class TripError(DeviceError):
    """A safety limit was reached; the circuit is open."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question after a mistyped name, "did you mean pulses or pulse_second? "; "" if nothing is close."""
    import difflib

    names = sorted(known)
    longer = [each for each in names if len(name) > 2 and each.startswith(name)]
    close = list(dict.fromkeys([*difflib.get_close_matches(name, names, n=2), *longer]))[:3]
    return f"did you mean {' or '.join(close)}? " if close else ""


def with_decimal_point(text: str) -> str:
    """What is added to a refusal of a number with a decimal comma; "" for any other text."""
    import re

    return f"; with a decimal point: {text.replace(',', '.')}" if re.fullmatch(r"-?\d+,\d+", text) else ""
