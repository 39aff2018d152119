"""The ophyd cycler that every driver shares: programs, their stream, an open circuit on every way out.

A driver adds how to talk (`_open_link`, `_close_link`, `_switch_off`, `_resynchronise`), what it can do
(`check`), how a program gets onto the instrument (`_loading`) and how its output is followed (`_new_run`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from math import nan
from typing import Any, Protocol

from ophyd import Component
from ophyd.status import DeviceStatus

from devices.columns import Column, ColumnSpec
from devices.continuation import remainder
from devices.flyer import DirectCurrentFlyer, ImpedanceFlyer
from devices.instrument import Instrument
from devices.program_record import ProgramRecord
from devices.techniques import Program, StepResult
from labctl.clock import TimeKeeper
from labctl.errors import DeviceError
from labctl.safety.limits import Limits

OPEN_WITHIN_SECOND = 2.0


class ProgramRun(Protocol):
    """One run of a program, followed by the reader thread; other threads only ask it to stop, and wait."""

    record: ProgramRecord
    started: Future[None]
    ended: threading.Event

    def request_stop(self, reason: str) -> None:
        """End the program early."""
        ...

    def follow(self) -> None:
        """Take in all output; returns with the cell off, or raises DeviceError."""
        ...

    def close(self) -> None:
        """Release whoever still waits for the start."""
        ...


class CyclerDevice(Instrument):
    """A cycler at `address`.

    Args:
        address: the transport's own string.
        limits: station limits narrowed by the cell's; compiled into every program.
        options: as for every instrument: name, clock, on_alarm.
    """

    take_over = True  # stop a program that still runs on the instrument when connecting

    voltage = Component(Column, spec=ColumnSpec("voltage", "float", "V"), value=nan, kind="hinted")
    current = Component(Column, spec=ColumnSpec("current", "float", "A"), value=nan, kind="hinted")
    cell_on = Component(Column, spec=ColumnSpec("cell_on", "integer", "1"), value=0, kind="normal")
    dc = Component(DirectCurrentFlyer, "", kind="omitted")
    eis = Component(ImpedanceFlyer, "", kind="omitted")

    def __init__(self, address: str, *, limits: Limits | None = None, **options: Any) -> None:
        super().__init__(address, **options)
        self.limits = limits or Limits()
        self._keeper = TimeKeeper(self._clock)
        self._lock = threading.RLock()  # orders prepare, start, pause and resume between threads
        self._program: Program | None = None
        self._run: ProgramRun | None = None
        self._status: DeviceStatus | None = None
        self._results: list[StepResult] = []
        self._paused = False
        self._circuit_maybe_closed = True  # until the instrument has said otherwise

    # ---- what a driver adds; all but `check`, `_loading` and `_new_run` run in the reader thread
    def check(self, program: Program) -> None:
        """Refuse, naming technique and field, what instrument, station or cell do not allow."""
        raise NotImplementedError

    def _switch_off(self) -> None:
        """Open the circuit of an idle instrument; returns only when the instrument has confirmed."""
        raise NotImplementedError

    def _resynchronise(self) -> None:
        """After a failure: get the instrument to listen again, whatever it was doing."""
        raise NotImplementedError

    def _loading(self, program: Program) -> Callable[[], None]:
        """Compile `program`; the job that uploads it."""
        raise NotImplementedError

    def _new_run(self, record: ProgramRecord) -> ProgramRun:
        raise NotImplementedError

    # ---- connection
    def _make_safe(self) -> None:
        self._switch_off()
        self._circuit_maybe_closed = False

    def disconnect(self) -> None:
        """Open the circuit and let go of the port."""
        self._open_circuit("stopped")
        super().disconnect()

    def check_limits(self) -> str:
        """Voltage window and largest current of every program."""
        low, high, most = (
            self.limits.voltage_min_volt,
            self.limits.voltage_max_volt,
            self.limits.current_max_ampere,
        )
        window = "any voltage" if low is None or high is None else f"{low:g} to {high:g} V"
        return f"{window}, {'any current' if most is None else f'{most * 1e3:g} mA'}"

    def metadata(self) -> dict[str, Any]:
        """Identity, address and limits in force, for the start document."""
        return {**super().metadata(), "limits": self.limits.model_dump()}

    # ---- programs
    def prepare(self, value: Program) -> DeviceStatus:
        """Check, compile and upload `value`; no current flows.

        Raises:
            ProtocolError: the program asks for what is not allowed; nothing was sent.
        """
        with self._lock:
            self.check(value)
            if self._run is not None and not self._run.ended.is_set():
                raise DeviceError(f"{self.name}: a program is running")
            self._run, self._status, self._paused = None, None, False
            self._results, self._program = [], value
            return self._upload(value)

    def _upload(self, program: Program) -> DeviceStatus:
        status = DeviceStatus(self, call_stop_on_failure=False)
        _finish_with(self._require_worker().submit(self._loading(program)), status)
        return status

    def start_program(self) -> DeviceStatus:
        """Run the prepared program (the flyer's `kickoff`)."""
        with self._lock:
            if self._program is None:
                raise DeviceError(f"{self.name}: kickoff without prepare")
            self._status = DeviceStatus(self, call_stop_on_failure=False)
            return self._start(self._program)

    def _start(self, program: Program) -> DeviceStatus:
        worker = self._require_worker()
        record = ProgramRecord(program, keeper=self._keeper, rows=self.dc.rows, spectra=self.eis.rows)
        run = self._new_run(record)
        self._run, self._paused, self._circuit_maybe_closed = run, False, True
        started = DeviceStatus(self, call_stop_on_failure=False)
        _finish_with(run.started, started)
        worker.submit(lambda: self._drain(run)).add_done_callback(lambda _: run.ended.set())
        return started

    def program_status(self) -> DeviceStatus:
        """Status of the running program (the flyer's `complete`)."""
        if self._status is None:
            raise DeviceError(f"{self.name}: complete without kickoff")
        return self._status

    @property
    def results(self) -> tuple[StepResult, ...]:
        """What became of the steps of the last program, in order."""
        return tuple(self._results)

    def _drain(self, run: ProgramRun) -> None:
        """The reader thread's job: follow `run` to its end and settle the program's status."""
        failure: DeviceError | None = None
        try:
            run.follow()
            self._circuit_maybe_closed = False
        except DeviceError as error:
            failure = error
            run.record.end_step(f"failed: {error}")
            self._rescue()
        finally:
            run.close()
            self._results += run.record.results
            self.cell_on.put(int(self._circuit_maybe_closed))
        status = self._status
        if status is None or status.done or (failure is None and self._paused):
            return
        if failure is None:
            status.set_finished()
        else:
            status.set_exception(failure)

    def _rescue(self) -> None:
        """After a failure the cell may still be on: get through to the instrument and switch it off."""
        try:
            self._resynchronise()
            self._make_safe()
        except DeviceError as error:
            self._alarm_circuit(error)

    def _publish(self, voltage_volt: float, current_ampere: float) -> None:
        """Newest reading, for everybody who looks at the signals."""
        self.voltage.put(voltage_volt)
        self.current.put(current_ampere)
        self.cell_on.put(int(self._circuit_maybe_closed))

    def _alarm_circuit(self, error: BaseException) -> None:
        text = str(error) or "the instrument does not answer"
        self.on_alarm(
            kind="circuit", source=self.name, value=nan, limit=nan, action=f"could not be opened: {text}"
        )

    # ---- runs and their ends
    def start_run(self) -> None:
        """Begin a run: test time starts at 0."""
        self._keeper.reset()

    def test_time_second(self) -> float:
        """The run's test time now (s)."""
        return self._keeper.now()

    def stage(self) -> list[object]:
        """Part of a run from here on; the circuit is open."""
        self._open_circuit("stopped")
        return super().stage()

    def unstage(self) -> list[object]:
        """Open the circuit, verified; the RunEngine calls this on every way out."""
        self._open_circuit("stopped")
        return super().unstage()

    def stop(self, *, success: bool = False) -> None:
        """Open the circuit and end the program; never raises."""
        self._open_circuit("stopped")

    def pause(self) -> None:
        """Open the circuit; the program and its status stay open for `resume()`."""
        with self._lock:
            self._paused = self._status is not None and not self._status.done
            self._open_circuit("paused")

    def resume(self) -> None:
        """Go on with what is left of a single paused step; a gapless program ends here, flagged."""
        with self._lock:
            if not self._paused or self._status is None or self._program is None:
                return
            left, status = remainder(self._program, self._results), self._status
            if left is None:
                self._paused = False
                status.set_finished()
                return
            self._program = left
            self._upload(left).add_callback(lambda upload: self._go_on(upload, left, status))

    def _go_on(self, upload: Any, program: Program, status: DeviceStatus) -> None:
        if upload.success:
            self._start(program)
        elif not status.done:
            status.set_exception(upload.exception())

    def _open_circuit(self, reason: str) -> None:
        """End the program if one runs and verify that the cell is off, within 2 s; failures are alarms."""
        if self._worker is None:
            return
        deadline = time.monotonic() + OPEN_WITHIN_SECOND
        run = self._run
        if run is not None:
            run.request_stop(reason)
            run.ended.wait(OPEN_WITHIN_SECOND)
        if self._circuit_maybe_closed:
            job = self._worker.submit(self._make_safe)
            try:
                job.result(timeout=max(deadline - time.monotonic(), 0.1))
            except (DeviceError, FutureTimeoutError) as error:
                self._alarm_circuit(error)
        if reason != "paused":
            self._paused = False
            if self._status is not None and not self._status.done:
                self._status.set_finished()
        self.cell_on.put(int(self._circuit_maybe_closed))


def _finish_with(future: Future[Any], status: DeviceStatus) -> None:
    """Settle `status` when `future` is done."""

    def settle(done: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            status.set_finished()
        else:
            status.set_exception(error if isinstance(error, Exception) else DeviceError(str(error)))

    future.add_done_callback(settle)
