"""Commands of an emulated Keithley unit that do something: buffers, readings, the trigger model, status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from devices.sim.keithley.run import ModelRun
from devices.sim.keithley.scpi import (
    ILLEGAL_VALUE,
    INIT_IGNORED,
    CommandTable,
    ScpiError,
    boolean,
    choice,
    number,
    shown,
    string,
    whole,
    within,
)
from devices.sim.keithley.state import KeithleyState
from devices.sim.keithley.trigger_model import BUILDERS, event_name

_DEFAULT_BUFFER = '"defbuffer1"'
_LONGEST_TIMER_SECOND = 100_000.0


class Runner(Protocol):
    """Who runs the trigger model."""

    @property
    def run(self) -> ModelRun | None:
        """The present run."""
        ...

    def initiate(self) -> None:
        """Start the trigger model."""
        ...

    def abort(self) -> None:
        """Stop it."""
        ...

    def fetched(self, *, all_readings: bool) -> None:
        """The host has asked for readings, or only how things are."""
        ...


class ActionCommands:
    """Fills a table with the commands of one unit."""

    def __init__(self, state: KeithleyState, runner: Runner, table: CommandTable) -> None:
        self._state, self._runner, self._table = state, runner, table
        self._status()
        self._buffers()
        self._triggering()
        self._timers()
        for name in ("READ?", "MEASure?"):
            table.add(name, self._read)
        table.add("FETCh?", self._fetch)

    # ---- status
    def _status(self) -> None:
        state, table = self._state, self._table
        table.add("*CLS", self._clear_status)
        table.add("*RST", self._reset)
        table.add("*ESE", lambda text: setattr(state, "event_enable", int(within(whole(text), 0, 255))))
        table.add("*ESE?", lambda: str(state.event_enable))
        table.add("*ESR?", self._event_status)
        table.add("*STB?", lambda: str(4 if state.errors else 0))
        table.add("*TST?", lambda: "0")
        table.add("SYSTem:ERRor[:NEXT]?", state.next_error)
        table.add("SYSTem:ERRor:COUNt?", lambda: str(len(state.errors)))
        table.add("SYSTem:CLEar", lambda: state.errors.clear())
        table.add("SYSTem:VERSion?", lambda: "1999.0")

    def _clear_status(self) -> None:
        self._state.errors.clear()
        self._state.event_status = 0

    def _reset(self) -> None:
        self._runner.abort()
        self._state.reset("*RST")

    def _event_status(self) -> str:
        value, self._state.event_status = self._state.event_status, 0
        return str(value)

    # ---- buffers
    def _buffers(self) -> None:
        state, table = self._state, self._table

        def fill_mode(mode: str, name: str = _DEFAULT_BUFFER) -> None:
            buffer = state.buffer(string(name))
            buffer.continuous = choice(mode, "CONTinuous", "ONCE") == "CONT"
            buffer.clear()

        def shown_mode(name: str = _DEFAULT_BUFFER) -> str:
            return "CONT" if state.buffer(string(name)).continuous else "ONCE"

        table.add("TRACe:MAKE", lambda name, size, *_: state.make_buffer(string(name), whole(size)))
        table.add("TRACe:DELete", lambda name: state.delete_buffer(string(name)))
        table.add("TRACe:CLEar", lambda name=_DEFAULT_BUFFER: state.buffer(string(name)).clear())
        table.add("TRACe:POINts", lambda n, name=_DEFAULT_BUFFER: state.resize_buffer(string(name), whole(n)))
        table.add("TRACe:POINts?", lambda name=_DEFAULT_BUFFER: str(state.buffer(string(name)).size))
        table.add("TRACe:FILL:MODE", fill_mode)
        table.add("TRACe:FILL:MODE?", shown_mode)
        table.add("TRACe:ACTual?", self._actual)
        table.add(
            "TRACe:ACTual:STARt?", lambda name=_DEFAULT_BUFFER: str(state.buffer(string(name)).first_index)
        )
        table.add("TRACe:ACTual:END?", self._actual_end)
        table.add("TRACe:DATA?", self._data)

    def _actual(self, name: str = _DEFAULT_BUFFER) -> str:
        self._runner.fetched(all_readings=False)
        return str(len(self._state.buffer(string(name))))

    def _actual_end(self, name: str = _DEFAULT_BUFFER) -> str:
        buffer = self._state.buffer(string(name))
        return str(buffer.first_index + len(buffer) - 1)

    def _data(self, first: str, last: str, name: str = _DEFAULT_BUFFER, *elements: str) -> str:
        buffer = self._state.buffer(string(name))
        text = self._state.read_buffer(whole(first), whole(last), string(name), elements)
        if whole(last) >= buffer.first_index + len(buffer) - 1:
            self._runner.fetched(all_readings=True)
        return text

    def _read(self, name: str = _DEFAULT_BUFFER, *elements: str) -> str:
        """One reading, outside the trigger model; it takes no virtual time."""
        if self._runner.run is not None:
            raise ScpiError(INIT_IGNORED)
        unit = self._state.unit
        unit.advance_to(self._state.now())
        unit.use_noise_of(0)
        readings = unit.measure(np.array([self._state.now()]))
        unit.used(1)
        self._state.buffer(string(name)).append(readings)
        return self._fetch(name, *elements)

    def _fetch(self, name: str = _DEFAULT_BUFFER, *elements: str) -> str:
        buffer = self._state.buffer(string(name))
        last = buffer.first_index + len(buffer) - 1
        return self._state.read_buffer(last, last, string(name), elements)

    # ---- trigger model
    def _triggering(self) -> None:
        table, runner = self._table, self._runner
        table.add("INITiate[:IMMediate]", runner.initiate)
        table.add("ABORt", runner.abort)
        table.add("*TRG", self._command_event)
        table.add("TRIGger:STATe?", self._trigger_state)
        table.add("TRIGger:LOAD", self._load)
        for name, build in BUILDERS.items():
            table.add(f"TRIGger:BLOCk:{name}", self._builder(build))
        table.add("TRIGger:BLOCk:LIST?", self._list_blocks)
        table.add("TRIGger:BLOCk:BRANch:COUNter:COUNt?", self._counter)

    def _builder(self, build: Callable[[tuple[str, ...]], object]) -> Callable[..., None]:
        def add(place: str, *arguments: str) -> None:
            self._state.trigger_model.set(whole(place), build(arguments))  # type: ignore[arg-type]
            self._state.trigger_state = "BUILDING"

        return add

    def _load(self, name: str, *_: str) -> None:
        if string(name).upper() != "EMPTY":
            raise ScpiError(ILLEGAL_VALUE)
        self._state.trigger_model.clear()
        self._state.trigger_state, self._state.last_block = "EMPTY", 0

    def _command_event(self) -> None:
        if self._runner.run is not None:
            self._runner.run.pace.trigger("COMM")

    def _trigger_state(self) -> str:
        self._runner.fetched(all_readings=False)
        run, state = self._runner.run, self._state
        word = state.trigger_state if run is None else "ABORTING" if run.pace.ending else "RUNNING"
        return f"{word};{word};{run.block if run is not None else state.last_block}"

    def _list_blocks(self) -> str:
        blocks = sorted(self._state.trigger_model.blocks.items())
        return "\n".join(f"{number}) {block}" for number, block in blocks)

    def _counter(self, place: str) -> str:
        counters = self._runner.run.counters if self._runner.run else self._state.last_counters
        return str(counters.get(whole(place), 0))

    # ---- timers
    def _timers(self) -> None:
        state, table = self._state, self._table

        def set_stimulus(timer: int, text: str) -> None:
            state.timer(timer).stimulus = "NONE" if text.upper() == "NONE" else event_name(text)

        def set_state(timer: int, text: str) -> None:
            state.timer(timer).enabled = boolean(text)
            state.timer(timer).stop()

        def set_delay(timer: int, text: str) -> None:
            state.timer(timer).delay_second = within(number(text), 8e-6, _LONGEST_TIMER_SECOND)

        def set_count(timer: int, text: str) -> None:
            state.timer(timer).count = int(within(whole(text), 0, 1_048_575))

        def set_start(timer: int, text: str) -> None:
            state.timer(timer).at_start = boolean(text)

        rows = {
            "DELay": (set_delay, "delay_second"),
            "COUNt": (set_count, "count"),
            "STATe": (set_state, "enabled"),
            "STARt:STIMulus": (set_stimulus, "stimulus"),
            "STARt:GENerate": (set_start, "at_start"),
        }
        for word, (put, attribute) in rows.items():
            table.add(f"TRIGger:TIMer<n>:{word}", put)
            table.add(f"TRIGger:TIMer<n>:{word}?", _telling(state, attribute))


def _telling(state: KeithleyState, attribute: str) -> Callable[[int], str]:
    return lambda timer: shown(getattr(state.timer(timer), attribute))
