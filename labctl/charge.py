"""The charge that moves between samples of a current: the one trapezoid of everything that integrates.

Which samples count, and what is done at the borders of steps, where readings lack and before the first one,
differs between those who integrate, and each says it for itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COULOMB_PER_AH = 3600.0


def moved_coulomb(length_second: Floats, current_ampere: Floats) -> Floats:
    """Charge (C, > 0 charges) between each sample and the next.

    Args:
        length_second: Time between them, shape (n - 1,); 0 where nothing is to be counted.
        current_ampere: Current at each sample, > 0 charges, shape (n,), n >= 1.

    Returns:
        Shape (n - 1,).
    """
    return 0.5 * (current_ampere[1:] + current_ampere[:-1]) * length_second
