"""The true values of a simulated cell, as the demonstration writes them into the start document."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from labctl.records.loader import validate_record

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SimulationTruth(BaseModel):
    """Diffusion in the simulated cell; x is lithium per formula unit and falls when the cell is charged.

    `stoichiometry` is x of the whole electrode at the start of the run, `capacity_full_ah` the charge from
    x = 0 to 1, the grids are D(x) at the run's temperature. Further keys of the truth are not looked at.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    equivalent_radius_metre: Positive
    stoichiometry: Annotated[float, Field(ge=0, le=1)]
    capacity_full_ah: Positive
    stoichiometry_grid: tuple[float, ...] = Field(min_length=2)
    diffusivity_m2_per_s_grid: tuple[Positive, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _one_value_per_point(self) -> Self:
        grid = self.stoichiometry_grid
        if len(grid) != len(self.diffusivity_m2_per_s_grid) or any(np.diff(grid) <= 0):
            raise ValueError(
                "stoichiometry_grid must grow and have as many points as diffusivity_m2_per_s_grid"
            )
        return self

    @classmethod
    def from_start(cls, start: dict[str, Any]) -> Self | None:
        """From the key `simulation_truth` of a start document; None where there is none.

        Raises:
            ConfigurationError: there is one, but it is not whole; one line per fault.
        """
        given = start.get("simulation_truth")
        return (
            None if given is None else validate_record(given, cls, where="start document, simulation_truth")
        )

    def stoichiometry_at(self, net_charge_ah: float) -> float:
        """Lithium per formula unit after a net charge (Ah, > 0 charges) since the start of the run."""
        return self.stoichiometry - net_charge_ah / self.capacity_full_ah

    def diffusion_time_second(self, stoichiometry: float) -> float:
        """R_e^2/D at a composition, with the equivalent radius R_e."""
        d = np.interp(stoichiometry, self.stoichiometry_grid, self.diffusivity_m2_per_s_grid)
        return self.equivalent_radius_metre**2 / float(d)
