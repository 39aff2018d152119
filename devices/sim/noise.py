"""Measurement noise, used up one pair per tick whatever is read ahead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_NOISE_BLOCK = 4096


class Noise:
    """Pairs of standard normal numbers, used up one pair per tick whatever is read ahead."""

    def __init__(self, *seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._ready = np.empty((0, 2))

    def peek(self, count: int) -> Array:
        """The next `count` pairs, shape (count, 2), without using them up."""
        while len(self._ready) < count:
            self._ready = np.concatenate([self._ready, self._generator.standard_normal((_NOISE_BLOCK, 2))])
        return self._ready[:count]

    def use(self, count: int) -> None:
        """`count` pairs are used up."""
        self._ready = self._ready[count:]
