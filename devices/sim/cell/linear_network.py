"""A network of resistances and capacitances between two terminals, solved exactly in time and in frequency.

A ladder (voltages u, capacitances C, conductances G between them) in series with RC pairs (voltages v_k):

    C du/dt = -G u + b I,    dv_k/dt = -v_k / tau_k + R_k I / tau_k,    V = b . u + sum(v_k) + R_0 I

The same b drives and reads: the ladder is reciprocal. With each voltage scaled by the root of its capacitance
the matrix of the whole is symmetric, so the response to a held current, or to a held voltage, is a sum of
decaying exponentials, and the impedance a sum of arcs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from devices.sim.cell.materials import Array, ComplexArray

_SMALL_EXPONENT = 1e-2  # below which a series replaces the closed form that loses its digits


class Transient(NamedTuple):
    """What follows from a held value h: modes w' = -rate w + gain h, answer = share h + weight . w.

    `scale` makes the modes of the voltages y: w = scale y.
    """

    rate: Array
    gain: Array
    weight: Array
    share: float
    scale: Array

    def answer(self, times_second: Array, start: Array, held: float) -> Array:
        """The answer at times since the start; element by element, so equal however times are grouped."""
        decay, grown = self._grown(times_second)
        return self.share * held + ((decay * start + grown * (self.gain * held)) * self.weight).sum(axis=1)

    def integral(self, time_second: float, start: Array, held: float) -> float:
        """The integral of the answer from the start on."""
        _, grown = self._grown(np.array([time_second]))
        moved = grown[0] * start + self._grown_twice(time_second, grown[0]) * (self.gain * held)
        return self.share * held * time_second + float((moved * self.weight).sum())

    def modes(self, time_second: float, start: Array, held: float) -> Array:
        """The modes at a time."""
        decay, grown = self._grown(np.array([time_second]))
        return decay[0] * start + grown[0] * (self.gain * held)

    def _grown(self, times_second: Array) -> tuple[Array, Array]:
        """exp(-rate t) and its integral from 0 to t, shape (times, modes)."""
        times = np.asarray(times_second, dtype=float)[:, None]
        still = self.rate == 0.0
        risen = -np.expm1(-times * self.rate) / np.where(still, 1.0, self.rate)
        return np.exp(-times * self.rate), np.where(still, times, risen)

    def _grown_twice(self, time_second: float, grown: Array) -> Array:
        """The integral of that integral, shape (modes,)."""
        exponent = self.rate * time_second
        small = exponent < _SMALL_EXPONENT
        series = 1.0 - exponent / 3.0 * (1.0 - exponent / 4.0 * (1.0 - exponent / 5.0))
        closed = (time_second - grown) / np.where(small, 1.0, self.rate)
        return np.where(small, 0.5 * time_second**2 * series, closed)


@dataclass(frozen=True, eq=False)
class LinearNetwork:
    """The network; without a ladder its arrays are empty.

    Attributes:
        instant_ohm: R_0 > 0.
        ladder_farad: C, shape (M,), each > 0.
        ladder_siemens: G, shape (M, M), symmetric, without negative eigenvalues.
        coupling: b, shape (M,).
        foster_ohm: R_k > 0, shape (K,).
        foster_second: tau_k, shape (K,).
    """

    instant_ohm: float
    ladder_farad: Array
    ladder_siemens: Array
    coupling: Array
    foster_ohm: Array
    foster_second: Array

    @cached_property
    def farad(self) -> Array:
        """Capacitances of the voltages y: those of the ladder, then those of the pairs."""
        return np.concatenate([self.ladder_farad, self.foster_second / self.foster_ohm])

    @cached_property
    def held_current(self) -> Transient:
        """How the voltage answers to a current; the pairs are modes of their own."""
        roots, rungs = np.sqrt(self.farad), len(self.coupling)
        root = roots[:rungs]
        rate, vectors = np.linalg.eigh(self.ladder_siemens / np.multiply.outer(root, root))
        gain = np.concatenate([(self.coupling / root) @ vectors, 1.0 / roots[rungs:]])
        scale = np.diag(roots)
        scale[:rungs, :rungs] = vectors.T * root
        return Transient(
            rate=np.concatenate([np.maximum(rate, 0.0), 1.0 / self.foster_second]),
            gain=gain,
            weight=gain,
            share=self.instant_ohm,
            scale=scale,
        )

    @cached_property
    def held_voltage(self) -> Transient:
        """How the current answers to a voltage: I = (V - gain . w) / R_0 feeds back on the modes above."""
        free, siemens = self.held_current, 1.0 / self.instant_ohm
        coupled = np.diag(free.rate) + siemens * np.multiply.outer(free.gain, free.gain)
        rate, vectors = np.linalg.eigh(coupled)
        gain = (free.gain @ vectors) * siemens
        return Transient(np.maximum(rate, 0.0), gain, -gain, siemens, vectors.T @ free.scale)

    def voltages(self, course: Transient, modes: Array) -> Array:
        """The voltages y (V) of modes of one of the courses: its scale is orthogonal but for the roots."""
        return (course.scale.T @ modes) / self.farad

    def terminal_voltage(self, voltages: Array, current_ampere: float) -> float:
        """Terminal voltage (V) while y is `voltages` (V)."""
        rungs = len(self.coupling)
        across = float(self.coupling @ voltages[:rungs]) + float(voltages[rungs:].sum())
        return across + self.instant_ohm * current_ampere

    def impedance(self, frequency_hertz: Array) -> ComplexArray:
        """Impedance (ohm, capacitive < 0) at frequencies (Hz)."""
        jw = 2j * np.pi * np.atleast_1d(np.asarray(frequency_hertz, dtype=float))[:, None]
        free = self.held_current
        return self.instant_ohm + (free.gain**2 / (jw + free.rate)).sum(axis=1)
