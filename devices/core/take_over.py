"""What a person is told who connects to an instrument that is in use, and does not want to take it over."""

from __future__ import annotations

from labctl.errors import InstrumentError


def program_is_running(address: str, meanwhile: str) -> InstrumentError:
    """Somebody's program runs there; `meanwhile` says in words what becomes of it if it is left alone."""
    return InstrumentError(
        f"{address}: a program is running on the instrument; {meanwhile}; `labctl off STATION` ends it now, "
        "as `labctl run` would"
    )


def output_is_on(address: str, without: str) -> InstrumentError:
    """Its circuit is closed, and `without`, what would have guarded it, nothing there will open it."""
    return InstrumentError(
        f"{address}: the output is on and no {without} is running: nothing on the instrument will switch it "
        "off; `labctl off STATION` does, as `labctl run` would"
    )
