"""Direct-current polarisation: the steady current of each hold, and the resistance they make together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType

from labctl.analysis.conduction import polarization as steady_state
from labctl.analysis.failures import told
from labctl.analysis.result_text import letters, meanings, number, results, with_error, without_nan
from labctl.documents import RunTables
from labctl.records.cell import Cell
from labctl.schema import CURRENT, END_REASON, STEP_COUNT, STEP_TIME, STEP_TYPE, STEPS, TIMESERIES, VOLTAGE

WINDOW_SECOND = 600.0
STEADY_CHANGE = 0.01  # of the current within the window
FLAGS: dict[str, str] = {
    "not_steady": "the current still changed by more than 1 % in the last 10 min of the hold",
    "short": "the hold was shorter than 20 min: a steady state is not established",
    "not_linear": "current against voltage bends by more than 2 %",
}
_FEWEST_SAMPLES = 8
_NOT_LINEAR = 0.02


@dataclass(frozen=True)
class SteadyHold:
    """One hold.

    Attributes:
        step_count: Its step.
        voltage_volt: Mean voltage in the window at its end.
        current_ampere: Mean current in that window.
        current_std_ampere: Its standard error.
        change_per_window: By which share the current changed in `WINDOW_SECOND` at the end.
        hold_second: Length of the hold.
        flags: Names out of `FLAGS`.
    """

    step_count: int
    voltage_volt: float
    current_ampere: float
    current_std_ampere: float
    change_per_window: float
    hold_second: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class PolarizationAnalysis:
    """All holds of a run. The resistance is 1 over the slope of current against voltage, with an offset.

    Attributes:
        resistance_ohm: Of the steady current; NaN without a hold.
        offset_volt: Voltage at which no current would flow.
        conductivity_s_per_m: Thickness of the composite over resistance and area: of the rail that conducts,
            with all that is in series counted to it; NaN without a thickness.
        skipped: Holds that could not be evaluated, and why.
    """

    run_uid: str
    cell_id: str
    holds: tuple[SteadyHold, ...]
    resistance_ohm: float
    resistance_std_ohm: float
    offset_volt: float
    conductivity_s_per_m: float
    flags: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: NaN and infinity become None."""
        cleaned: dict[str, Any] = without_nan(asdict(self))
        return cleaned


def analyze_polarization(run: RunTables, cell: Cell) -> PolarizationAnalysis:
    """The steady currents of a run of holds, and the resistance."""
    steps, samples = run.stream(STEPS.name), run.stream(TIMESERIES.name)
    holds, skipped = list[SteadyHold](), list[str]()
    for row in range(len(steps.get(STEP_COUNT, ()))):
        finished = str(steps[END_REASON][row]) in ("time", "current_below", "charge")
        if str(steps[STEP_TYPE][row]).startswith("cv_") and finished:
            mine = samples[STEP_COUNT] == steps[STEP_COUNT][row]
            columns = (samples[n][mine] for n in (STEP_TIME, VOLTAGE, CURRENT))
            count = int(steps[STEP_COUNT][row])
            with told(skipped, f"step {count}"):
                holds.append(steady_hold(count, *columns))
    resistance, spread, offset, bent = _resistance(holds)
    thickness = cell.composite_thickness_um
    known = thickness is not None and isfinite(resistance) and resistance > 0
    flags = {flag for hold in holds for flag in hold.flags} | ({"not_linear"} if bent else set())
    return PolarizationAnalysis(
        run_uid=str(run.start.get("uid", "")),
        cell_id=cell.id,
        holds=tuple(holds),
        resistance_ohm=resistance,
        resistance_std_ohm=spread,
        offset_volt=offset,
        conductivity_s_per_m=thickness * 1e-6 / (resistance * cell.area_m2) if thickness and known else nan,
        flags=tuple(name for name in FLAGS if name in flags),
        skipped=tuple(skipped),
    )


