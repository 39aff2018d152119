"""What an emulated Keithley unit is made of behind its wire, and the answers that need all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import TwoPole
from devices.sim.keithley.buffer import ReadingBuffer, time_stamp
from devices.sim.keithley.scpi import ILLEGAL_VALUE, OUT_OF_RANGE, ScpiError
from devices.sim.keithley.settings import Settings, UnitModel
from devices.sim.keithley.source_measure_unit import SourceMeasureUnit
from devices.sim.keithley.trigger_model import Timer, TriggerModel

EXISTING_BUFFER = 1115
LONGEST_ERROR_QUEUE = 1000
_TIMERS = 4


class KeithleyState:
    """Settings, analog side, buffers, trigger model and error queue of one unit."""

    def __init__(self, model: UnitModel, record: BenchRecord, seed: int, now: Callable[[], float]) -> None:
        self.model, self.now = model, now
        self._record, self._seed = record, seed
        self.errors: deque[tuple[int, str]] = deque(maxlen=LONGEST_ERROR_QUEUE)
        self.event_enable = 0
        self.event_status = 128  # switched on since last read
        self.trigger_state, self.last_block = "EMPTY", 0
        self.last_counters: dict[int, int] = {}
        self.unit = SourceMeasureUnit(Settings(model), record, seed, now)
        self._restore_defaults()

    @property
    def settings(self) -> Settings:
        """What is set."""
        return self.unit.settings

    def reset(self, reason: str) -> None:
        """All settings as after *RST: the output is off, and NORM sources 0 V."""
        self.unit.advance_to(self.now())
        self.unit.settings = Settings(self.model)
        self._restore_defaults()
        self.unit.apply(reason)

    def _restore_defaults(self) -> None:
        size = self.model.default_buffer_readings
        self.buffers = {name: ReadingBuffer(size, continuous=True) for name in ("defbuffer1", "defbuffer2")}
        self.trigger_model = TriggerModel()
        self.timers = {number: Timer() for number in range(1, _TIMERS + 1)}
        self.trigger_state, self.last_block = "EMPTY", 0

    def power_on(self, reason: str) -> None:
        """What a loss of power leaves: defaults, no errors."""
        self.reset(reason)
        self.errors.clear()
        self.event_status = 128

    def connect(self, leads: TwoPole, reason: str) -> None:
        """Put a cell onto the leads."""
        self.unit.advance_to(self.now())
        self.unit.connect(leads, reason)

    def switch_off(self, reason: str) -> None:
        """Loss of power: the relay opens."""
        self.unit.advance_to(self.now())
        self.unit.disconnect(reason)

    def changed(self, reason: str) -> None:
        """Drive the leads as the settings say now."""
        self.unit.advance_to(self.now())
        self.unit.apply(reason)

    def timer(self, number: int) -> Timer:
        """A trigger timer by its number.

        Raises:
            ScpiError: there is none.
        """
        if number not in self.timers:
            raise ScpiError(OUT_OF_RANGE)
        return self.timers[number]

    # ---- errors
    def note_error(self, code: int, text: str) -> None:
        """An error for the queue; 16 and 32 are the bits of execution and command errors in *ESR?."""
        self.event_status |= 32 if -200 < code <= -100 else 16
        self.errors.append((code, f"{text};1;{time_stamp(self.now())}"))

    def next_error(self) -> str:
        """The oldest error, which is removed."""
        if not self.errors:
            return '0,"No error;0;0 0"'
        code, text = self.errors.popleft()
        return f'{code},"{text}"'

    # ---- buffers
    def buffer(self, name: str) -> ReadingBuffer:
        """A buffer by its name.

        Raises:
            ScpiError: there is none.
        """
        if name not in self.buffers:
            raise ScpiError(ILLEGAL_VALUE)
        return self.buffers[name]

    def make_buffer(self, name: str, size: int) -> None:
        """A new buffer that is filled once."""
        if name in self.buffers:
            raise ScpiError(
                EXISTING_BUFFER, "Parameter error: TRACe:MAKE cannot take an existing reading buffer name"
            )
        self._require_memory(size)
        self.buffers[name] = ReadingBuffer(size, continuous=False)

    def resize_buffer(self, name: str, size: int) -> None:
        """Another size; the readings are lost."""
        old = self.buffer(name)
        self._require_memory(size - old.size)
        self.buffers[name] = ReadingBuffer(size, continuous=old.continuous)

    def delete_buffer(self, name: str) -> None:
        """Remove a buffer that somebody made."""
        self.buffer(name)
        if name.startswith("defbuffer"):
            raise ScpiError(ILLEGAL_VALUE)
        del self.buffers[name]

    def _require_memory(self, more: int) -> None:
        if sum(buffer.size for buffer in self.buffers.values()) + more > self.model.buffer_readings:
            raise ScpiError(OUT_OF_RANGE)

    def read_buffer(self, first: int, last: int, name: str, elements: tuple[str, ...]) -> str:
        """Readings as text."""
        unit = {"CURR": "Amp DC", "VOLT": "Volt DC"}[self.settings.sense_function]
        precision = self.settings.precision
        return self.buffer(name).text(first, last, elements or ("READ",), precision, unit)
