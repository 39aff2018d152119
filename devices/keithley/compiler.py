"""From techniques to a trigger model that keeps time, ends itself and guards the cell without a host.

The model begins with one reading at 0 A, whose instant is the program's time 0: a cell whose voltage lies
beyond the source's voltage limit would be discharged by the clamp, so current only flows after that check.
Each technique then recalls its source and measure settings, closes the circuit, and goes through one loop for
each phase of its sampling:

    WAIT for the timer, [every n-th time], MEASure, leave if an end condition holds, leave for good if a limit
    is passed, [leave if the host says so], count.

Times, and charges at constant current, are counts. What the instrument cannot evaluate (a drift, a charge at
constant voltage) the host does, and says so with *TRG. Every way out ends in output off; a way out by a limit
has blocks of its own. All readings go into one buffer, which is as large as the program is long.

At rest the circuit stays closed with a current source at 0 A in the 1 uA range: its offset is below 1 nA
(2450: 400 pA, SPEC-2450), 1 nAh in an hour, while a relay that opens could not measure the cell at all. Its
voltage limit is 20 V, above any cell: a limit below the cell's voltage would discharge it.

While a current is sourced that is the voltage, while a voltage is sourced the current. A condition that ends
a technique at the very limit wins over the limit; a reading far beyond both is a trip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from devices.core.end_reasons import (
    CURRENT_BELOW,
    CURRENT_MAX,
    VOLTAGE_ABOVE,
    VOLTAGE_BELOW,
    VOLTAGE_MAX,
    VOLTAGE_MIN,
)
from devices.core.program_checks import window_volt
from devices.core.step_time import LONGEST_STEP_SECOND, time_limit_second
from devices.core.techniques import AnyTechnique, ConstantCurrent, ConstantVoltage, OpenCircuit, Program
from devices.keithley.models import (
    MOST_BLOCKS,
    MOST_EVENT_BRANCHES,
    WIDEST_VOLT,
    KeithleyModel,
    check_program,
)
from devices.keithley.settings import SourceMeasureSettings, margin_volt, settings_for, settings_idle
from devices.keithley.timing import (
    base_tick_second,
    multiple_of,
    phases,
    power_line_cycles,
    readings_of,
)
from labctl.errors import ProtocolError
from labctl.records.limits import Limits


class Label:
    """A place in the model that blocks branch to; its number is known at the end."""

    def __init__(self) -> None:
        self.number = 0


@dataclass(frozen=True)
class _Block:
    command: str
    arguments: str
    target: Label | None
    tail: str


@dataclass
class BlockList:
    """Blocks in their order. The end of the model has number 0."""

    _blocks: list[_Block] = field(default_factory=list)
    end: Label = field(default_factory=Label)

    @property
    def next_number(self) -> int:
        """Number of the block that comes next."""
        return len(self._blocks) + 1

    def here(self, label: Label) -> None:
        """`label` is the next block."""
        label.number = self.next_number

    def add(self, command: str, arguments: str = "", *, to: Label | None = None, tail: str = "") -> int:
        """One block, `TRIG:BLOC:<command> <number>, <arguments>, <target>, <tail>`; its number."""
        self._blocks.append(_Block(command, arguments, to, tail))
        return len(self._blocks)

    def commands(self) -> list[str]:
        """The SCPI commands that build the model."""
        return [self._command(number, block) for number, block in enumerate(self._blocks, start=1)]

    def _command(self, number: int, block: _Block) -> str:
        parts = [str(number), block.arguments, "" if block.target is None else str(block.target.number)]
        return f"TRIG:BLOC:{block.command} " + ", ".join(part for part in (*parts, block.tail) if part)


VOLTAGE_LIMIT, CURRENT_LIMIT = "voltage", "current"
_GUARD_SHARE = 0.5  # of that


@dataclass(frozen=True)
class Condition:
    """`reason` holds when the reading lies inside (or outside) the interval from `low` to `high`.

    The bounds are kept as they are sent, so that host and instrument decide alike.
    """

    reason: str
    low: float
    high: float
    inside: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(_shown(self.low)))
        object.__setattr__(self, "high", float(_shown(self.high)))

    def arguments(self) -> str:
        """Type and bounds of the limit branch."""
        return f"{'IN' if self.inside else 'OUT'}, {_shown(self.low)}, {_shown(self.high)}"

    def first(self, readings: NDArray[np.float64]) -> int:
        """Index of the first reading for which it holds, or their number."""
        within = (readings >= self.low) & (readings <= self.high)
        hits = within if self.inside else ~within
        return int(hits.argmax()) if hits.any() else len(readings)

    def limit_passed(self, reading: float) -> str:
        """The name of the limit that this reading has passed."""
        if self.reason == CURRENT_LIMIT:
            return CURRENT_MAX
        return VOLTAGE_MIN if reading < self.low else VOLTAGE_MAX


def _shown(value: float) -> str:
    return f"{value:.9g}"


def guard_window_volt(limits: Limits) -> tuple[float, float]:
    """The window, widened by half of that margin."""
    extra = _GUARD_SHARE * (margin_volt(limits) or 0.0)
    low = -WIDEST_VOLT if limits.voltage_min_volt is None else limits.voltage_min_volt - extra
    high = WIDEST_VOLT if limits.voltage_max_volt is None else limits.voltage_max_volt + extra
    return low, high


def end_conditions(technique: AnyTechnique, limits: Limits) -> tuple[Condition, ...]:
    """What ends a technique and can be seen in its readings."""
    low, high = guard_window_volt(limits)
    found = []
    if isinstance(technique, ConstantCurrent):
        if technique.until_voltage_above_volt is not None:
            found.append(Condition(VOLTAGE_ABOVE, technique.until_voltage_above_volt, high, inside=True))
        if technique.until_voltage_below_volt is not None:
            found.append(Condition(VOLTAGE_BELOW, low, technique.until_voltage_below_volt, inside=True))
    elif isinstance(technique, ConstantVoltage) and technique.until_current_below_ampere is not None:
        small = technique.until_current_below_ampere
        found.append(Condition(CURRENT_BELOW, -small, small, inside=True))
    return tuple(found)


def limit_conditions(technique: AnyTechnique, limits: Limits) -> tuple[Condition, ...]:
    """Safety limits that can be seen in a technique's readings; the others its settings keep."""
    if isinstance(technique, ConstantCurrent):
        low, high = window_volt(limits, -WIDEST_VOLT, WIDEST_VOLT)
        return (Condition(VOLTAGE_LIMIT, low, high, inside=False),)
    if isinstance(technique, ConstantVoltage) and limits.current_max_ampere is not None:
        most = limits.current_max_ampere
        return (Condition(CURRENT_LIMIT, -most, most, inside=False),)
    return ()


