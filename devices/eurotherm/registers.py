"""Registers of the Eurotherm 3200 series (3216, 3208, 3204): addresses, status bits, scaling.

Sources: [H] engineering handbook HA028651 issue 7, section 15.5; [S] third-party drivers; [M] memory of the
handbook, not verified: the driver goes on without these when the instrument refuses them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from devices.core.columns import NO_VALUE

IEEE_AREA = 0x8000  # each register again as a float in two, at IEEE_AREA + 2 * address, high word first [S]
NO_NUMBER = frozenset({-0x8000, 0x7FFF})  # int16 that stand for no or too large a value


class Register(IntEnum):
    """Addresses as they are sent."""

    PROCESS_VALUE = 1  # [H]
    TARGET_SETPOINT = 2  # [H] EEPROM
    WORKING_OUTPUT = 4  # [H] %, one decimal [S]
    WORKING_SETPOINT = 5  # [H] read only
    RANGE_LOW = 11  # [H] of the sensor input
    RANGE_HIGH = 12  # [H]
    SETPOINT_SELECT = 15  # [H] 0 SP1, 1 SP2
    SETPOINT_1 = 24  # [H] EEPROM
    SETPOINT_2 = 25  # [H] EEPROM
    REMOTE_SETPOINT = 26  # [H] memory only; holds for about 5 s, then SP1 or SP2 is taken again
    RATE_LIMIT = 35  # [H] of the working setpoint, 0 is off; one decimal [S]
    STATUS = 75  # [H]
    VERSION = 107  # [H] to be read as hexadecimal, 0x0111 is V1.11
    SETPOINT_HIGH = 111  # [M]
    SETPOINT_LOW = 112  # [M]
    TYPE_CODE = 122  # [H]
    INSTRUMENT_MODE = 199  # [S] 0 operating, 1 standby, 2 configuration
    MANUAL = 273  # [H] 0 automatic, 1 manual
    REMOTE_SELECT = 276  # [H] 0 local, 1 remote setpoint
    UNITS = 516  # [M] 0 degC, 1 degF, 2 K
    DECIMALS = 525  # [M] 0, 1 or 2 decimals of temperatures
    RAMP_UNITS = 531  # [S] 0 per minute, 1 per hour, 2 per second


# memory that lives for about 100 000 writes [H]
EEPROM_BACKED = frozenset({Register.TARGET_SETPOINT, Register.SETPOINT_1, Register.SETPOINT_2})
RATE_DECIMALS, OUTPUT_DECIMALS = 1, 1  # [S], whatever the decimals of temperatures are
LARGEST_RATE = 3000.0  # in the instrument's ramp units [M]
RAMP_UNIT_PER_MINUTE = {0: 1.0, 1: 60.0, 2: 1 / 60.0}  # how much 1 K/min is


class Status(IntFlag):
    """Register 75 [H], and one bit above it that is the driver's own."""

    ALARM_1 = 1 << 0
    ALARM_2 = 1 << 1
    ALARM_3 = 1 << 2
    ALARM_4 = 1 << 3
    MANUAL = 1 << 4
    SENSOR_BREAK = 1 << 5
    LOOP_BREAK = 1 << 6
    LOW_LOAD_CURRENT = 1 << 7
    LEAKAGE_CURRENT = 1 << 8
    PROGRAM_END = 1 << 9
    OVER_RANGE = 1 << 10
    OVERCURRENT = 1 << 11
    NEW_ALARM = 1 << 12
    RAMP_RUNNING = 1 << 13
    REMOTE_FAILED = 1 << 14
    AUTOTUNE = 1 << 15
    NO_ANSWER = NO_VALUE  # not the instrument's: there is no reading


@dataclass(frozen=True)
class Trouble:
    """A condition that is an alarm; `fatal` ones end a change of temperature."""

    bits: Status
    kind: str
    words: str
    fatal: bool


TROUBLES = (
    Trouble(Status.SENSOR_BREAK, "sensor_break", "sensor break: the temperature is not known", True),
    Trouble(Status.OVER_RANGE, "over_range", "the temperature is beyond the range of the sensor", True),
    Trouble(Status.LOW_LOAD_CURRENT, "heater_fail", "heater fail: the load draws too little current", True),
    Trouble(Status.LOOP_BREAK, "loop_break", "loop break: the temperature does not follow the output", True),
    Trouble(Status.LEAKAGE_CURRENT, "load_leakage", "current flows although the output is off", False),
    Trouble(Status.OVERCURRENT, "overcurrent", "the load draws too much current", False),
    Trouble(
        Status.ALARM_1 | Status.ALARM_2 | Status.ALARM_3 | Status.ALARM_4,
        "process_alarm",
        "one of the instrument's alarms 1 to 4 is active",
        False,
    ),
)
NO_TEMPERATURE = Status.SENSOR_BREAK | Status.OVER_RANGE


@dataclass(frozen=True)
class Scale:
    """Numbers with a fixed count of decimals, as signed 16-bit integers: 18.3 is 183 with one decimal."""

    decimals: int

    @property
    def step(self) -> float:
        """The smallest difference."""
        return 10.0**-self.decimals

    def number(self, raw: int) -> float:
        """The number that a register, 0 to 65535, means."""
        return signed(raw) / 10**self.decimals

    def raw(self, number: float) -> int:
        """The register, 0 to 65535, that means `number` rounded to the decimals.

        Raises:
            OverflowError: the number does not fit into 16 bits.
        """
        value = round(number * 10**self.decimals)
        if not -0x8000 < value < 0x7FFF:
            raise OverflowError(f"{number:g} does not fit into 16 bits with {self.decimals} decimals")
        return value & 0xFFFF


def signed(raw: int) -> int:
    """A register, 0 to 65535, as the int16 that it is."""
    return raw - 0x10000 if raw & 0x8000 else raw


def ieee(high: int, low: int) -> float:
    """The float in two registers, high word first."""
    return struct.unpack(">f", struct.pack(">HH", high, low))[0]
