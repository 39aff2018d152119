"""The frequency sweep of an impedance loop: when its points are due, what the script gets of each."""

from __future__ import annotations

from collections.abc import Iterator

from devices.sim.frequency_response import Response, measure_response
from devices.sim.packages import Number
from devices.sim.potentiostat import CRITICAL_OVERLOAD, Potentiostat
from devices.sim.script_commands import Step
from devices.sim.script_grammar import GALVANOSTATIC_LOOPS
from devices.sim.script_memory import NANOSECOND, Memory
from devices.sim.script_syntax import Measurement, ScriptError, Variable

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
