"""Whether a reading settles at its target: judged by the caller, or in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from ophyd.status import DeviceStatus

from labctl.clock import Clock
from labctl.errors import DeviceError, LabctlError, ProtocolError
from labctl.host_time import HOST

_ROUNDING = 1e-9  # of a tolerance: 18.3 is within 0.5 of 17.8


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


class Settling:
    """A value on its way: its status is done inside the tolerance for the dwell, failed on anything else.

    A look outside the tolerance, or without a value, begins the dwell anew. So does a gap in which the host
    did not run (labctl.host_time), for nobody looked; the timeout is longer by the gap.

    Args:
        what: whose value, for messages.
        status: settled when it is over.
        target: where the value shall be; its times are of the clock that `judge` is given.
    """

    def __init__(self, what: str, status: DeviceStatus, target: Target) -> None:
        self.target, self.status = target, status
        self._what = what
        self._lock = threading.Lock()  # looks, a stop and a newer target come from different threads
        self._over = False
        self._error: Exception | None = None
        self._deadline_second: float | None = None  # until it has begun
        self._inside_since_second: float | None = None
        self._looked_second, self._gaps = 0.0, 0

    def begin(self, clock_second: float, gaps: int) -> None:
        """It is on its way since `clock_second`; so many gaps there were before."""
        self._looked_second, self._gaps = clock_second, gaps
        self._deadline_second = clock_second + self.target.timeout_second

    def judge(self, value: float | None, clock_second: float, gaps: int) -> None:
        """Take a look into account.

        Args:
            value: None, or NaN, where there is none.
            clock_second: the clock when it was taken.
            gaps: how often this process has not run (labctl.host_time).
        """
        if self._deadline_second is None or self._over:
            return
        if gaps != self._gaps:
            self._gaps, self._inside_since_second = gaps, None
            self._deadline_second += clock_second - self._looked_second
        self._looked_second = clock_second
        target, since = self.target, self._inside_since_second
        inside = value is not None and abs(value - target.value) <= target.tolerance * (1 + _ROUNDING)
        self._inside_since_second = since = (clock_second if since is None else since) if inside else None
        if since is not None and clock_second - since >= target.dwell_second:
            self.end(None)
        elif clock_second >= self._deadline_second:
            here = "there is no reading" if value is None else f"it is at {value:g} {target.unit}"
            self.fail(
                SettlingTimeoutError(
                    f"{self._what}: not within {target.tolerance:g} {target.unit} of {target.value:g} "
                    f"{target.unit} for {target.dwell_second:g} s after {target.timeout_second:g} s: {here}"
                )
            )

    @property
    def begun(self) -> bool:
        """Whether it is on its way: looks before that count for nothing."""
        return self._deadline_second is not None

    @property
    def inside(self) -> bool:
        """Whether the dwell has begun."""
        return self._inside_since_second is not None

    @property
    def over(self) -> bool:
        """Whether the status is settled."""
        return self._over

    @property
    def succeeded(self) -> bool:
        """Whether the value came and stayed."""
        return self._over and self._error is None

    def fail(self, error: LabctlError) -> None:
        """What was judged, or came in between, ends it as failed."""
        self.end(error)

    def end(self, error: Exception | None) -> bool:
        """Settle the status, once; whether it was this call that did."""
        with self._lock:
            if self._over:
                return False
            self._over, self._error = True, error
        if error is None:
            self.status.set_finished()
        else:
            self.status.set_exception(error)
        return True


class Approach(Settling):
    """One `set` that looks for itself, in a thread of its own, and sleeps between looks.

    Args:
        name: of the device, for messages.
        status: settled when it is over.
        clock: the station's; dwell and timeout are its time.
        target: where the value shall be.
        begin: sends it on its way; runs in the thread.
        observe: the value now (may steer, too); any LabctlError ends the approach.
        on_failure: called before the status fails, with the reason; it says what is to be done.
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
        on_failure: Callable[[LabctlError], None],
        period_second: float = 1.0,
    ) -> None:
        super().__init__(name, status, target)
        self._clock = clock
        self._send, self._observe, self._on_failure = begin, observe, on_failure
        self._thread_name = f"{name}-approach"
        self._period_second = period_second

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=self._thread_name, daemon=True).start()

    def fail(self, error: LabctlError) -> None:
        """Do what is to be done about it, then end the status; nothing if it is over."""
        if not self.over:
            self._on_failure(error)
            self.end(error)

    def _run(self) -> None:
        try:
            self._send()
            _, gaps = HOST.look()
            self.begin(self._clock.now(), gaps)
            while not self.over:
                self._clock.sleep(self._period_second)
                if not self.over:
                    value, now = self._observe(), self._clock.now()
                    self.judge(value, now, HOST.look()[1])
        except LabctlError as error:
            self.fail(error)


class SettlingTimeoutError(DeviceError):
    """The reading did not settle at its target in time."""
