"""What an EmStat4 HR is: its limits, its ranges, and the arguments its script commands refuse.

Limits and range indices: vendor's tables (EmStat4 HR: +-6 V, +-200 mA; current ranges 100 nA to 100 mA).
Impedance, up to 200 kHz with at most 0.9 V rms: as others who drive the instrument have it. Its lowest
frequency, 10 uHz, is from memory of the data sheet.
Checks return an error code of the instrument's table, or None.
"""

from __future__ import annotations

from math import isfinite, sqrt

from devices.sim.palmsens.package_text import VARIABLE_TYPES, Number

POTENTIAL_LIMIT_VOLT = 6.0
CURRENT_LIMIT_AMPERE = 0.2
SHORTEST_INTERVAL_SECOND = 1e-3
PEIS_AMPLITUDE_LIMIT_VOLT = 0.9  # rms
GEIS_AMPLITUDE_LIMIT_AMPERE = CURRENT_LIMIT_AMPERE / sqrt(2)  # rms: its peak is the largest current
FREQUENCY_LIMITS_HERTZ = (10e-6, 200e3)
MODE_OFF, MODE_LOW_SPEED, MODE_HIGH_SPEED, MODE_GALVANOSTAT = 0, 2, 3, 6
POTENTIOSTAT_MODES = (MODE_LOW_SPEED, MODE_HIGH_SPEED)
MODES = (MODE_OFF, *POTENTIOSTAT_MODES, MODE_GALVANOSTAT)

CURRENT_RANGES = (  # (full scale in A, index in the metadata of a package); the top one reaches the limit
    (100e-9, 9), (1e-6, 12), (10e-6, 15), (100e-6, 18), (1e-3, 21), (10e-3, 24), (100e-3, 27),
)  # fmt: skip
POTENTIAL_RANGES = ((50e-3, 2), (100e-3, 3), (200e-3, 4), (500e-3, 5), (1.0, 6))  # above 1 V the top one

BAD_TYPE, NOT_A_NUMBER, UNSUPPORTED_MODE, NO_SUCH_CHANNEL = 0x0002, 0x0010, 0x0021, 0x002F
BAD_FREQUENCY, BAD_AMPLITUDE = 0x0011, 0x0012
TIMING_NOT_POSSIBLE, NO_RANGING, NO_STEPS = 0x005A, 0x0084, 0x4029
NEGATIVE, NOT_POSITIVE, OUT_OF_BOUNDS, NOT_THIS_INSTRUMENT = 0x4200, 0x4204, 0x4205, 0x4206
BAD_OUTPUT_MODE = 0x403C
_NOISE_FREE_BANDWIDTH_HERTZ = 10e6


def refuse_channel(value: Number) -> int | None:
    """The single channel is 0."""
    return None if value == 0 else NO_SUCH_CHANNEL


def refuse_mode(value: Number) -> int | None:
    """Off, low speed, high speed, galvanostat."""
    return None if value in MODES else UNSUPPORTED_MODE


def refuse_potential(value: Number) -> int | None:
    """Potentials (V) within the instrument's range."""
    return _within(value, POTENTIAL_LIMIT_VOLT)


def refuse_current(value: Number) -> int | None:
    """Currents (A) within the instrument's range."""
    return _within(value, CURRENT_LIMIT_AMPERE)


def refuse_negative(value: Number) -> int | None:
    """Times and the like that may be zero."""
    if not isfinite(value):
        return NOT_A_NUMBER
    return NEGATIVE if value < 0 else None


def refuse_interval(value: Number) -> int | None:
    """Intervals (s) of measurement loops."""
    if not isfinite(value):
        return NOT_A_NUMBER
    if value <= 0:
        return NOT_POSITIVE
    return TIMING_NOT_POSSIBLE if value < SHORTEST_INTERVAL_SECOND * (1 - 1e-9) else None


def refuse_duration(value: Number) -> int | None:
    """Run times (s)."""
    if not isfinite(value):
        return NOT_A_NUMBER
    return NOT_POSITIVE if value <= 0 else None


def refuse_frequency(value: Number) -> int | None:
    """Frequencies (Hz) of impedance measurements."""
    if not isfinite(value):
        return NOT_A_NUMBER
    low, high = FREQUENCY_LIMITS_HERTZ
    return None if low * (1 - 1e-9) <= value <= high * (1 + 1e-9) else BAD_FREQUENCY


def refuse_potential_amplitude(value: Number) -> int | None:
    """Amplitudes (V rms) of potentiostatic impedance."""
    return _amplitude(value, PEIS_AMPLITUDE_LIMIT_VOLT)


def refuse_current_amplitude(value: Number) -> int | None:
    """Amplitudes (A rms) of galvanostatic impedance; the range in use allows less."""
    return _amplitude(value, GEIS_AMPLITUDE_LIMIT_AMPERE)


def refuse_points(value: Number) -> int | None:
    """Numbers of frequencies: whole, from 1."""
    if not isfinite(value):
        return NOT_A_NUMBER
    if value < 1:
        return NO_STEPS
    return None if value == int(value) else OUT_OF_BOUNDS


def refuse_bandwidth(value: Number) -> int | None:
    """Bandwidths (Hz); 0 is the lowest there is."""
    return OUT_OF_BOUNDS if value > _NOISE_FREE_BANDWIDTH_HERTZ else refuse_negative(value)


def refuse_mains(value: Number) -> int | None:
    """Mains frequencies (Hz)."""
    return None if value in (50, 60) else OUT_OF_BOUNDS


def refuse_output_mode(value: Number) -> int | None:
    """0 mutes the script, 1 lets it speak."""
    return None if value in (0, 1) else BAD_OUTPUT_MODE


def refuse_type(name: str) -> int | None:
    """Variable types that exist."""
    return None if name in VARIABLE_TYPES else BAD_TYPE


def refuse_ranging(kind: str, values: tuple[Number, ...]) -> int | None:
    """A range of `kind` (ab, da: potential; ba, db: current) for these extremes."""
    check = {"ab": refuse_potential, "da": refuse_potential, "ba": refuse_current, "db": refuse_current}.get(
        kind
    )
    if check is None:
        return refuse_type(kind) or NO_RANGING
    return next((code for code in map(check, values) if code is not None), None)


def current_range(ampere: float) -> tuple[float, int]:
    """The smallest range (full scale in A, index) that holds a current; the top one also for more."""
    for full_scale, index in CURRENT_RANGES[:-1]:
        if abs(ampere) <= full_scale * (1 + 1e-9):
            return full_scale, index
    return CURRENT_LIMIT_AMPERE, CURRENT_RANGES[-1][1]


def potential_range(volt: float) -> tuple[float, int]:
    """The smallest range (full scale in V, index) that holds a potential; the top one also for more."""
    for full_scale, index in POTENTIAL_RANGES[:-1]:
        if abs(volt) <= full_scale:
            return full_scale, index
    return POTENTIAL_LIMIT_VOLT, POTENTIAL_RANGES[-1][1]


def _amplitude(value: Number, limit: float) -> int | None:
    if not isfinite(value):
        return NOT_A_NUMBER
    return None if 0 < value <= limit * (1 + 1e-9) else BAD_AMPLITUDE


def _within(value: Number, limit: float) -> int | None:
    if not isfinite(value):
        return NOT_A_NUMBER
    return None if abs(value) <= limit * (1 + 1e-9) else NOT_THIS_INSTRUMENT