def entry_condition(limits: Limits) -> Condition:
    """A cell beyond this must not be connected to a current source with these limits."""
    low, high = guard_window_volt(limits)
    far = max(abs(low), abs(high))
    return Condition(VOLTAGE_LIMIT, -far, far, inside=False)


def host_condition(technique: AnyTechnique) -> str | None:
    """The field of a technique that only the host can evaluate."""
    if isinstance(technique, OpenCircuit) and technique.until_drift_volt_per_hour is not None:
        return "until_drift_volt_per_hour"
    if isinstance(technique, ConstantVoltage) and technique.until_charge_ah is not None:
        return "until_charge_ah"
    return None


BUFFER = "labctl"
SOURCE_LIST, MEASURE_LIST = "labctlSource", "labctlMeasure"
SPARE_READINGS = 100
OTHER_READINGS = 1000  # room for the instrument's own two buffers, which are made small


@dataclass(frozen=True)
class TriggerLoop:
    """One loop of the model, as the host follows it."""

    technique_index: int
    tick_second: float
    readings: int
    ends: tuple[Condition, ...]
    trips: tuple[Condition, ...]
    first_block: int
    last_block: int  # the counter


@dataclass(frozen=True)
class CompiledProgram:
    """A trigger model and what the host must know to follow it."""

    settings: tuple[SourceMeasureSettings, ...]
    blocks: tuple[str, ...]
    loops: tuple[TriggerLoop, ...]
    entry: dict[int, Condition]  # checks at the last reading before a technique, by its index
    exits: dict[int, str]  # numbers of the last blocks of ways out by a limit
    base_second: float
    buffer_readings: int
    host_checked: tuple[str, ...]


