"""The ophyd cycler that every driver shares: programs, their streams, an open circuit on every way out.

A driver adds how to talk (see `CircuitInstrument`), what it can do and what a program becomes there
(`_compile`), how that gets onto the instrument (`_load`) and how its output is followed (`_new_run`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from math import isnan, nan
from typing import Any, Generic, TypeVar

from ophyd import Component
from ophyd.status import DeviceStatus

from devices.core.columns import Column
from devices.core.compiled_once import CompiledOnce
from devices.core.end_reasons import PAUSED, STOPPED, failed
from devices.core.flyer import DirectCurrentFlyer, ImpedanceFlyer
from devices.core.instrument import Instrument
from devices.core.program import Course, ProgramRecord, ProgramRun
from devices.core.protocols import Identity
from devices.core.techniques import Program, StepResult, remainder
from labctl.clock import TimeKeeper
from labctl.errors import MAY_BE_CLOSED, DeviceError, InstrumentError, TransportError
from labctl.host_time import HOST
from labctl.records.limits import Limits
from labctl.schema import ColumnSpec

OPEN_WITHIN_SECOND = 2.0
_RECONNECT_PAUSES_SECOND = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # before each attempt


class OpeningAttempt:
    """One job of the reader thread that verifies that the output is off, and its deadline."""

    def __init__(self) -> None:
        self.done: Future[None] = Future()
        self.deadline_second = HOST.awake_second() + OPEN_WITHIN_SECOND
        self.told = False  # that it took too long was reported,
        self.late = False  # and the output was not verified off until then


class CircuitInstrument(Instrument):
    """An instrument whose output is switched off, and verified off, on every way out.

    Args:
        address: the transport's own string.
        options: as for every instrument: name, clock, on_alarm.
    """

    take_over = True  # stop a program that still runs on the instrument when connecting

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self._circuit_maybe_closed = True  # until the instrument has reported otherwise; the reader thread's
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
        """Return with the output verified off, within 2 s; never raises: a failure is an alarm."""
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
                "output off; samples measured before that are still being transferred, "
                "and may be too late for the record"
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
            self._alarm_circuit("output verified off, later than required")
        attempt.done.set_result(None)

    def _alarm_not_opened(self, reason: str) -> None:
        self._alarm_circuit(f"output not verified off: {reason}; the circuit {MAY_BE_CLOSED}")

    def _alarm_circuit(self, action: str) -> None:
        self._alarm(kind="circuit", source=self.name, value=nan, limit=nan, action=action)


_READING_WITHIN_SECOND = 10.0
T = TypeVar("T")
C = TypeVar("C")


class CyclerDevice(CircuitInstrument, Generic[C]):
    """A cycler at `address`; `C` is what its programs are compiled to.

    Args:
        address: the transport's own string.
        limits: station limits narrowed by the cell's; compiled into every program.
        options: as for every instrument: name, clock, on_alarm.
    """

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
        self._compiled = CompiledOnce[C]()
        self._course: Course | None = None
        self._run: ProgramRun | None = None
        self.found_clock_second: float | None = None  # when a driver that can tell last found the instrument,
        self.found_running = False  # and whether a program was running on it until then

    def __repr__(self) -> str:
        """Who it is, its state and its last reading; nothing is sent."""
        who = getattr(self, "_identity", None)
        if who is None:
            return f"<{self.name}: not connected>"
        volt: Any = self.voltage.get()
        ampere: Any = self.current.get()
        reading = f"last reading {volt:.5f} V, {ampere * 1e3:.4g} mA"
        if isnan(volt):
            reading = "nothing measured yet"
        state = "circuit closed" if self.cell_on.get() else "circuit open"
        return f"<{self.name}: {who.maker} {who.model} {who.serial}, {state}, {reading}>"

    # ---- what a driver adds; `_compile` and `_new_run` run in any thread, the others in the reader thread
    def _compile(self, program: Program, limits: Limits) -> C:
        """Refuse, naming technique and field, what instrument or `limits` do not allow; else compile."""
        raise NotImplementedError

    def _compiled_for(self) -> tuple[object, ...]:
        """What `_compile` makes use of besides what it is given: model, channel and the like."""
        raise NotImplementedError

    def _load(self, compiled: C) -> None:
        """Upload what a program was compiled to; no current flows."""
        raise NotImplementedError

    def _new_run(self, program: Program, record: ProgramRecord) -> ProgramRun:
        """One run of `program`, which was loaded; nothing is sent yet."""
        raise NotImplementedError

    def _rest_voltage(self) -> float:
        """The cell's voltage (V), measured without current."""
        raise NotImplementedError

    def _without_host(self) -> str:
        """What becomes of a program while no host reaches the instrument, for alarms."""
        return "whether its program continues is not known"

    def _look_at_open_circuit(self) -> str:
        """Verify with the instrument that its output is off; its answer in words."""
        raise NotImplementedError

    def _note_found(self, *, running: bool) -> None:
        """Found when connecting, with somebody's program running or not; not when it is reached again."""
        if self._identity is None:
            self.found_clock_second, self.found_running = self._clock.now(), running

    # ---- for people and for the start document
    def measure_rest_voltage(self) -> float:
        """Cell voltage (V) at open circuit, measured now.

        Raises:
            DeviceError: a program is running; there is no reading.
        """
        self._require_no_program()
        volt = self._answer_of(self._rest_voltage)
        self.voltage.put(volt)
        return volt

    def _answer_of(self, job: Callable[[], T]) -> T:
        """What `job` gives in the reader thread."""
        try:
            return HOST.result_within(self._require_worker().submit(job), _READING_WITHIN_SECOND)
        except FutureTimeoutError:
            raise TransportError(f"{self.name}: no answer within {_READING_WITHIN_SECOND:g} s") from None

    def confirm_open(self) -> str:
        """What the instrument itself says of its open circuit, asked now, in words.

        Raises:
            DeviceError: it says otherwise, or nothing.
        """
        return self._answer_of(self._look_at_open_circuit)

    def check_reading(self) -> str:
        """The cell's rest voltage."""
        return f"{self.measure_rest_voltage():.5f} V at rest"

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
    def check(self, program: Program) -> None:
        """Refuse, naming technique and field, what instrument, station or cell do not allow.

        Raises:
            ProtocolError: with what is allowed; nothing was sent.
        """
        self._compiled_program(program)

    def limits_for(self, program: Program) -> Limits:
        """The limits that are compiled into `program`: the cycler's own, narrowed by the program's."""
        return self.limits if program.limits is None else self.limits.narrowed_by(program.limits)

    def _compiled_program(self, program: Program) -> C:
        """What `program` is compiled to under the limits of now; of its check, if that was the last one."""
        limits = self.limits_for(program)
        made_of = (program.techniques, limits, *self._compiled_for())
        return self._compiled.get(made_of, lambda: self._compile(program, limits))

    def prepare(self, value: Program) -> DeviceStatus:
        """Check `value` now; done when it is compiled and uploaded. No current flows.

        Raises:
            ProtocolError: the program asks for what is not allowed; nothing was sent.
        """
        with self._lock:
            self.check(value)
            self._require_no_program()
            self._course, self._run = Course(value), None
            return self._upload(value)

    def _require_no_program(self) -> None:
        if self._run is not None and not self._run.stopping:
            raise DeviceError(f"{self.name}: a program is running")

    def _upload(self, program: Program) -> DeviceStatus:
        return self._status_of(
            self._require_worker().submit(lambda: self._load(self._compiled_program(program)))
        )

    def start_program(self) -> DeviceStatus:
        """Run the prepared program (the flyer's `kickoff`)."""
        with self._lock:
            if self._course is None:
                raise DeviceError(f"{self.name}: kickoff without prepare")
            self._require_no_program()
            self._course.status = DeviceStatus(self, call_stop_on_failure=False)
            return self._start(self._course)

    def _start(self, course: Course) -> DeviceStatus:
        worker = self._require_worker()
        record = ProgramRecord(
            course.program,
            keeper=self._keeper,
            rows=self.dc.rows,
            spectra=self.eis.rows,
            report=lambda **alarm: self._alarm(source=self.name, **alarm),
        )
        run = self._run = self._new_run(course.program, record)
        course.records.append(record)
        course.paused = False
        worker.submit(lambda: self._follow(run, course))
        return self._status_of(run.started)

    def program_status(self) -> DeviceStatus:
        """Status of the running program (the flyer's `complete`)."""
        if self._course is None or self._course.status is None:
            raise DeviceError(f"{self.name}: complete without kickoff")
        return self._course.status

    @property
    def results(self) -> tuple[StepResult, ...]:
        """What became of the steps of the last program, in order; while it runs, of those that are over."""
        return tuple(self._course.results) if self._course is not None else ()

    def _follow(self, run: ProgramRun, course: Course) -> None:
        """The reader thread's job: follow `run` to its end and settle the program's status.

        A failure is told at once; the circuit is opened by the job after this one, which may take longer.
        """
        failure: Exception | None = None
        self._circuit_maybe_closed = True
        try:
            run.follow()
            self._circuit_maybe_closed = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the program is over
            failure = error
            run.record.end_step(failed(error))
            self._attempt_to_open()
        self.cell_on.put(int(self._circuit_maybe_closed))
        run.close()
        if isinstance(failure, TransportError):
            action = f"current may still flow: {self._without_host()}; connecting anew to stop it ({failure})"
            self._alarm(kind="link", source=self.name, value=nan, limit=nan, action=action)
        if failure is not None or not course.paused:
            course.settle(failure)

    def _make_safe(self) -> None:
        super()._make_safe()
        self.cell_on.put(0)

    def _publish(self, voltage_volt: float, current_ampere: float) -> None:
        """The newest reading, put into the signals."""
        self.voltage.put(voltage_volt)
        self.current.put(current_ampere)
        self.cell_on.put(int(self._circuit_maybe_closed))

    # ---- runs and their ends
    def start_run(self) -> None:
        """Begin a run: test time starts at 0."""
        self._keeper.reset()

    def test_time_second(self) -> float:
        """The run's test time now (s)."""
        return self._keeper.now()

    def clock_second(self) -> float:
        """The station's clock now (s): goes on from one process to the next, until the machine restarts."""
        return self._clock.now()

    def stage(self) -> DeviceStatus:  # type: ignore[override]  # ophyd waits; the RunEngine takes either
        """Part of a run from here on; done when the output is verified off, failed if it is not."""
        super().stage()
        self._ask_to_stop(STOPPED)
        attempt = self._attempt_to_open()
        if attempt is None:
            raise DeviceError(f"{self.name}: not connected")
        return self._status_of(attempt.done)

    def unstage(self) -> list[object]:
        """Open the circuit, verified; the RunEngine calls this on every way out, and does not wait for it."""
        self.stop()
        return super().unstage()

    def stop(self, *, success: bool = False) -> None:
        """Open the circuit and end the program; never raises."""
        self._ask_to_stop(STOPPED)
        self._open_circuit()
        if self._course is not None:
            self._course.settle()

    def disconnect(self) -> None:
        """Open the circuit and let go of the port; may be called twice."""
        self.stop()
        super().disconnect()

    def pause(self) -> None:
        """Open the circuit; the program and its status stay open for `resume()`."""
        with self._lock:
            if self._course is not None:
                self._course.paused = self._course.open
            self._ask_to_stop(PAUSED)
            self._open_circuit()

    def resume(self) -> None:
        """Go on with what is left of a single paused step; a gapless program ends here, flagged."""
        with self._lock:
            course = self._course
            if course is None or not course.paused or not course.open:
                return
            left = remainder(course.program, course.results)
            if left is None:
                course.settle()
                return
            course.program = left
            self._upload(left).add_callback(lambda upload: self._go_on(upload, course))

    def _go_on(self, upload: Any, course: Course) -> None:
        with self._lock:
            if course is not self._course or not course.paused:
                return  # stopped, or something else was prepared, meanwhile
            if upload.success:
                self._start(course)
            else:
                course.settle(upload.exception())

    def _ask_to_stop(self, reason: str) -> None:
        if self._run is not None:
            self._run.request_stop(reason)
