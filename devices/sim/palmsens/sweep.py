"""The frequency sweep of an impedance loop: when its points are due, what the script gets of each.

The response is that of the cell linearised about its state at the end of the point: the sine itself moves
nothing, and an amplitude beyond the linear range gives no harmonics and no other impedance.

A response that its range cannot hold is not given as the clipped figures make it: it is NaN, with the status
bit of the overload. So is a response whose current cannot be told from noise (underload).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np

from devices.sim.palmsens.commands import Step
from devices.sim.palmsens.emstat import MODE_GALVANOSTAT
from devices.sim.palmsens.grammar import GALVANOSTATIC_LOOPS
from devices.sim.palmsens.memory import NANOSECOND, Memory
from devices.sim.palmsens.package_text import Number
from devices.sim.palmsens.potentiostat import (
    CRITICAL_OVERLOAD,
    CURRENT_NOISE_AMPERE,
    OVERLOAD,
    UNDERLOAD,
    Potentiostat,
)
from devices.sim.palmsens.syntax import Measurement, ScriptError, Variable

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


# How long a point takes (the instrument's own rule is not published): a tenth of a period to settle and one
# period, but at least 1 s unless that is more than four periods, and at least 0.1 s. So 10 mHz is 110 s of
# silence, 1 Hz 1.1 s, 10 Hz 0.41 s, 100 Hz 0.1 s; the rule has no jumps that rounding could fall over.
SETTLING_PERIODS = 0.1
SLOW_PERIODS, FAST_PERIODS = 1 + SETTLING_PERIODS, 4 + SETTLING_PERIODS
AVERAGED_SECOND, SHORTEST_POINT_SECOND = 1.0, 0.1
GUARD_SECOND = 1.0  # during a long point the instrument looks at least so often for a critical overload


def point_second(frequency_hertz: float) -> float:
    """Virtual time of one point."""
    averaged = min(AVERAGED_SECOND, FAST_PERIODS / frequency_hertz)
    return max(SHORTEST_POINT_SECOND, SLOW_PERIODS / frequency_hertz, averaged)


def frequencies(first_hertz: float, last_hertz: float, count: int) -> Iterator[float]:
    """From the first to the last, both included, in equal steps of the logarithm; one: the first."""
    for k in range(count - 1):
        yield first_hertz * (last_hertz / first_hertz) ** (k / (count - 1))
    yield last_hertz if count > 1 else first_hertz


class Sweep:
    """One run of one impedance loop.

    `numbers` are its amplitude (rms), first and last frequency, their number, and DC potential or current,
    which is applied at once.
    """

    def __init__(
        self, node: Measurement, body: Step, memory: Memory, potentiostat: Potentiostat, numbers: list[Number]
    ) -> None:
        amplitude, first, last, count, set_point = numbers
        potentiostat.begin_loop(node.name, set_point, amplitude if node.name in GALVANOSTATIC_LOOPS else None)
        self._node, self._body, self._memory, self._front = node, body, memory, potentiostat
        self._amplitude, self._frequencies = amplitude, frequencies(first, last, int(count))
        self._frequency_hertz = 0.0

    def next_due_nanosecond(self) -> int | None:
        """Begin the next point; when it will be measured, None when there is none."""
        frequency = next(self._frequencies, None)
        if frequency is None:
            return None
        self._frequency_hertz = frequency
        return self._memory.now_nanosecond + round(point_second(frequency) * NANOSECOND)

    def guard(self) -> None:
        """Raise ScriptError when the cell is critically overloaded now."""
        if self._front.critical:
            raise ScriptError(CRITICAL_OVERLOAD, self._node.line)

    def run(self, now_second: float) -> str | None:
        """Measure the point that is due and run the body; its signal."""
        try:
            response = measure_response(self._front, self._frequency_hertz, self._amplitude, now_second)
        except ScriptError as error:
            raise ScriptError(error.code, self._node.line) from None
        store_response(self._memory, self._node, self._frequency_hertz, response)
        return self._body()


def store_response(memory: Memory, node: Measurement, frequency_hertz: float, response: Response) -> None:
    """Give a loop's variables their values, types and metadata."""
    status, impedance = f",1{response.status:X},2", response.impedance_ohm
    real_metadata = f"{status}{response.current_range:02X}"
    imaginary_metadata = f"{status}{response.potential_range:02X}"
    frequency, real, imaginary = (Variable(index) for index in node.outputs)
    memory.write(frequency, frequency_hertz, "dc")
    memory.write(real, impedance.real, "cc", lambda _: real_metadata)
    memory.write(imaginary, impedance.imag, "cd", lambda _: imaginary_metadata)
    others = {
        "ch": response.rms_volt,
        "ci": response.volt,
        "cj": response.rms_ampere,
        "ck": response.ampere,
        "eb": (memory.now_nanosecond - memory.timer_nanosecond) / NANOSECOND,
    }
    for extra in node.extra:
        memory.write(Variable(extra.variable), others[extra.kind], extra.kind)