def compile_program(
    program: Program, model: KeithleyModel, limits: Limits, line_hertz: float = 50.0
) -> CompiledProgram:
    """Compile `program` for a model.

    Raises:
        ProtocolError: the instrument or the limits do not allow it; names what and why.
    """
    check_program(program, model, limits)
    return _Compiler(program, model, limits, line_hertz).compiled()


class _Compiler:
    def __init__(self, program: Program, model: KeithleyModel, limits: Limits, line_hertz: float) -> None:
        self._techniques, self._model, self._limits = program.techniques, model, limits
        self._phases = [phases(technique) for technique in self._techniques]
        self._base = base_tick_second(phase.tick_second for some in self._phases for phase in some)
        cycles = power_line_cycles(self._base, line_hertz)
        self._settings = [settings_idle(cycles)]
        self._settings += [settings_for(t, model, limits, cycles) for t in self._techniques]
        self._blocks = BlockList()
        self._loops: list[TriggerLoop] = []
        self._entry: dict[int, Condition] = {}
        self._exits: dict[str, Label] = {}

    def compiled(self) -> CompiledProgram:
        counts = self._counts()
        steps = [Label() for _ in self._techniques] + [Label()]
        measured = self._prelude()
        for index, technique in enumerate(self._techniques):
            self._blocks.here(steps[index])
            measured = self._step(index, technique, counts[index], measured, steps[index + 1])
        self._blocks.here(steps[-1])
        ends = self._ways_out()
        blocks = tuple(self._blocks.commands())
        host_checked = self._host_checked()
        self._require("trigger blocks", len(blocks), MOST_BLOCKS)
        self._require(
            "techniques with conditions that the host checks", len(host_checked), MOST_EVENT_BRANCHES
        )
        readings = 1 + sum(loop.readings for loop in self._loops) + SPARE_READINGS
        return CompiledProgram(
            tuple(self._settings), blocks, tuple(self._loops), self._entry, ends, self._base, readings,
            host_checked,
        )  # fmt: skip

    def _require(self, what: str, needed: int, most: int) -> None:
        if needed > most:
            raise ProtocolError(
                f"a gapless program of {len(self._techniques)} techniques needs {needed} {what}, but "
                f"{self._model.name} has {most}: use fewer techniques without a gap, or fewer sampling stages"
            )

    def _host_checked(self) -> tuple[str, ...]:
        found = ((n, host_condition(t)) for n, t in enumerate(self._techniques, start=1))
        return tuple(f"technique {number}: {field}" for number, field in found if field is not None)

    # ---- counts
    def _counts(self) -> list[list[int]]:
        """Readings of each phase of each technique; those without a time condition share the buffer."""
        ticks = [[(self._tick(p.tick_second), p.until_second) for p in some] for some in self._phases]
        limits = [time_limit_second(technique) for technique in self._techniques]
        room = self._model.buffer_readings - OTHER_READINGS - SPARE_READINGS - 1
        room -= sum(
            sum(readings_of(pairs, limit))
            for pairs, limit in zip(ticks, limits, strict=True)
            if limit < LONGEST_STEP_SECOND
        )
        endless = sum(limit >= LONGEST_STEP_SECOND for limit in limits)
        if room < endless * SPARE_READINGS:
            raise ProtocolError(
                f"the program takes {-room} readings more than {self._model.name} can keep: shorten it "
                "(while current flows it measures every 50 ms, whatever the sampling)"
            )
        share = room // max(endless, 1)
        bounded = [
            limit
            if limit < LONGEST_STEP_SECOND
            else min(LONGEST_STEP_SECOND, share * min(t for t, _ in pairs))
            for pairs, limit in zip(ticks, limits, strict=True)
        ]
        return [readings_of(pairs, limit) for pairs, limit in zip(ticks, bounded, strict=True)]

    def _tick(self, tick_second: float) -> float:
        return multiple_of(tick_second, self._base) * self._base

    # ---- blocks
    def _prelude(self) -> int:
        blocks = self._blocks
        blocks.add("BUFF:CLE", f'"{BUFFER}"')
        self._recall(0)
        blocks.add("NOT", "1")
        blocks.add("WAIT", "TIM1")
        return blocks.add("MEAS", f'"{BUFFER}"')

    def _recall(self, index: int) -> None:
        """Settings number `index` (0: idle), and the circuit closed."""
        place = index + 1
        self._blocks.add("CONF:REC", f'"{SOURCE_LIST}", {place}, "{MEASURE_LIST}", {place}')
        self._blocks.add("SOUR:STAT", "ON")

    def _step(
        self, index: int, technique: AnyTechnique, counts: list[int], measured: int, after: Label
    ) -> int:
        """The blocks of one technique; the number of the block that measures last."""
        follows_voltage = index > 0 and isinstance(self._techniques[index - 1], ConstantVoltage)
        if isinstance(technique, ConstantCurrent) and not follows_voltage:  # there, the last is a current
            self._entry[index] = entry_condition(self._limits)
            self._trip(self._entry[index], measured)
        self._recall(index + 1)
        for phase, count in zip(self._phases[index], counts, strict=False):
            measured = self._loop(index, technique, self._tick(phase.tick_second), count, after) or measured
        return measured

    def _loop(self, index: int, technique: AnyTechnique, tick: float, count: int, after: Label) -> int | None:
        if not count:
            return None
        blocks, top = self._blocks, Label()
        blocks.here(top)
        blocks.add("WAIT", "TIM1")
        every = multiple_of(tick, self._base)
        if every > 1:
            skip = blocks.add("BRAN:COUN", str(every), to=top)
            blocks.add("BRAN:COUN:RES", str(skip))
        measured = blocks.add("MEAS", f'"{BUFFER}"')
        ends = end_conditions(technique, self._limits)
        trips = limit_conditions(technique, self._limits)
        for condition in ends:
            blocks.add("BRAN:LIM:CONS", condition.arguments(), to=after, tail=str(measured))
        for condition in trips:
            self._trip(condition, measured)
        if host_condition(technique) is not None:
            blocks.add("BRAN:EVEN", "COMM", to=after)
        last = blocks.add("BRAN:COUN", str(count), to=top)
        self._loops.append(TriggerLoop(index, tick, count, ends, trips, top.number, last))
        return measured

    def _trip(self, condition: Condition, measured: int) -> None:
        label = self._exits.setdefault(condition.reason, Label())
        self._blocks.add("BRAN:LIM:CONS", condition.arguments(), to=label, tail=str(measured))

    def _ways_out(self) -> dict[int, str]:
        """Output off; a way out by a limit is known by the number of its last block."""
        numbers: dict[int, str] = {}
        self._blocks.add("SOUR:STAT", "OFF")
        self._blocks.add("BRAN:ALW", to=self._blocks.end)
        for reason, label in self._exits.items():
            self._blocks.here(label)
            numbers[self._blocks.add("SOUR:STAT", "OFF")] = reason
            numbers[self._blocks.add("BRAN:ALW", to=self._blocks.end)] = reason
        return numbers
