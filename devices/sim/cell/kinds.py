"""Makes the simulated cell of the kind that a record names, a little different from its replicates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from pydantic import ValidationError

from devices.sim.cell.pellet.parameters import PelletParameters
from devices.sim.cell.pellet.pellet import Pellet
from devices.sim.cell.simulated_cell import SimulatedCell
from devices.sim.cell.symmetric import SymmetricCell, SymmetricKind

KINDS = ("full", "ion_path", "electron_path", "electrolyte")
# What varies from pellet to pellet, in the order of the draws: another order would give other cells.
_SPREAD = (
    "active_mass_kg",
    "contact_fraction",
    "tortuosity_factor",
    "film_resistance_ohm_m2",
    "contact_resistance_ohm_m2",
    "anode_resistance_ohm_m2",
)
_SPREAD_AGEING = ("film_growth_ohm_m2_per_root_second", "contact_loss_per_cycle", "isolation_per_cycle")


def cell_parameters(
    cell_id: str, given: Mapping[str, Any], *, ages: bool, seed: int, spread: float
) -> PelletParameters:
    """The parameters of one individual cell.

    Args:
        cell_id: Which cell; with the seed it decides how the cell differs from its record.
        given: What its record says, for `PelletParameters.for_cell`.
        ages: Whether cycles and time leave traces.
        seed: Of the bench.
        spread: Standard deviation of the logarithm of what varies; 0 gives the record's cell.

    Raises:
        ValueError: a parameter is unknown or impossible.
    """
    try:
        parameters = PelletParameters.for_cell(ages=ages, **given)
    except (ValidationError, TypeError) as error:
        raise ValueError(f"cell {cell_id}: {error}") from None
    return scattered(parameters, cell_id, seed=seed, spread=spread) if spread else parameters


def scattered(parameters: PelletParameters, cell_id: str, *, seed: int, spread: float) -> PelletParameters:
    """The pellet as it really came out: factors exp(spread z), z normal, from the seed and the cell's id.

    Contact is at most complete and paths at least straight, so a factor beyond that counts up to there.
    """
    digest = hashlib.sha256(f"{seed}:{cell_id}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:16]))
    factors = [math.exp(spread * z) for z in random.standard_normal(len(_SPREAD) + len(_SPREAD_AGEING))]
    changes = {
        name: getattr(parameters, name) * factor for name, factor in zip(_SPREAD, factors, strict=False)
    }
    changes["contact_fraction"] = min(changes["contact_fraction"], 1.0)
    changes["tortuosity_factor"] = max(changes["tortuosity_factor"], 1.0)
    ageing = parameters.ageing
    if ageing is not None:
        own = zip(_SPREAD_AGEING, factors[len(_SPREAD) :], strict=True)
        ageing = ageing.model_copy(update={name: getattr(ageing, name) * factor for name, factor in own})
    return parameters.model_copy(update={**changes, "ageing": ageing})


def new_cell(
    kind: str,
    parameters: PelletParameters,
    *,
    stoichiometry: float,
    temperature_kelvin: float,
    pressure_pa: float,
    time_second: float,
) -> SimulatedCell:
    """A rested cell; only a full one begins at a stoichiometry.

    Raises:
        ValueError: there is no such kind, or a value is not allowed.
    """
    if _known(kind) == "full":
        return Pellet(
            parameters,
            stoichiometry=stoichiometry,
            temperature_kelvin=temperature_kelvin,
            pressure_pa=pressure_pa,
            time_second=time_second,
        )
    return SymmetricCell(
        cast(SymmetricKind, kind),
        parameters,
        temperature_kelvin=temperature_kelvin,
        pressure_pa=pressure_pa,
        time_second=time_second,
    )


def restored_cell(kind: str, parameters: PelletParameters, state: Mapping[str, Any]) -> SimulatedCell:
    """The cell of this kind whose `state()` this was.

    Raises:
        ValueError: there is no such kind, or the state is of another cell.
    """
    if _known(kind) == "full":
        return Pellet.from_state(parameters, state)
    return SymmetricCell.from_state(cast(SymmetricKind, kind), parameters, state)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"cell kind = {kind!r}: must be one of {', '.join(KINDS)}")
    return kind
