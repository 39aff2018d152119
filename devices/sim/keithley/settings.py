"""Settings of an emulated Keithley source-measure unit: per function, and the lists that keep them.

Function names are the short SCPI words CURR and VOLT. Defaults are those after *RST, among them the
output-off mode NORM, which sources 0 V into whatever is connected.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from devices.sim.keithley.scpi import OUT_OF_RANGE, SETTINGS_CONFLICT, ScpiError

CURRENT, VOLTAGE = "CURR", "VOLT"
FUNCTIONS = (CURRENT, VOLTAGE)
LONG_NAMES = {CURRENT: "CURRent", VOLTAGE: "VOLTage"}
_OVERRANGE = 1.05  # a range can be used to 105 % of its full scale


@dataclass(frozen=True)
class UnitModel:
    """What one model of the series can source and measure: ranges (A, V), ascending, and limits."""

    name: str
    current_ranges_ampere: tuple[float, ...]
    voltage_ranges_volt: tuple[float, ...]
    current_max_ampere: float
    voltage_max_volt: float
    current_limit_min_ampere: float
    voltage_limit_min_volt: float
    buffer_readings: int
    default_buffer_readings: int

    def ranges(self, function: str) -> tuple[float, ...]:
        """Full scales of a function."""
        return self.current_ranges_ampere if function == CURRENT else self.voltage_ranges_volt

    def range_for(self, function: str, value: float) -> float:
        """The lowest range that takes `value`.

        Raises:
            ScpiError: none does.
        """
        for full_scale in self.ranges(function):
            if abs(value) <= full_scale * _OVERRANGE * (1 + 1e-12):
                return full_scale
        raise ScpiError(OUT_OF_RANGE)

    def maximum(self, function: str) -> float:
        """The largest level."""
        return self.current_max_ampere if function == CURRENT else self.voltage_max_volt

    def smallest_limit(self, function: str) -> float:
        """The smallest limit of the *other* quantity while `function` is sourced."""
        return self.voltage_limit_min_volt if function == CURRENT else self.current_limit_min_ampere


_DECADES = (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
_HIGH_VOLTAGES = (0.2, 2.0, 7.0, 10.0, 20.0, 100.0)
MODELS = {
    "2450": UnitModel(
        "2450", (10e-9, 100e-9, *_DECADES), (0.02, 0.2, 2.0, 20.0, 200.0), 1.05, 210.0, 1e-9, 0.02,
        6_875_000, 100_000,
    ),
    "2460": UnitModel(
        "2460", (*_DECADES, 4.0, 5.0, 7.0), _HIGH_VOLTAGES, 7.35, 105.0, 1e-6, 0.2, 6_875_000, 100_000
    ),
    "2461": UnitModel(
        "2461", (*_DECADES, 4.0, 5.0, 7.0, 10.0), _HIGH_VOLTAGES, 7.35, 105.0, 1e-6, 0.2, 6_875_000, 100_000
    ),
}  # fmt: skip


@dataclass
class SourceSettings:
    """What is set for sourcing one function; `limit` bounds the other quantity (V or A, a magnitude)."""

    level: float = 0.0
    range: float = 0.0
    auto_range: bool = True
    limit: float = 0.0
    off_mode: str = "NORM"
    readback: bool = True
    delay: float = 0.0
    auto_delay: bool = True
    high_capacitance: bool = False


@dataclass
class SenseSettings:
    """What is set for measuring one function."""

    range: float = 0.0
    auto_range: bool = True
    lowest_auto_range: float = 0.0
    power_line_cycles: float = 1.0
    remote_sense: bool = False
    autozero: bool = True
    averaging: bool = False
    relative: bool = False
    unit: str = ""


@dataclass
class ConfigurationList:
    """Stored settings, each with the function it belongs to."""

    entries: list[tuple[str, SourceSettings | SenseSettings]] = field(default_factory=list)


class Settings:
    """All settings of one unit."""

    def __init__(self, model: UnitModel) -> None:
        self.model = model
        self.source_function, self.sense_function = VOLTAGE, CURRENT
        self.source = {name: self._default_source(name) for name in FUNCTIONS}
        self.sense = {name: self._default_sense(name) for name in FUNCTIONS}
        self.source_lists: dict[str, ConfigurationList] = {}
        self.sense_lists: dict[str, ConfigurationList] = {}
        self.terminals = "FRON"
        self.precision = 7  # significant digits of readings
        self.output = False

    def _default_source(self, name: str) -> SourceSettings:
        limit = 105e-6 if name == VOLTAGE else self.model.ranges(VOLTAGE)[2] * _OVERRANGE
        return SourceSettings(range=self.model.ranges(name)[0], limit=limit)

    def _default_sense(self, name: str) -> SenseSettings:
        lowest = self.model.ranges(name)[0]
        return SenseSettings(
            range=lowest, lowest_auto_range=lowest, unit="AMP" if name == CURRENT else "VOLT"
        )

    @property
    def active_source(self) -> SourceSettings:
        """Of the function that is sourced."""
        return self.source[self.source_function]

    @property
    def active_sense(self) -> SenseSettings:
        """Of the function that is measured."""
        return self.sense[self.sense_function]

    def set_level(self, function: str, value: float) -> None:
        """A level; a fixed range must take it.

        Raises:
            ScpiError: it does not, or no range does.
        """
        if abs(value) > self.model.maximum(function):
            raise ScpiError(OUT_OF_RANGE)
        settings = self.source[function]
        full_scale = self.model.range_for(function, value)
        if settings.auto_range:
            settings.range = full_scale
        elif abs(value) > settings.range * _OVERRANGE:
            raise ScpiError(OUT_OF_RANGE)
        settings.level = value

    def set_source_range(self, function: str, value: float) -> None:
        """The lowest range that takes `value`; it must take the present level too."""
        settings, full_scale = self.source[function], self.model.range_for(function, value)
        if abs(settings.level) > full_scale * _OVERRANGE:
            raise ScpiError(SETTINGS_CONFLICT)
        settings.range, settings.auto_range = full_scale, False

    def set_limit(self, function: str, value: float) -> None:
        """The limit of the other quantity while `function` is sourced."""
        other = VOLTAGE if function == CURRENT else CURRENT
        if not self.model.smallest_limit(function) <= value <= self.model.maximum(other):
            raise ScpiError(OUT_OF_RANGE)
        self.source[function].limit = value

    def store(self, kind: str, name: str, index: int | None) -> None:
        """Keep the active settings in a list, at `index` (from 1) or at its end."""
        if kind == "source":
            active: tuple[str, SourceSettings | SenseSettings] = (self.source_function, self.active_source)
        else:
            active = (self.sense_function, self.active_sense)
        entries = self.list_of(kind, name).entries
        entry = (active[0], deepcopy(active[1]))
        if index is None or index == len(entries) + 1:
            entries.append(entry)
        elif 1 <= index <= len(entries):
            entries[index - 1] = entry
        else:
            raise ScpiError(OUT_OF_RANGE)

    def recall(self, kind: str, name: str, index: int) -> None:
        """Make the settings of a list's entry the active ones."""
        entries = self.list_of(kind, name).entries
        if not 1 <= index <= len(entries):
            raise ScpiError(2790, "Configuration list, error, does not exist")
        function, stored = entries[index - 1]
        if isinstance(stored, SourceSettings):
            self.source_function, self.source[function] = function, deepcopy(stored)
        else:
            self.sense_function, self.sense[function] = function, deepcopy(stored)

    def list_of(self, kind: str, name: str) -> ConfigurationList:
        """A list by its name.

        Raises:
            ScpiError: there is none.
        """
        lists = self.source_lists if kind == "source" else self.sense_lists
        if name not in lists:
            raise ScpiError(2790, "Configuration list, error, does not exist")
        return lists[name]
