"""Waiting, in a thread of its own and on the station's clock, until a reading settles at its target."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from ophyd.status import DeviceStatus

from labctl.clock import Clock
from labctl.errors import DeviceError, LabctlError, ProtocolError
from labctl.host_time import HOST


@dataclass(frozen=True)
class Target:
    """The target of a reading, in its unit; done after `dwell_second` within `tolerance`."""

    value: float
    tolerance: float
    dwell_second: float
    timeout_second: float
    unit: str

    def check(self, name: str) -> None:
        """Refuse what can never be reached.

        Raises:
            ProtocolError: names device, field and value.
        """
        for field, value, least in (
            ("tolerance", self.tolerance, 0.0),
            ("dwell_second", self.dwell_second, -1e-9),
            ("timeout_second", self.timeout_second, self.dwell_second),
        ):
            if not least < value < inf:
                raise ProtocolError(f"{name}: {field} = {value!r}: must be a number > {max(least, 0.0):g}")


class Approach:
    """One `set`: its status is done inside the tolerance for the dwell, and fails on anything else.

    Args:
        name: of the device, for messages.
        status: settled when it is over.
        clock: the station's; dwell and timeout are its time.
        target: where the value shall be; a gap in which the host did not run begins the dwell anew, and the
            timeout is longer by it.
        begin: sends it on its way; runs in the thread.
        observe: the value now (may steer, too); any LabctlError ends the approach.
        fail: called before the status fails, with the reason; it says what is to be done.
        period_second: time between looks.
    """

    def __init__(
        self,
        name: str,
        status: DeviceStatus,
        clock: Clock,
        target: Target,
        *,
        begin: Callable[[], None],
        observe: Callable[[], float],
        fail: Callable[[LabctlError], None],
        period_second: float = 1.0,
    ) -> None:
        self.target, self.status = target, status
        self._name, self._clock = name, clock
        self._begin, self._observe, self._fail = begin, observe, fail
        self._period_second = period_second
        self._lock = threading.Lock()
        self._over = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"{self._name}-approach", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether the status is settled."""
        return self._over

    def end(self, error: Exception | None) -> bool:
        """Settle the status, once; whether it was this call that did."""
        with self._lock:
            if self._over:
                return False
            self._over = True
        if error is None:
            self.status.set_finished()
        else:
            self.status.set_exception(error)
        return True

    def _run(self) -> None:
        try:
            self._begin()
            self._wait()
        except LabctlError as error:
            if not self._over:
                self._fail(error)
                self.end(error)

    def _wait(self) -> None:
        target, began, inside_since = self.target, self._clock.now(), inf
        looked, (_, gaps) = began, HOST.look()
        while not self._over:
            self._clock.sleep(self._period_second)
            if self._over:
                return
            value, now = self._observe(), self._clock.now()
            _, gaps_now = HOST.look()
            if gaps_now != gaps:  # nobody looked for a while: that time neither counts as dwell nor as late
                gaps, inside_since, began = gaps_now, inf, began + (now - looked)
            looked = now
            inside = abs(value - target.value) <= target.tolerance
            inside_since = min(inside_since, now) if inside else inf
            if now - inside_since >= target.dwell_second:
                self.end(None)
            elif now - began > target.timeout_second:
                raise ApproachTimeoutError(
                    f"{self._name}: not within {target.tolerance:g} {target.unit} of {target.value:g} "
                    f"{target.unit} for {target.dwell_second:g} s after {target.timeout_second:g} s: "
                    f"it is at {value:g} {target.unit}"
                )


class ApproachTimeoutError(DeviceError):
    """The reading did not settle at its target in time."""