def steady_hold(
    step_count: int,
    step_time_second: npt.ArrayLike,
    voltage_volt: npt.ArrayLike,
    current_ampere: npt.ArrayLike,
) -> SteadyHold:
    """Mean current of the end of one hold and by how much it still changed; arrays of shape (n,)."""
    time = np.asarray(step_time_second, dtype=float)
    volt, ampere = np.asarray(voltage_volt, dtype=float), np.asarray(current_ampere, dtype=float)
    valid = np.isfinite(time) & np.isfinite(volt) & np.isfinite(ampere)
    time, volt, ampere = time[valid], volt[valid], ampere[valid]
    if len(time) < _FEWEST_SAMPLES:
        return SteadyHold(step_count, nan, nan, nan, nan, nan, ("short",))
    length = float(time[-1])
    window = time >= length - min(WINDOW_SECOND, length / 2)
    if window.sum() < _FEWEST_SAMPLES:
        window = np.arange(len(time)) >= len(time) - _FEWEST_SAMPLES
    t, i = time[window], ampere[window]
    slope, mean = np.polynomial.polynomial.polyfit(t - t.mean(), i, 1)[::-1]
    residual = i - mean - slope * (t - t.mean())
    change = abs(float(slope)) * WINDOW_SECOND / max(abs(float(mean)), 1e-15)
    raised = {"not_steady": change > STEADY_CHANGE, "short": length < 2 * WINDOW_SECOND}
    return SteadyHold(
        step_count=step_count,
        voltage_volt=float(volt[window].mean()),
        current_ampere=float(mean),
        current_std_ampere=float(residual.std(ddof=2) / sqrt(len(i))),
        change_per_window=change,
        hold_second=length,
        flags=tuple(name for name, is_raised in raised.items() if is_raised),
    )


def _resistance(holds: list[SteadyHold]) -> tuple[float, float, float, bool]:
    """Resistance, standard error, offset, and whether the line is bent; through 0 for one hold."""
    usable = [hold for hold in holds if isfinite(hold.current_ampere) and hold.current_ampere != 0]
    volt = np.array([hold.voltage_volt for hold in usable])
    ampere = np.array([hold.current_ampere for hold in usable])
    if len(np.unique(volt)) < 2:
        if not usable:
            return nan, nan, nan, False
        return (
            float(volt[0] / ampere[0]),
            abs(usable[0].current_std_ampere / ampere[0] * volt[0] / ampere[0]),
            0.0,
            False,
        )
    spread = float(((ampere - ampere.mean()) ** 2).sum())
    if spread == 0:  # one current at all voltages: a stuck reading
        return nan, nan, nan, False
    slope = float(((ampere - ampere.mean()) * (volt - volt.mean())).sum()) / spread
    residual = volt - volt.mean() - slope * (ampere - ampere.mean())
    free = len(volt) - 2
    error = sqrt(float(residual @ residual) / free / spread) if free > 0 else inf
    bent = bool(np.abs(residual).max() > _NOT_LINEAR * np.ptp(volt))
    return slope, error, float(volt.mean() - slope * ampere.mean()), bent


def polarization_table(analysis: PolarizationAnalysis) -> RenderableType:
    """One line per hold, and the resistance they make together."""
    known = steady_state.FLAGS
    letter_of = letters(known, [analysis.flags])
    columns: dict[str, Callable[[SteadyHold], str]] = {
        "step": lambda h: str(h.step_count),
        "V\nmV": lambda h: number(h.voltage_volt, 5, 1e3),
        "I\nuA": lambda h: with_error(h.current_ampere, h.current_std_ampere, 1e6),
        "change\n%/10 min": lambda h: number(h.change_per_window, 2, 100.0),
        "hold\ns": lambda h: number(h.hold_second, 5),
        "flags": lambda h: "".join(letter_of[flag] for flag in h.flags),
    }
    resistance = with_error(analysis.resistance_ohm, analysis.resistance_std_ohm)
    conductivity = number(analysis.conductivity_s_per_m, 4, 10.0)
    notes = [
        f"R = {resistance} ohm (slope of V against steady I, offset {analysis.offset_volt * 1e3:.3g} mV); "
        f"σ = L/(R A) = {conductivity} mS/cm, with all that is in series counted to the composite.",
        *meanings(letter_of, known),
        *(f"Left out: {why}." for why in analysis.skipped),
    ]
    title = f"Polarisation of run {analysis.run_uid[:8]}, cell {analysis.cell_id}"
    return results(title, analysis.holds, columns, notes)
