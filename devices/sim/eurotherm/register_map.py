"""The registers of the emulated Eurotherm 3200: addresses, scaling, limits, and how often EEPROM was written.

Addresses as in the handbook HA028651, section 15.5; 111, 112, 516 and 525 from memory of it, 531 from third
parties. Plain registers are 16-bit integers with the decimals of their quantity; from 0x8000 on each of them
is there again as an IEEE float in two registers, high word first, which function 6 cannot write.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

from pymodbus.constants import ExcCodes

from devices.sim.eurotherm.temperature_loop import RANGE_HIGH_CELSIUS, RANGE_LOW_CELSIUS, TemperatureLoop

IEEE_AREA = 0x8000
EEPROM_BACKED = (2, 24, 25)
_NOT_A_NUMBER, _LARGEST = 0x8000, 32767
_SINGLE_WRITE = 6


@dataclass(frozen=True)
class Configuration:
    """How the instrument was set up at its front panel. `lacking` are registers that this variant has not."""

    decimals: int = 1
    units: int = 0  # 0 degC, 1 degF, 2 K
    ramp_units: int = 0  # 0 per minute, 1 per hour
    setpoint_low_celsius: float = 0.0
    setpoint_high_celsius: float = 250.0
    version: int = 0x0213
    remote_wall_second: float = 5.0  # handbook: a remote setpoint holds "within a window of about 5 seconds"
    lacking: frozenset[int] = frozenset()
    ieee: bool = True


@dataclass(frozen=True)
class Entry:
    """One register; `put` is None where it cannot be written."""

    get: Callable[[], float]
    decimals: int = 0
    put: Callable[[float], None] | None = None
    low: float = -inf
    high: float = inf


@dataclass
class RegisterMap:
    """What the Modbus server shows of a control loop.

    `before` is called before anything is read or written, `after` with the address and value of each write.
    """

    loop: TemperatureLoop
    configuration: Configuration
    before: Callable[[], None]
    after: Callable[[int, float], None]
    eeprom_writes: dict[int, int] = field(default_factory=lambda: dict.fromkeys(EEPROM_BACKED, 0))

    def __post_init__(self) -> None:
        self.loop.remote_wall_second = self.configuration.remote_wall_second
        entries = {**self._temperatures(), **self._settings(), **self._facts()}
        self._entries = {a: e for a, e in entries.items() if a not in self.configuration.lacking}

    # ---- what there is
    def _temperatures(self) -> dict[int, Entry]:
        loop, c = self.loop, self.configuration
        d, low, high = c.decimals, c.setpoint_low_celsius, c.setpoint_high_celsius

        def setpoint(get: Callable[[], float], put: Callable[[float], None]) -> Entry:
            return Entry(get, d, put, low, high)

        return {
            1: Entry(loop.shown_celsius, d),
            2: setpoint(loop.target_celsius, lambda v: self._set(loop.selected, v)),
            5: Entry(lambda: loop.working_celsius, d),
            11: Entry(lambda: RANGE_LOW_CELSIUS, d),
            12: Entry(lambda: RANGE_HIGH_CELSIUS, d),
            24: setpoint(lambda: loop.setpoints[0], lambda v: self._set(0, v)),
            25: setpoint(lambda: loop.setpoints[1], lambda v: self._set(1, v)),
            26: setpoint(lambda: loop.remote_celsius, loop.write_remote),
            111: Entry(lambda: high, d),
            112: Entry(lambda: low, d),
        }

    def _settings(self) -> dict[int, Entry]:
        loop = self.loop
        per_unit = 60.0 if self.configuration.ramp_units == 1 else 1.0

        def assign(name: str, convert: Callable[[float], object] = float) -> Callable[[float], None]:
            return lambda value: setattr(loop, name, convert(value))

        def switch(name: str) -> Entry:
            return Entry(lambda: float(getattr(loop, name)), 0, assign(name, bool), 0, 1)

        return {
            3: Entry(lambda: loop.manual_percent, 1, assign("manual_percent"), 0, 100),
            15: Entry(lambda: float(loop.selected), 0, assign("selected", int), 0, 1),
            35: Entry(
                lambda: loop.rate_kelvin_per_minute * per_unit,
                1,
                assign("rate_kelvin_per_minute", lambda v: v / per_unit),
                0,
                3000,
            ),
            199: Entry(lambda: float(loop.standby), 0, assign("standby", bool), 0, 1),
            273: switch("manual"),
            276: switch("remote_selected"),
        }

    def _facts(self) -> dict[int, Entry]:
        loop, c = self.loop, self.configuration
        return {
            4: Entry(lambda: loop.output_percent, 1),
            6: Entry(lambda: loop.proportional_band_kelvin, 1),
            7: Entry(lambda: 0.0),
            8: Entry(lambda: loop.integral_second),
            9: Entry(lambda: 0.0),
            30: Entry(lambda: 100.0, 1),
            31: Entry(lambda: 0.0, 1),
            75: Entry(lambda: float(self.status_bits())),
            107: Entry(lambda: float(c.version)),
            122: Entry(lambda: float(0xE320)),  # not the code of any real type
            131: Entry(lambda: 1.0),
            516: Entry(lambda: float(c.units)),
            525: Entry(lambda: float(c.decimals)),
            531: Entry(lambda: float(c.ramp_units)),
        }

    def status_bits(self) -> int:
        """Register 75."""
        loop = self.loop
        bits = {
            4: loop.manual,
            5: "sensor_break" in loop.faults,
            7: loop.heater_failed,
            10: "over_range" in loop.faults,
            13: loop.ramping,
            14: loop.remote_lost,
        }
        return sum(1 << bit for bit, active in bits.items() if active)

    def _set(self, index: int, celsius: float) -> None:
        self.loop.setpoints[index] = celsius

    # ---- access
    def addresses(self) -> Sequence[int]:
        """Every register there is, plain and IEEE."""
        ieee = [IEEE_AREA + 2 * a + half for a in self._entries for half in (0, 1)]
        return sorted([*self._entries, *(ieee if self.configuration.ieee else [])])

    def read(self, address: int, count: int) -> list[int] | ExcCodes:
        """Values of registers that all exist."""
        self.before()
        if address < IEEE_AREA:
            return [_plain(self._entries[a]) for a in range(address, address + count)]
        if address % 2 or count % 2:
            return ExcCodes.ILLEGAL_ADDRESS
        halves: list[int] = []
        for a in range(address, address + count, 2):
            halves += struct.unpack(">HH", struct.pack(">f", self._entries[(a - IEEE_AREA) // 2].get()))
        return halves

    def write(self, function: int, address: int, values: Sequence[int]) -> ExcCodes | None:
        """Take all values or none."""
        self.before()
        if address < IEEE_AREA:
            wanted = {address + i: self._number(address + i, raw) for i, raw in enumerate(values)}
        elif function == _SINGLE_WRITE or address % 2 or len(values) % 2:
            return ExcCodes.ILLEGAL_ADDRESS
        else:
            floats = struct.unpack(f">{len(values) // 2}f", struct.pack(f">{len(values)}H", *values))
            wanted = {(address - IEEE_AREA) // 2 + i: value for i, value in enumerate(floats)}
        return self._refusal(wanted) or self._take(wanted)

    def _number(self, address: int, raw: int) -> float:
        return (raw - 0x10000 if raw & 0x8000 else raw) / 10 ** self._entries[address].decimals

    def _refusal(self, wanted: dict[int, float]) -> ExcCodes | None:
        for address, value in wanted.items():
            entry = self._entries[address]
            if entry.put is None:
                return ExcCodes.ILLEGAL_ADDRESS
            if not isfinite(value) or not entry.low <= value <= entry.high:
                return ExcCodes.ILLEGAL_VALUE
        return None

    def _take(self, wanted: dict[int, float]) -> None:
        for address, value in wanted.items():
            put = self._entries[address].put
            if put is not None:
                put(value)
            if address in self.eeprom_writes:
                self.eeprom_writes[address] += 1
            self.after(address, value)


def _plain(entry: Entry) -> int:
    value = entry.get() * 10**entry.decimals
    if not isfinite(value):
        return _NOT_A_NUMBER
    if value > _LARGEST and entry.decimals == 0:
        return int(value) & 0xFFFF  # bits and codes, not quantities
    return round(min(max(value, -_LARGEST), _LARGEST)) & 0xFFFF
