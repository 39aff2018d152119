"""An instrument that closes a circuit: connection, reconnection, and the circuit seen to be open again."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from math import nan
from typing import Any

from devices.instrument import Instrument
from devices.protocols import Identity
from labctl.errors import MAY_BE_CLOSED, InstrumentError, TransportError
from labctl.host_time import HOST

OPEN_WITHIN_SECOND = 2.0
_RECONNECT_PAUSES_SECOND = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # before each attempt


class OpeningAttempt:
    """One job of the reader thread that sees the circuit open, and the moment by which it should have."""

    def __init__(self) -> None:
        self.done: Future[None] = Future()
        self.deadline_second = HOST.awake_second() + OPEN_WITHIN_SECOND
        self.told = False  # somebody was told that it took too long,
        self.late = False  # and that the circuit was not seen to be open until then


class CircuitInstrument(Instrument):
    """An instrument whose circuit is opened, and seen to be open, on every way out.

    Args:
        address: the transport's own string.
        options: as for every instrument: name, clock, on_alarm.
    """

    take_over = True  # stop a program that still runs on the instrument when connecting

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self._circuit_maybe_closed = True  # until the instrument has said otherwise; the reader thread's
        self._attempt: OpeningAttempt | None = None
        self._attempting = threading.Lock()
        self._leaving = threading.Event()

    # ---- what a driver adds; these run in the reader thread
    def _open_port(self) -> Identity:
        """Open the port and learn who answers; settings are left alone."""
        raise NotImplementedError

    def _set_up(self, identity: Identity) -> None:
        """Check that `identity` is what the driver can use, and bring it into the state programs need."""
        raise NotImplementedError

    def _switch_off(self) -> None:
        """Open the circuit of an idle instrument; returns only when the instrument has confirmed."""
        raise NotImplementedError

    def _resynchronise(self) -> None:
        """After a failure: get the instrument to listen again, whatever it was doing."""
        raise NotImplementedError

    # ---- connection
    def _open_link(self) -> Identity:
        self._leaving.clear()
        return self._open_port_to(None)

    def _open_port_to(self, expected: Identity | None) -> Identity:
        """Open the port; another instrument than `expected` is let go of with its settings untouched."""
        identity = self._open_port()
        try:
            if expected is not None and identity != expected:
                raise InstrumentError(
                    f"{self.prefix}: after the link was lost {identity.model} {identity.serial} answers in "
                    f"place of {expected.model} {expected.serial}"
                )
            self._set_up(identity)
        except BaseException:
            self._close_link()
            raise
        return identity

    def _reach(self) -> None:
        """Get through to the instrument again, over a new connection if the old one is dead.

        Raises:
            InstrumentError: another instrument answers now, or it refuses.
            TransportError: nobody answers.
        """
        try:
            self._resynchronise()
            return
        except TransportError as error:
            failure = error
            self._close_link()
        for pause_second in _RECONNECT_PAUSES_SECOND:
            if self._leaving.wait(pause_second):
                break
            try:
                self._open_port_to(self._identity)
                return
            except TransportError as error:
                failure = error
        raise failure

    def _make_safe(self) -> None:
        self._switch_off()
        self._circuit_maybe_closed = False

    def disconnect(self) -> None:
        """Open the circuit and let go of the port; may be called twice."""
        self._open_circuit()
        self._leaving.set()
        super().disconnect()
        self._attempt = None

    # ---- the open circuit
    def _open_circuit(self) -> None:
        """Return with the circuit seen to be open, within 2 s; never raises: a failure is an alarm."""
        attempt = self._attempt_to_open()
        if attempt is None:
            return
        left_second = max(attempt.deadline_second - HOST.awake_second(), 0.0)
        if HOST.done_within(attempt.done, left_second) or attempt.told:
            return
        attempt.told, attempt.late = True, self._circuit_maybe_closed
        if attempt.late:
            self._alarm_not_opened("the instrument does not answer")
        else:
            self._alarm_circuit(
                "is open; what was measured before is still on its way, and may come too late for the record"
            )

    def _attempt_to_open(self) -> OpeningAttempt | None:
        """The attempt under way, or a new one that begins when the reader thread is free; None: no reader."""
        with self._attempting:
            if self._worker is None:
                return None
            if self._attempt is None or self._attempt.done.done():
                attempt = self._attempt = OpeningAttempt()
                self._worker.submit(lambda: self._see_it_open(attempt))
            return self._attempt

    def _see_it_open(self, attempt: OpeningAttempt) -> None:
        """The reader thread's job. A circuit that may be closed now is one after a failure."""
        try:
            if self._circuit_maybe_closed:
                self._reach()
                self._make_safe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the circuit may be closed
            try:
                self._alarm_not_opened(str(error) or type(error).__name__)
            finally:
                attempt.done.set_exception(error)
            return
        if attempt.late:
            self._alarm_circuit("is open after all")
        attempt.done.set_result(None)

    def _alarm_not_opened(self, reason: str) -> None:
        self._alarm_circuit(f"was not seen to open: {reason}; it {MAY_BE_CLOSED}")

    def _alarm_circuit(self, action: str) -> None:
        self._alarm(kind="circuit", source=self.name, value=nan, limit=nan, action=action)
