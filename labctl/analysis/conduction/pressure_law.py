"""How a resistance falls with stack pressure: R = R_inf + R_50 (P / 50 MPa)^-n.

Interfaces between solids touch in spots whose area grows with pressure: n is about 0.5 for Li6PS5Cl
(arXiv:2501.00600). R_inf is what pressure does not change, such as the electrolyte itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from labctl.analysis.result_text import without_nan
from labctl.errors import ConfigurationError

REFERENCE_PRESSURE_PA = 50e6
FLAGS: dict[str, str] = {
    "few_pressures": "no more pressures than numbers fitted: the law was not tested",
    "narrow": "pressures span less than a factor of 4",
    "not_a_power": "the law misses by more than 5 % of what changes",
}
_WHERE = "pressure law"
_SPAN, _MISSES = 4.0, 0.05
_TYPICAL_EXPONENT = 0.5


@dataclass(frozen=True)
class PressureLaw:
    """A fitted law; `..._std...` is one standard error, inf where the points leave none.

    Attributes:
        constant_ohm: R_inf; 0 where none was fitted.
        contact_ohm: R_50, the part that changes, at 50 MPa.
        exponent: n.
        rms_residual_ohm: Root mean square deviation.
        pressure_min_pa: Lowest pressure used.
        pressure_max_pa: Highest pressure used.
        points: Number of pressures used.
        flags: Names out of `FLAGS`.
    """

    constant_ohm: float
    constant_std_ohm: float
    contact_ohm: float
    contact_std_ohm: float
    exponent: float
    exponent_std: float
    rms_residual_ohm: float
    pressure_min_pa: float
    pressure_max_pa: float
    points: int
    flags: tuple[str, ...]

    def contact_at(self, pressure_pa: float) -> float:
        """The part that changes (ohm) at a pressure."""
        return self.contact_ohm * (REFERENCE_PRESSURE_PA / pressure_pa) ** self.exponent

    def at(self, pressure_pa: float) -> float:
        """The whole resistance (ohm) at a pressure."""
        return self.constant_ohm + self.contact_at(pressure_pa)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; infinity becomes None."""
        plain = asdict(self) | {"reference_pressure_pa": REFERENCE_PRESSURE_PA, "flags": list(self.flags)}
        cleaned: dict[str, Any] = without_nan(plain)
        return cleaned


def fit_pressure_law(
    pressure_pa: npt.ArrayLike, resistance_ohm: npt.ArrayLike, *, constant: bool
) -> PressureLaw:
    """Fit the law to resistances at one temperature, each with a weight of 1 / R.

    Args:
        pressure_pa: Stack pressures > 0, shape (n,).
        resistance_ohm: Resistances > 0, shape (n,). NaN is left out.
        constant: whether there is an R_inf.

    Raises:
        ConfigurationError: fewer pressures than numbers to fit, or a value that is not above 0.
    """
    pressure = np.atleast_1d(np.asarray(pressure_pa, dtype=float))
    ohm = np.atleast_1d(np.asarray(resistance_ohm, dtype=float))
    valid = np.isfinite(pressure) & np.isfinite(ohm)
    pressure, ohm, needed = pressure[valid], ohm[valid], 3 if constant else 2
    if len(np.unique(pressure)) < needed:
        raise ConfigurationError(_WHERE, "pressures", len(np.unique(pressure)), f"at least {needed}")
    if (pressure <= 0).any() or (ohm <= 0).any():
        raise ConfigurationError(_WHERE, "resistance_ohm", float(ohm.min()), "above 0, at pressures above 0")
    ratio = np.log(pressure / REFERENCE_PRESSURE_PA)

    def law(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (values[2] if constant else 0.0) + values[0] * np.exp(-values[1] * ratio)

    change = (ohm.max() - ohm.min()) / max(np.ptp(np.exp(-_TYPICAL_EXPONENT * ratio)), 1e-9)
    start = [change, _TYPICAL_EXPONENT, ohm.min() - change * np.exp(-_TYPICAL_EXPONENT * ratio).min()]
    found = least_squares(lambda v: (law(v) - ohm) / ohm, start[:needed], x_scale="jac")
    errors = _errors(found.jac, float(2 * found.cost))
    residual = law(found.x) - ohm
    raised = {
        "few_pressures": len(np.unique(pressure)) <= needed,
        "narrow": pressure.max() < _SPAN * pressure.min(),
        "not_a_power": np.abs(residual).max() > _MISSES * np.ptp(ohm),
    }
    return PressureLaw(
        constant_ohm=float(found.x[2]) if constant else 0.0,
        constant_std_ohm=errors[2] if constant else 0.0,
        contact_ohm=float(found.x[0]),
        contact_std_ohm=errors[0],
        exponent=float(found.x[1]),
        exponent_std=errors[1],
        rms_residual_ohm=float(np.sqrt((residual**2).mean())),
        pressure_min_pa=float(pressure.min()),
        pressure_max_pa=float(pressure.max()),
        points=len(pressure),
        flags=tuple(name for name, is_raised in raised.items() if is_raised),
    )


def _errors(jacobian: npt.NDArray[np.float64], squares: float) -> list[float]:
    """Standard errors by the residuals; inf without more points than numbers."""
    free = jacobian.shape[0] - jacobian.shape[1]
    if free <= 0 or np.linalg.matrix_rank(jacobian) < jacobian.shape[1]:
        return [inf] * jacobian.shape[1]
    return [float(n) for n in np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)) * squares / free)]
