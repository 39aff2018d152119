"""What is said to a Eurotherm 3200: who it is, how it scales, its reading, and setpoints written sparingly.

Everything here runs in the reader thread. Registers 2, 24 and 25 are EEPROM with about 100 000 writes of
life: they are written only when their value changes, and every such write is counted. A ramp is the
instrument's own (rate limit, register 35), or a path that the host gives through the remote setpoint (26),
which is memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, log10, nan
from typing import TypeVar

from devices.core.protocols import Identity
from devices.eurotherm.registers import (
    EEPROM_BACKED,
    IEEE_AREA,
    LARGEST_RATE,
    NO_NUMBER,
    NO_TEMPERATURE,
    OUTPUT_DECIMALS,
    RAMP_UNIT_PER_MINUTE,
    RATE_DECIMALS,
    Register,
    Scale,
    Status,
    ieee,
    signed,
)
from devices.transport.line_query import NoAnswerError
from devices.transport.modbus import ModbusLink
from labctl.errors import InstrumentError, ProtocolError


@dataclass(frozen=True)
class Setup:
    """Read when the instrument is connected; temperatures in degC."""

    temperature: Scale
    low_celsius: float  # setpoints are allowed from here
    high_celsius: float  # to here
    range_low_celsius: float  # of the sensor input
    range_high_celsius: float
    rate_per_kelvin_per_minute: float  # the instrument's ramp units in 1 K/min

    @property
    def rate_step_kelvin_per_minute(self) -> float:
        """The smallest ramp."""
        return 10**-RATE_DECIMALS / self.rate_per_kelvin_per_minute

    @property
    def rate_most_kelvin_per_minute(self) -> float:
        """The fastest ramp."""
        return LARGEST_RATE / self.rate_per_kelvin_per_minute

    def allowed(
        self, celsius: float, ramp_kelvin_per_minute: float | None, most_celsius: float | None
    ) -> float:
        """The setpoint as the instrument can hold it, rounded to its decimals.

        Args:
            celsius: the setpoint that is asked for.
            ramp_kelvin_per_minute: how fast; None or 0 is at once.
            most_celsius: the limit of station and cell.

        Raises:
            ProtocolError: names what is not allowed, and the limit.
        """
        if not isfinite(celsius):
            raise ProtocolError(f"setpoint {celsius!r}: must be a number of degC")
        rounded = round(celsius, self.temperature.decimals)
        if most_celsius is not None and max(celsius, rounded) > most_celsius:
            raise ProtocolError(
                f"setpoint {celsius:g} degC: above the limit temperature_max_celsius = {most_celsius:g} degC"
            )
        if not self.low_celsius <= rounded <= self.high_celsius:
            bounds = f"{self.low_celsius:g} to {self.high_celsius:g} degC"
            raise ProtocolError(f"setpoint {celsius:g} degC: the instrument allows {bounds}")
        if ramp_kelvin_per_minute and not self._can_ramp(ramp_kelvin_per_minute):
            raise ProtocolError(
                f"setpoint {celsius:g} degC: ramp {ramp_kelvin_per_minute:g} K/min: the instrument has steps "
                f"of {self.rate_step_kelvin_per_minute:g}, up to {self.rate_most_kelvin_per_minute:g} K/min"
            )
        return rounded

    def _can_ramp(self, kelvin_per_minute: float) -> bool:
        """To within 2 %."""
        if not 0 < kelvin_per_minute <= self.rate_most_kelvin_per_minute:
            return False
        steps = kelvin_per_minute / self.rate_step_kelvin_per_minute
        return abs(round(steps) - steps) <= 0.02 * steps


logger = logging.getLogger(__name__)
T = TypeVar("T")
_ILLEGAL_ADDRESS = 2
_OVER_RANGE_SHARE = 0.05  # of the span; the instrument's own over-range flag begins there [H]


@dataclass(frozen=True)
class ControllerReading:
    """One look at the controller; `temperature_celsius` is NaN when the instrument does not know it."""

    temperature_celsius: float
    setpoint_celsius: float
    working_setpoint_celsius: float
    output_percent: float
    status: Status


class EurothermLink:
    """One controller behind a Modbus link; `decimals` only for instruments that do not tell theirs."""

    def __init__(self, link: ModbusLink, *, decimals: int | None = None) -> None:
        self._link = link
        self._stated_decimals = decimals
        self._setup: Setup | None = None
        self.eeprom_writes = 0
        self.tracking: int | None = None  # what the remote setpoint is held at

    # ---- connection
    def open(self) -> Identity:
        """Take the port, learn who answers and how it scales.

        Raises:
            DeviceError: nobody, or no 3200 that shows degrees Celsius, answers; the port is in use.
        """
        self._link.open()
        version = self._get(Register.VERSION)
        code = self._get_if_there(Register.TYPE_CODE)
        self._setup = self._learn_setup()
        model = "3200 series" + ("" if code is None else f", type code {code:#06x}")
        return Identity(
            "Eurotherm", model, f"unit {self._link.unit}", f"{version >> 8:x}.{version & 0xFF:02x}"
        )

    def close(self) -> None:
        """Let go of the port."""
        self._link.close()

    @property
    def setup(self) -> Setup:
        """How the instrument is configured."""
        if self._setup is None:
            raise InstrumentError(f"{self._link.address}: not connected yet")
        return self._setup

    def _learn_setup(self) -> Setup:
        units = self._get_if_there(Register.UNITS)
        if units not in (None, 0):
            shown = {1: "degF", 2: "K"}.get(units or 0, f"unit code {units}")
            raise InstrumentError(f"{self._link.address}: shows {shown}; set it to degC at its front panel")
        scale = self._learn_scale()
        low, high = (scale.number(raw) for raw in self._read(Register.RANGE_LOW, 2))
        if not low < high:
            raise InstrumentError(f"{self._link.address}: its range is {low:g} to {high:g} degC")
        setpoints = [self._get_if_there(r) for r in (Register.SETPOINT_LOW, Register.SETPOINT_HIGH)]
        lowest, highest = (
            bound if raw is None else scale.number(raw)
            for raw, bound in zip(setpoints, (low, high), strict=True)
        )
        ramp_units = self._get_if_there(Register.RAMP_UNITS) or 0
        if ramp_units not in RAMP_UNIT_PER_MINUTE:
            raise InstrumentError(f"{self._link.address}: ramp units {ramp_units} are not known")
        per_minute = RAMP_UNIT_PER_MINUTE[ramp_units]
        return Setup(scale, max(low, lowest), min(high, highest), low, high, per_minute)

    def _learn_scale(self) -> Scale:
        """Decimals of temperatures: the instrument's word, checked against the float of the same register."""
        high = signed(self._get(Register.RANGE_HIGH))
        exact = self._float(Register.RANGE_HIGH)
        told = self._get_if_there(Register.DECIMALS)
        decimals = self._stated_decimals if told is None else told
        if decimals is None and exact:
            decimals = round(log10(abs(high / exact))) if high else None
        agreed = decimals in (0, 1, 2) and self._stated_decimals in (None, decimals)
        if decimals is not None and agreed and (exact is None or abs(high - exact * 10**decimals) <= 0.5):
            return Scale(decimals)
        raise InstrumentError(
            f"{self._link.address}: decimals of temperatures are ambiguous: the instrument reports "
            f"{'nothing' if told is None else told}, the station {self._stated_decimals}, and its range ends "
            f"at {high} as integer and {'nothing' if exact is None else exact} as float"
        )

    # ---- reading
    def read(self) -> ControllerReading:
        """The reading now; keeps the remote setpoint alive while it is in use."""
        raw = self._read(Register.PROCESS_VALUE, 5)
        status = Status(self._get(Register.STATUS))  # after the value: a break in between is seen
        if self.tracking is not None:  # after the status: that it was lost is seen
            self._give_remote(self.tracking)
        scale, setup = self.setup.temperature, self.setup
        temperature = scale.number(raw[0])
        margin = _OVER_RANGE_SHARE * (setup.range_high_celsius - setup.range_low_celsius)
        known = setup.range_low_celsius - margin <= temperature <= setup.range_high_celsius + margin
        if (signed(raw[0]) in NO_NUMBER or not known) and not status & Status.SENSOR_BREAK:
            status |= Status.OVER_RANGE
        return ControllerReading(
            nan if status & NO_TEMPERATURE else temperature,
            scale.number(raw[Register.TARGET_SETPOINT - 1]),
            scale.number(raw[Register.WORKING_SETPOINT - 1]),
            Scale(OUTPUT_DECIMALS).number(raw[Register.WORKING_OUTPUT - 1]),
            status,
        )

    # ---- setpoints
    def go_to(self, celsius: float, kelvin_per_minute: float | None = None) -> None:
        """Let the instrument go to `celsius` by itself, at a rate or at once.

        The rate is set before the setpoint and taken away after it, so that a host that dies in between
        leaves no step behind.
        """
        rate = self._rate(kelvin_per_minute) if kelvin_per_minute else 0
        if rate:
            self._put_rate(rate)
        selected = self._get(Register.SETPOINT_SELECT)
        self._put(Register.SETPOINT_2 if selected else Register.SETPOINT_1, self._raw(celsius))
        if not rate:
            self._put_rate(0)
        self._put(Register.REMOTE_SELECT, 0)
        self.tracking = None

    def track(self, celsius: float) -> None:
        """Take `celsius` as the remote setpoint; no EEPROM is written, however often."""
        raw = self._raw(celsius)
        if self.tracking is None:
            self.require_control()
            self._put_rate(0)
            self._give_remote(raw)
            self._put(Register.REMOTE_SELECT, 1)
        elif raw != self.tracking:
            self._give_remote(raw)
        self.tracking = raw

    def hold(self) -> float:
        """Abandon what is under way and hold the temperature of now; which that is (degC).

        Where the temperature is not known, the working setpoint is held.
        """
        reading, setup = self.read(), self.setup
        known = isfinite(reading.temperature_celsius)
        here = reading.temperature_celsius if known else reading.working_setpoint_celsius
        here = min(max(here, setup.low_celsius), setup.high_celsius)
        self.go_to(here)
        return here

    def tracked_celsius(self) -> float | None:
        """The remote setpoint in use, if any."""
        return None if self.tracking is None else self.setup.temperature.number(self.tracking)

    def require_control(self) -> None:
        """A setpoint has no effect in manual, standby or configuration mode."""
        if self._get(Register.MANUAL):
            raise InstrumentError(
                f"{self._link.address}: is in manual; set it to automatic at its front panel"
            )
        mode = self._get_if_there(Register.INSTRUMENT_MODE)
        if mode not in (None, 0):
            name = {1: "standby", 2: "configuration"}.get(mode or 0, f"mode {mode}")
            raise InstrumentError(f"{self._link.address}: is in {name}; its outputs are off")

    def _give_remote(self, raw: int) -> None:
        _twice(lambda: self._link.write(Register.REMOTE_SETPOINT, raw))

    def _raw(self, celsius: float) -> int:
        return self.setup.temperature.raw(celsius)

    def _rate(self, kelvin_per_minute: float) -> int:
        return Scale(RATE_DECIMALS).raw(kelvin_per_minute * self.setup.rate_per_kelvin_per_minute)

    def _put_rate(self, raw: int) -> None:
        self._put(Register.RATE_LIMIT, raw)
        wanted, exact = Scale(RATE_DECIMALS).number(raw), self._float(Register.RATE_LIMIT)
        if exact is not None and abs(exact - wanted) > 0.5 * Scale(RATE_DECIMALS).step:
            raise InstrumentError(
                f"{self._link.address}: the rate limit reads {exact:g} where {wanted:g} was written; "
                "the setpoint was not changed"
            )

    # ---- registers
    def _put(self, register: Register, raw: int) -> None:
        """Make a register have a value: written only if it has another, read back, once more if need be."""
        if self._get(register) == raw:
            return
        for last in (False, True):
            self.eeprom_writes += register in EEPROM_BACKED
            try:
                self._link.write(register, raw)
            except NoAnswerError:
                if last:
                    raise
            found = self._get(register)
            if found == raw:
                return
        raise InstrumentError(
            f"{self._link.address}: register {register:d} ({register.name.lower().replace('_', ' ')}) "
            f"stays at {found} where {raw} was written"
        )

    def _get(self, register: Register) -> int:
        return self._read(register, 1)[0]

    def _read(self, register: int, count: int) -> tuple[int, ...]:
        return _twice(lambda: self._link.read(register, count))

    def _get_if_there(self, register: Register) -> int | None:
        """None when the instrument has no such register."""
        try:
            return self._get(register)
        except InstrumentError as error:
            if error.code != _ILLEGAL_ADDRESS:
                raise
            logger.info("%s: no register %d (%s)", self._link.address, register, register.name)
            return None

    def _float(self, register: Register) -> float | None:
        """The register as the instrument's own float, to check scaling; None when it has none."""
        try:
            return ieee(*self._read(IEEE_AREA + 2 * register, 2))
        except InstrumentError as error:
            if error.code != _ILLEGAL_ADDRESS:
                raise
            return None


def _twice(question: Callable[[], T]) -> T:
    """For what may be repeated: one lost frame is no loss."""
    try:
        return question()
    except NoAnswerError:
        return question()
