"""What cycling says of a cell: one frozen record per cycle, with the mass its capacities refer to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

MASS_BASIS = "active material"


@dataclass(frozen=True)
class CycleResult:
    """One cycle. NaN: not measured, or not known yet.

    Attributes:
        cycle_count: Its number by the protocol's marks.
        complete: Whether a later cycle has begun or the run has ended in order.
        start_test_time_second: Beginning of its first step with current.
        end_test_time_second: End of its last step with current, so far.
        charge_capacity_ah: Charge taken up, > 0.
        discharge_capacity_ah: Charge given back, > 0.
        charge_current_ampere: Mean current of charging, > 0.
        discharge_current_ampere: Mean magnitude of the current of discharging, > 0.
        charge_mean_volt: Mean cell voltage of charging, by charge.
        discharge_mean_volt: Mean cell voltage of discharging, by charge.
        coulombic_efficiency: Discharge over charge capacity; NaN until the cycle is complete.
        retention: Discharge capacity over that of the reference cycle; NaN until complete.
        reference_cycle_count: The first complete cycle at this cycle's discharge rate.
        active_mass_kg: Mass of active material that specific capacities refer to.
    """

    cycle_count: int
    complete: bool
    start_test_time_second: float
    end_test_time_second: float
    charge_capacity_ah: float
    discharge_capacity_ah: float
    charge_current_ampere: float
    discharge_current_ampere: float
    charge_mean_volt: float
    discharge_mean_volt: float
    coulombic_efficiency: float
    retention: float
    reference_cycle_count: int | None
    active_mass_kg: float

    @property
    def polarization_volt(self) -> float:
        """Mean charge voltage less mean discharge voltage."""
        return self.charge_mean_volt - self.discharge_mean_volt

    @property
    def charge_capacity_mah_per_g(self) -> float:
        """Charge capacity per mass of active material (1 Ah/kg = 1 mAh/g)."""
        return self.charge_capacity_ah / self.active_mass_kg

    @property
    def discharge_capacity_mah_per_g(self) -> float:
        """Discharge capacity per mass of active material."""
        return self.discharge_capacity_ah / self.active_mass_kg


@dataclass(frozen=True)
class CyclingAnalysis:
    """All cycles of a run, and what its specific capacities refer to."""

    run_uid: str
    cell_id: str | None
    cycles: tuple[CycleResult, ...]
    active_mass_kg: float
    mass_basis: str = MASS_BASIS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN becomes None."""
        cycles = [
            asdict(cycle)
            | {
                "polarization_volt": cycle.polarization_volt,
                "charge_capacity_mah_per_g": cycle.charge_capacity_mah_per_g,
                "discharge_capacity_mah_per_g": cycle.discharge_capacity_mah_per_g,
            }
            for cycle in self.cycles
        ]
        plain = {"run_uid": self.run_uid, "cell_id": self.cell_id, "mass_basis": self.mass_basis}
        plain |= {"active_mass_kg": _none_if_nan(self.active_mass_kg)}
        return plain | {"cycles": [{k: _none_if_nan(v) for k, v in cycle.items()} for cycle in cycles]}


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
