"""Plan stubs that survive a pause: waiting for statuses, and draining a stream while a program runs.

Group waits and rewinding are not used: on a pause they would replay `kickoff`, repeat rows, or take half a
pulse for a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bluesky import Msg
from bluesky import plan_stubs as bps
from bluesky.protocols import Status
from bluesky.utils import MsgGenerator

from devices.core.protocols import StreamFlyer

FLUSH_SECOND = 0.5
_FIRST_FLUSH_SECOND = 0.05  # the first samples of a program soon tell the journal that it has begun
_THROWN_WITHIN_SECOND = 2.0


def _bell(status: Status) -> Callable[[], Awaitable[None]]:
    """A factory of waits that end when `status` is done or after FLUSH_SECOND, whichever comes first.

    The first waits are shorter.
    """
    rung: list[asyncio.Event] = []
    longest = _FIRST_FLUSH_SECOND

    async def wait() -> None:
        nonlocal longest
        if not rung:
            loop, event = asyncio.get_running_loop(), asyncio.Event()
            rung.append(event)

            def ring(_: Status) -> None:
                loop.call_soon_threadsafe(event.set)

            status.add_callback(ring)
        try:
            await asyncio.wait_for(rung[0].wait(), longest)
        except TimeoutError:
            longest = min(2 * longest, FLUSH_SECOND)

    return wait


def settle(status: Status) -> MsgGenerator[None]:
    """Wait until `status` is done, whatever pauses come between; raises what it failed with."""
    bell = _bell(status)
    while not status.done:
        yield Msg("wait_for", None, [bell])
    yield from _raise_failure(status)


def drain(flyers: Mapping[str, StreamFlyer], between: Callable[[], MsgGenerator[None]]) -> MsgGenerator[None]:
    """Collect all streams until the program's own status is done; that status outlives a pause.

    Args:
        flyers: stream name -> flyer; the first one is asked for the program's status.
        between: a plan that is run after each collection.
    """
    first = next(iter(flyers.values()))
    status: Status = yield from bps.complete(first, wait=False)  # type: ignore[arg-type]
    bell = _bell(status)
    while True:
        if not status.done:
            yield Msg("wait_for", None, [bell])
        done = status.done
        yield from collect(flyers)
        yield from between()
        if done:
            break
    yield from _raise_failure(status)


def collect(flyers: Mapping[str, StreamFlyer]) -> MsgGenerator[None]:
    """Turn what has arrived into event pages."""
    for stream, flyer in flyers.items():
        yield from bps.collect(flyer, name=stream, return_payload=False)  # type: ignore[arg-type]


def _raise_failure(status: Any) -> MsgGenerator[None]:
    """The RunEngine throws the FailedStatus of a failed status into the plan: be here when it does.

    Were the plan to raise first, the RunEngine's exception would strike its clean-up.
    """
    if not status.success:
        yield from bps.sleep(_THROWN_WITHIN_SECOND)
        raise status.exception()
