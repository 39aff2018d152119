"""How a simulated pellet ages: its film grows, particles lose contact and fall out, electrolyte is oxidised.

What a pellet has gone through is its `Age`. Film and contact follow from it by closed formulae, so that no
error of integration gathers over thousands of cycles. Potentials are those of the cathode in V vs Li+/Li.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from scipy.special import expit

from devices.sim.cell.materials import Array, arrhenius

FULL_SWING: Final = 0.65  # swing of the stoichiometry x that counts as one full cycle, down and up
REFERENCE_VOLT: Final = 4.2  # vs Li+/Li, where film growth and side current are stated
_SAME_TURN = 0.003  # turns of nested swings that are nearer to each other are taken as one
_HIGHEST_VOLT = 5.0  # from there on the film grows no faster


class AgeingParameters(BaseModel):
    """Constants of the ageing laws at 25 degC and 50 MPa; the defaults are those of bare particles.

    A film that conducts poorly grows with the square root of time. Cycling loses contact and, at the same
    form of law, whole particles: both with the square of the swing, hence quick small alternations hardly.
    The side current oxidises electrolyte: it flows through the terminals without taking lithium from the
    cathode, and at rest the cathode pays for it with lithium taken up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    film_growth_ohm_m2_per_root_second: float = Field(default=3.5e-5, ge=0)
    film_growth_activation_energy_j_per_mol: float = Field(default=55e3, ge=0)
    film_growth_scale_volt: PositiveFloat = 0.12
    contact_loss_per_cycle: float = Field(default=4e-3, ge=0)
    contact_floor: float = Field(default=0.3, ge=0, lt=1)  # share of the contact that is never lost
    isolation_per_cycle: float = Field(default=4e-3, ge=0)
    side_current_density_a_per_m2: float = Field(default=1e-4, ge=0)
    side_current_scale_volt: PositiveFloat = 0.08
    side_current_limit_a_per_m2: PositiveFloat = 0.1  # what transport of the products allows
    side_activation_energy_j_per_mol: float = Field(default=55e3, ge=0)

    @classmethod
    def bare(cls, **overrides: Any) -> Self:
        """Bare particles against a sulfide electrolyte."""
        return cls(**overrides)

    @classmethod
    def coated(cls, **overrides: Any) -> Self:
        """Li3InCl6 keeps the sulfide off the particles and the particles together."""
        lithium_indium_chloride = {
            "film_growth_ohm_m2_per_root_second": 7e-6,
            "contact_loss_per_cycle": 8e-4,
            "isolation_per_cycle": 8e-4,
            "side_current_density_a_per_m2": 1.5e-5,
        }
        return cls(**{**lithium_indium_chloride, **overrides})


class Age(NamedTuple):
    """What a pellet has gone through.

    Attributes:
        cycles: Equivalent full cycles at 50 MPa; at lower pressure a cycle counts for more.
        contact_share: Contact fraction over that of the fresh pellet at the same pressure.
        connected_share: Active material that still takes part.
        film_growth: Integral of k^2 over time, (ohm m2)^2: the film's resistance is sqrt(R_0^2 + this).
        side_coulomb: Charge of the side reaction, > 0: through the terminals, but not from the particles.
        isolated_coulomb: Lithium in the particles that fell out, as charge.
        path: Turning points of x that are not yet part of a closed loop; the last is the present x.
    """

    cycles: float = 0.0
    contact_share: float = 1.0
    connected_share: float = 1.0
    film_growth: float = 0.0
    side_coulomb: float = 0.0
    isolated_coulomb: float = 0.0
    path: tuple[float, ...] = ()


