"""What every instrument shares: an address, one reader thread, an identity, somewhere to send alarms."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from math import nan
from typing import Any, TypeVar

from ophyd import Device
from ophyd.status import DeviceStatus

from devices.core.protocols import Identity
from devices.transport.port_worker import PortWorker
from labctl.clock import Clock, MonotonicClock
from labctl.errors import DeviceError


class AlarmLatch:
    """Tells of each kind of trouble once, and again only after it had gone.

    Args:
        report: takes kind, value, limit and action.
    """

    def __init__(self, report: Callable[..., object]) -> None:
        self._report = report
        self._active: set[str] = set()

    def update(self, kind: str, active: bool, action: str, *, value: float = nan, limit: float = nan) -> bool:
        """Whether `kind` began just now; it is reported then."""
        began = active and kind not in self._active
        if active:
            self._active.add(kind)
        else:
            self._active.discard(kind)
        if began:
            self._report(kind=kind, value=value, limit=limit, action=action)
        return began

    def clear(self, *kinds: str) -> None:
        """These kinds of trouble are over."""
        self._active.difference_update(kinds)

    @property
    def active(self) -> frozenset[str]:
        """What is wrong now."""
        return frozenset(self._active)


logger = logging.getLogger(__name__)
AlarmHandler = Callable[..., None]
T = TypeVar("T")
_LEAVE_SECOND = 10.0  # how long a reader thread that hangs on a dead link may take to let go of it


def log_alarm(**alarm: object) -> None:
    """Where alarms go that nobody else takes."""
    logger.error("alarm outside a session: %s", alarm)


class Instrument(Device):
    """An ophyd device behind a port that one thread of its own uses.

    Args:
        address: the transport's own string.
        name: name of the device in the session and in documents.
        clock: the station's clock.
        on_alarm: called with kind, source, value, limit, action when something is wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        clock: Clock | None = None,
        on_alarm: AlarmHandler = log_alarm,
        **kwargs: Any,
    ) -> None:
        super().__init__(address, name=name, **kwargs)
        self.on_alarm = on_alarm
        self._clock = clock or MonotonicClock()
        self._worker: PortWorker | None = None
        self._worker_before: PortWorker | None = None
        self._identity: Identity | None = None

    # ---- what a driver adds; these run in the reader thread
    def _open_link(self) -> Identity:
        """Open the port and learn who answers."""
        raise NotImplementedError

    def _close_link(self) -> None:
        """Let go of the port."""
        raise NotImplementedError

    def _make_safe(self) -> None:
        """Bring a freshly connected or idle instrument to its safe state, confirmed by the instrument."""
        raise NotImplementedError

    def check_reading(self) -> str:
        """One fresh reading with its unit, for `labctl check`; raises DeviceError when there is none."""
        raise NotImplementedError

    def check_limits(self) -> str:
        """The limits in force, as read back or as compiled into programs, for `labctl check`."""
        return "none"

    def connect(self) -> Identity:
        """Open the port, learn who answers, and make it safe.

        Raises:
            DeviceError: nothing, or the wrong thing, answers; the port is in use.
        """
        if self._identity is not None:
            return self._identity
        if self._worker_before is not None and not self._worker_before.close(_LEAVE_SECOND):
            raise DeviceError(f"{self.name}: {self.prefix} is still being released; try again")
        worker = PortWorker(f"{self.name}-reader")
        try:
            identity = worker.submit(self._open_link).result()
            worker.submit(self._make_safe).result()
        except BaseException:
            worker.submit(self._close_link)
            worker.close()
            raise
        self._worker, self._identity = worker, identity
        return identity

    def disconnect(self) -> None:
        """Let go of the port; may be called twice."""
        if self._worker is None:
            return
        self._worker.submit(self._close_link)
        self._worker.close()
        self._worker_before, self._worker, self._identity = self._worker, None, None

    @property
    def identity(self) -> Identity | None:
        """Who the instrument says it is; None before `connect()`."""
        return self._identity

    def metadata(self) -> dict[str, Any]:
        """Identity and address, for the start document."""
        who = self._identity.as_metadata() if self._identity else {}
        return {**who, "address": self.prefix}

    def _alarm(self, **alarm: Any) -> None:
        """To whoever takes alarms now: kind, source, value, limit, action."""
        self.on_alarm(**alarm)

    def _status_of(self, future: Future[T]) -> DeviceStatus:
        """A status that ends as `future` does."""
        status = DeviceStatus(self, call_stop_on_failure=False)

        def settle(done: Future[T]) -> None:
            error = done.exception()
            if error is None:
                status.set_finished()
            else:
                status.set_exception(error if isinstance(error, Exception) else DeviceError(str(error)))

        future.add_done_callback(settle)
        return status

    def _require_worker(self) -> PortWorker:
        if self._worker is None:
            raise DeviceError(f"{self.name}: not connected")
        return self._worker
