"""One point of an impedance spectrum as the emulated instrument measures it.

The response is that of the cell linearised about its state at the end of the point: the sine itself moves
nothing, and an amplitude beyond the linear range gives no harmonics and no other impedance.

A response that its range cannot hold is not given as the clipped figures make it: it is NaN, with the status
bit of the overload. So is a response whose current cannot be told from noise (underload).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np

from devices.sim.emstat import MODE_GALVANOSTAT
from devices.sim.potentiostat import (
    CRITICAL_OVERLOAD,
    CURRENT_NOISE_AMPERE,
    OVERLOAD,
    UNDERLOAD,
    Potentiostat,
)
from devices.sim.script_syntax import ScriptError

IMPEDANCE_NOISE_RELATIVE = 1e-3  # rms of the complex deviation over |Z|; real spectra: 0.097 % (pyimpspec)
_PEAK = sqrt(2.0)
_RANGE_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Response:
    """Impedance (capacitive < 0), rms and DC values at the terminals, status bits, range indices."""

    impedance_ohm: complex
    rms_volt: float
    volt: float
    rms_ampere: float
    ampere: float
    status: int
    current_range: int
    potential_range: int


def measure_response(
    front: Potentiostat, frequency_hertz: float, amplitude: float, now_second: float
) -> Response:
    """The response now to a sine of an rms amplitude (V, or A in galvanostatic mode).

    Two pairs of the noise are used up: one for the DC values, one for the impedance.

    Raises:
        ScriptError: critical overload of the cell.
    """
    volts, amperes, good = front.measure(np.array([now_second]))
    noise = complex(*front.noise.peek(2)[1])
    front.noise.use(2)
    if not good:
        raise ScriptError(CRITICAL_OVERLOAD)
    impedance = complex(front.leads.impedance(np.array([frequency_hertz]))[0])
    magnitude = abs(impedance)
    if isfinite(magnitude):
        impedance += noise / _PEAK * IMPEDANCE_NOISE_RELATIVE * magnitude
        magnitude = abs(impedance)
    galvanostatic = front.mode == MODE_GALVANOSTAT
    rms_volt = amplitude * magnitude if galvanostatic else amplitude
    rms_ampere = amplitude if galvanostatic else amplitude / magnitude
    status, ranges = _judge(front, volts[0], amperes[0], rms_volt, rms_ampere)
    if status:
        impedance = complex(nan, nan)
        rms_volt, rms_ampere = (nan, rms_ampere) if galvanostatic else (rms_volt, nan)
    return Response(impedance, rms_volt, volts[0], rms_ampere, amperes[0], status, *ranges)


def _judge(
    front: Potentiostat, volt: float, ampere: float, rms_volt: float, rms_ampere: float
) -> tuple[int, tuple[int, int]]:
    """Status bits, and indices of the ranges of current and potential, for DC and peak together."""
    if front.mode == MODE_GALVANOSTAT:
        peak_ampere = abs(front.set_point_ampere) + _PEAK * rms_ampere
        current_scale, current_index = front.range_of("db")
    else:
        peak_ampere = abs(ampere) + _PEAK * rms_ampere
        current_scale, current_index = front.range_of("ba", peak_ampere)
    peak_volt = abs(volt) + _PEAK * rms_volt
    potential_scale, potential_index = front.range_of("ab", peak_volt)
    overload = max(peak_ampere / current_scale, peak_volt / potential_scale) > 1.0 + _RANGE_TOLERANCE
    underload = rms_ampere < CURRENT_NOISE_AMPERE
    return OVERLOAD * overload + UNDERLOAD * underload, (current_index, potential_index)