class AgeingRates:
    """The ageing laws at one temperature and stack pressure."""

    def __init__(
        self, parameters: AgeingParameters, temperature_kelvin: float, pressure_factor: float
    ) -> None:
        """Make the laws; `pressure_factor` is how much more a cycle harms than at 50 MPa."""
        p = parameters
        self._parameters, self._pressure_factor = p, pressure_factor
        faster = arrhenius(p.film_growth_activation_energy_j_per_mol, temperature_kelvin)
        self._film_rate = (p.film_growth_ohm_m2_per_root_second * faster) ** 2
        faster = arrhenius(p.side_activation_energy_j_per_mol, temperature_kelvin)
        self._side_limit = p.side_current_limit_a_per_m2 * faster
        share = p.side_current_density_a_per_m2 / p.side_current_limit_a_per_m2
        self._side_per_volt = 1.0 / p.side_current_scale_volt
        self._side_offset = math.log(share) if share > 0.0 else -math.inf
        self._side_offset -= REFERENCE_VOLT * self._side_per_volt

    def side_current(self, volt: Array) -> Array:
        """Side current density (A/m2, > 0): exponential in the potential, and levelling off at its limit."""
        return self._side_limit * expit(volt * self._side_per_volt + self._side_offset)

    def side_slope(self, volt: Array) -> Array:
        """Its slope (S/m2)."""
        side = self.side_current(volt)
        return side * (1.0 - side / self._side_limit) * self._side_per_volt

    def film_growth(self, from_volt: float, to_volt: float, duration_second: float) -> float:
        """Integral of k^2, (ohm m2)^2, over a time in which the potential goes from one value to another."""
        twice = 2.0 / self._parameters.film_growth_scale_volt
        before = math.exp((min(from_volt, _HIGHEST_VOLT) - REFERENCE_VOLT) * twice)
        after = math.exp((min(to_volt, _HIGHEST_VOLT) - REFERENCE_VOLT) * twice)
        return self._film_rate * duration_second * 0.5 * (before + after)

    def after(
        self, age: Age, stoichiometry: float, full_coulomb: float, *, side_coulomb: float, film_growth: float
    ) -> Age:
        """The age after a way to another mean stoichiometry, with what the side reaction and the film gained.

        `full_coulomb` is the charge between x = 0 and x = 1 of all particles, connected or not.
        """
        p = self._parameters
        path, cycles = follow(age.path, stoichiometry)
        cycles *= self._pressure_factor
        connected = age.connected_share * math.exp(-p.isolation_per_cycle * cycles)
        contact = age.contact_share
        if contact > p.contact_floor:
            contact = p.contact_floor + (contact - p.contact_floor) * math.exp(
                -p.contact_loss_per_cycle * cycles
            )
        return Age(
            age.cycles + cycles,
            contact,
            connected,
            age.film_growth + film_growth,
            age.side_coulomb + side_coulomb,
            age.isolated_coulomb + (age.connected_share - connected) * full_coulomb * stoichiometry,
            path,
        )


def follow(path: tuple[float, ...], x: float) -> tuple[tuple[float, ...], float]:
    """The path after a move to x, and how many full cycles that move counts.

    A half cycle of swing d counts (d / 0.65)^2 / 2, the more per move the farther it is from where it turned.
    Loops inside a larger swing count on their own and then leave it as it was (rainflow counting, ASTM
    E1049), so a discharge counts the same in one go as in the pulses of a titration.
    """
    now = path[-1] if path else x
    if x == now:
        return path or (x,), 0.0
    turns = list(path[:-1]) or [now]
    if (x - now) * (now - turns[-1]) < 0.0:
        if len(turns) > 1 and abs(now - turns[-2]) < _SAME_TURN:
            turns.pop()  # as if it had come back to where that loop began
        else:
            turns.append(now)
    cycles, forwards = 0.0, x > now
    while len(turns) > 1 and (x >= turns[-2] if forwards else x <= turns[-2]):
        if len(turns) == 2:
            turns.pop(0)  # beyond all there was: the largest swing goes on
        else:
            cycles += _half_cycle(turns[-2] - turns[-1]) - _half_cycle(now - turns[-1])
            now = turns[-2]
            del turns[-2:]
    cycles += _half_cycle(x - turns[-1]) - _half_cycle(now - turns[-1])
    return (*turns, x), cycles


def _half_cycle(swing: float) -> float:
    return 0.5 * (swing / FULL_SWING) ** 2
