"""Temperature and stack pressure as steps of a protocol.

The orders go to the devices directly and not through the RunEngine's `set`: on a pause that would stop them,
and a stopped ramp fails its status. A pause is for the cell's current; the die may go on warming.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bluesky import Msg
from bluesky.protocols import Status
from bluesky.utils import MsgGenerator

from devices.core.protocols import Environment
from plans.executor.drain import FLUSH_SECOND
from plans.protocol.protocol import EnvironmentStep, SetTemperature

ENVIRONMENT_PERIOD_SECOND = 10.0  # of test time, between rows of `environment`


def check(environment: Environment, step: EnvironmentStep) -> None:
    """Refuse what station or controllers do not allow.

    Raises:
        ProtocolError: names the value and the limit; nothing was sent.
    """
    if isinstance(step, SetTemperature):
        environment.check_temperature(step.temperature_celsius, step.ramp_kelvin_per_minute)
    else:
        environment.check_pressure(step.pressure_pa)


def begin(environment: Environment, step: EnvironmentStep) -> Status:
    """Send it on its way; what the step leaves open is as the device was set up."""
    options = step.model_dump(
        exclude={"kind", "tag", "temperature_celsius", "pressure_pa"}, exclude_none=True
    )
    if isinstance(step, SetTemperature):
        return environment.temperature.set(step.temperature_celsius, **options)
    return environment.pressure.set(step.pressure_pa, **options)


def settle_environment(status: Status, between: Callable[[], MsgGenerator[None]]) -> MsgGenerator[None]:
    """Wait until it is there, running `between` meanwhile; raises what it failed with."""

    async def wait() -> None:
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def ring(_: Status) -> None:
            loop.call_soon_threadsafe(event.set)

        status.add_callback(ring)
        try:
            await asyncio.wait_for(event.wait(), FLUSH_SECOND)
        except TimeoutError:
            return

    while not status.done:
        yield Msg("wait_for", None, [wait])
        yield from between()
    failed: Any = status.exception()
    if failed is not None:
        raise failed


def abandon(environment: Environment | None, moving: Any) -> None:
    """Hold where it is what was still on its way; nothing lets go."""
    if environment is not None and moving is not None and not moving.done:
        environment.stop()
