"""A pulse, cycle or spectrum that cannot be evaluated is left out and reported; the others are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labctl.errors import LabctlError

# What arithmetic raises on a foreign or damaged measurement: no minimum found, a singular matrix (LinAlgError
# is a ValueError), a number that is not finite, a division by 0, a window without samples. Not TypeError and
# the like: those are faults of the program, and must be seen.
CANNOT_BE_EVALUATED = (LabctlError, RuntimeError, ValueError, ArithmeticError, IndexError)


def reason(error: Exception) -> str:
    """Why something was left out, in a few words."""
    if isinstance(error, LabctlError):
        return str(error)
    words = " ".join(str(error).split()).rstrip(".")
    return f"it cannot be evaluated ({words or type(error).__name__})"


@contextmanager
def told(skipped: list[str], what: str) -> Iterator[None]:
    """What cannot be evaluated within is left out; `skipped` gets its name and why."""
    try:
        yield
    except CANNOT_BE_EVALUATED as error:
        skipped.append(f"{what}: {reason(error)}")
