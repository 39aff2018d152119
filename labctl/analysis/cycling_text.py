"""The cycles of a run as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import RenderableType

from labctl.analysis.cycling_records import CycleResult, CyclingAnalysis
from labctl.analysis.text import number, results

_MOST_ROWS = 40  # of a long test the first and last ones are shown


def cycling_table(found: CyclingAnalysis) -> RenderableType:
    """One row a cycle; of a long test the first and the last ones."""
    shown, notes = _shown(found.cycles)
    mass = f"{found.active_mass_kg * 1e6:.4g} mg of {found.mass_basis}"
    notes += [
        f"capacities per gram refer to {mass}; CE = discharge / charge of the same cycle",
        "retention: discharge capacity over that of the first complete cycle at the same discharge rate, "
        "whose number stands beside it",
    ]
    if not all(cycle.complete for cycle in shown):
        notes.append("* this cycle is not complete: the run goes on, or ended within it")
    columns: dict[str, Callable[[CycleResult], str]] = {
        "cycle": lambda c: f"{c.cycle_count}{'' if c.complete else '*'}",
        "charge\nmAh/g": lambda c: number(c.charge_capacity_mah_per_g),
        "discharge\nmAh/g": lambda c: number(c.discharge_capacity_mah_per_g),
        "discharge\nmAh": lambda c: number(c.discharge_capacity_ah, factor=1e3),
        "current\nmA": lambda c: number(c.discharge_current_ampere, 3, factor=1e3),
        "CE\n%": lambda c: number(c.coulombic_efficiency, 5, factor=100),
        "retention\n%": lambda c: number(c.retention, 4, factor=100),
        "of cycle": lambda c: "-" if c.reference_cycle_count is None else f"{c.reference_cycle_count}",
        "polarisation\nmV": lambda c: number(c.polarization_volt, 4, factor=1e3),
    }
    return results(f"Cycles of {found.cell_id or 'an unknown cell'}", shown, columns, notes)


def _shown(cycles: Sequence[CycleResult]) -> tuple[list[CycleResult], list[str]]:
    if len(cycles) <= _MOST_ROWS:
        return list(cycles), []
    half = _MOST_ROWS // 2
    left_out = len(cycles) - 2 * half
    return [*cycles[:half], *cycles[-half:]], [f"{left_out} cycles in between are left out; --json has all"]
