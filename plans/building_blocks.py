"""What several plans are built of: rates, voltage window, half cycles, rests that end by drift, spectra.

Steps that run to a voltage are bounded by a charge as well: a cell that takes up more than CHARGE_BOUND
nominal capacities has a soft short, and its voltage limit might never come. Such a step ends by "charge",
which ends the protocol (`stop_on=SOFT_SHORT`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from devices.core.techniques import LOWEST_HERTZ, REST_SAMPLING, Impedance, OpenCircuit, Sampling
from labctl.errors import ConfigurationError, ProtocolError
from labctl.records.cell import Cell
from labctl.units import parse_c_rate
from plans.protocol.protocol import Item, LoopEnd, Mark
from plans.protocol.rated_steps import CcCv, Direction, RatedCurrent

CHARGE_BOUND = 1.3  # nominal capacities per half cycle
SOFT_SHORT: tuple[LoopEnd, ...] = ("charge",)
CYCLE_SAMPLING = Sampling.staged((0.5, 10), (30, None), change_volt=5e-3)
_SHORTEST_DRIFT_WINDOW_SECOND = 600.0
_NOISE_VOLT, _TICK_SECOND = 50e-6, 1.0  # rms noise of a sample, and how often a rest is looked at
_SLOPE_ERRORS_PER_THRESHOLD = 3.0


def _checked_rate(rate: str | float) -> str | float:
    parse_c_rate(rate)
    return rate


# ---- types of parameters
Rate = Annotated[str | float, BeforeValidator(_checked_rate)]  # "C/20", "0.5C", or 0.05
SymmetricOrRate = Literal["symmetric"] | Rate
Seconds = Annotated[float, Field(gt=0, le=864_000, allow_inf_nan=False)]
CellVolt = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Drift = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]  # V/h
Cycles = Annotated[int, Field(ge=1, le=100_000)]
Hertz = Annotated[float, Field(ge=LOWEST_HERTZ, le=1e7, allow_inf_nan=False)]
AmplitudeVolt = Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)]  # rms
AmplitudeAmpere = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]  # rms
PointsPerDecade = Annotated[int, Field(ge=1, le=100)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Megapascal = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
KelvinPerMinute = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


def per_hour(rate: str | float) -> float:
    """A rate in nominal capacities per hour."""
    return parse_c_rate(rate)


def rate_name(rate: str | float) -> str:
    """A rate as people write it, for tags: "C/20", "0.5C"."""
    return rate.replace(" ", "") if isinstance(rate, str) else f"{rate:g}C"


class Window(NamedTuple):
    """Cell voltages (V) between which a cell is cycled."""

    low_volt: float
    high_volt: float


def window_of(
    cell: Cell, voltage_min_volt: float | None = None, voltage_max_volt: float | None = None
) -> Window:
    """The cell's voltage window, or what of it is given.

    Raises:
        ProtocolError: the lower voltage does not lie below the upper one.
    """
    low = cell.voltage_min_volt if voltage_min_volt is None else voltage_min_volt
    high = cell.voltage_max_volt if voltage_max_volt is None else voltage_max_volt
    if low >= high:
        raise ProtocolError(f"voltage_min_volt = {low:g} V must lie below voltage_max_volt, {high:g} V")
    return Window(low, high)


# ---- rests
def rest(second: float, tag: str = "") -> OpenCircuit:
    """Open circuit for a time (s)."""
    return OpenCircuit(until_time_second=second, sampling=REST_SAMPLING, tag=tag)


def rest_to_drift(
    longest_second: float,
    drift_volt_per_hour: float | None,
    tag: str = "",
    sampling: Sampling = REST_SAMPLING,
) -> OpenCircuit:
    """Open circuit until |dV/dt| is at or below a drift (V/h; None: no such end), at most for a time (s)."""
    if drift_volt_per_hour is None:
        return OpenCircuit(until_time_second=longest_second, sampling=sampling, tag=tag)
    return OpenCircuit(
        until_time_second=longest_second,
        until_drift_volt_per_hour=drift_volt_per_hour,
        drift_window_second=drift_window_second(drift_volt_per_hour),
        sampling=sampling,
        tag=tag,
    )


def drift_window_second(drift_volt_per_hour: float) -> float:
    """Length (s, whole minutes, at least 10 min) over which a drift can be told from noise.

    The slope of a straight line through samples at the interval t over a time T has the standard error
    s sqrt(12 t / T^3), s being the noise of one sample; at this T it is a third of the drift.
    """
    error = drift_volt_per_hour / 3600.0 / _SLOPE_ERRORS_PER_THRESHOLD
    needed = (12.0 * _TICK_SECOND * (_NOISE_VOLT / error) ** 2) ** (1 / 3)
    return max(_SHORTEST_DRIFT_WINDOW_SECOND, 60.0 * ceil(needed / 60.0))


# ---- half cycles and cycles
class Hold(NamedTuple):
    """What follows a constant current: its voltage, until the current is below a rate or for a time (s)."""

    until_rate: str | float
    longest_second: float = 3600.0


def to_voltage(
    cell: Cell,
    direction: Direction,
    rate: str | float,
    volt: float,
    *,
    hold: Hold | None = None,
    tag: str = "",
    sampling: Sampling = CYCLE_SAMPLING,
) -> RatedCurrent | CcCv:
    """Constant current to a cell voltage (V), bounded by CHARGE_BOUND nominal capacities; perhaps a hold."""
    if hold is None:
        return RatedCurrent(
            rate_per_hour=per_hour(rate),
            direction=direction,
            until_voltage_volt=volt,
            until_charge_share=CHARGE_BOUND,
            sampling=sampling,
            tag=tag,
        )
    return CcCv(
        direction=direction,
        voltage_volt=volt,
        rate_per_hour=per_hour(rate),
        until_charge_ah=CHARGE_BOUND * cell.nominal_capacity_ah,
        until_rate_below_per_hour=per_hour(hold.until_rate),
        hold_second=hold.longest_second,
        sampling=sampling,
        tag=tag,
    )


def by_share(
    direction: Direction, rate: str | float, share: float, window: Window, *, tag: str = ""
) -> RatedCurrent:
    """Constant current for a share of the nominal capacity, or to the end of the window if that is sooner."""
    return RatedCurrent(
        rate_per_hour=per_hour(rate),
        direction=direction,
        until_voltage_volt=window.high_volt if direction == "charge" else window.low_volt,
        until_charge_share=share,
        sampling=CYCLE_SAMPLING,
        tag=tag,
    )


def cycle(
    cell: Cell,
    window: Window,
    *,
    charge_rate: str | float,
    discharge_rate: str | float,
    rest_second: float,
    hold: Hold | None = None,
    tag: str = "",
    after_charge: tuple[Item, ...] = (),
) -> tuple[Item, ...]:
    """One cycle: a mark, then charge and discharge, each followed by a rest.

    `hold` belongs to the charge; `after_charge` takes the place of the rest after it.
    """
    return (
        Mark(),
        to_voltage(cell, "charge", charge_rate, window.high_volt, hold=hold, tag=tag),
        *(after_charge or (rest(rest_second, tag),)),
        to_voltage(cell, "discharge", discharge_rate, window.low_volt, tag=tag),
        rest(rest_second, tag),
    )


def soc_ways(
    cell: Cell, window: Window, soc_percent: tuple[float, ...], rate: str | float
) -> Iterator[tuple[Item, ...]]:
    """What brings the cell from each state of charge to the next; the first way charges it, which is 100 %.

    Raises:
        ConfigurationError: states that do not fall.
    """
    if any(after >= before for before, after in pairwise(soc_percent)):
        raise ConfigurationError("plan", "soc_percent", list(soc_percent), "states of charge must fall")
    way: tuple[Item, ...] = (to_voltage(cell, "charge", rate, window.high_volt, tag="to 100 %"),)
    for before, after in pairwise((100.0, *soc_percent)):
        if before > after:
            way += (by_share("discharge", rate, (before - after) / 100.0, window, tag=f"to {after:g} %"),)
        yield way
        way = ()


# ---- spectra
def spectrum(
    *,
    tag: str = "",
    frequency_max_hertz: float = 200e3,
    frequency_min_hertz: float = 0.01,
    points_per_decade: int = 10,
    amplitude_rms_volt: float = 0.01,
    amplitude_rms_ampere: float | None = None,
) -> Impedance:
    """A potentiostatic spectrum about the rest voltage, which the instrument measures just before it.

    With an amplitude of the current it is a galvanostatic one about zero current.

    Raises:
        ProtocolError: the lowest frequency lies above the highest.
    """
    if frequency_min_hertz > frequency_max_hertz:
        raise ProtocolError(
            f"frequency_min_hertz = {frequency_min_hertz:g} Hz must not lie above frequency_max_hertz, "
            f"{frequency_max_hertz:g} Hz"
        )
    return Impedance(
        tag=tag,
        frequency_max_hertz=frequency_max_hertz,
        frequency_min_hertz=frequency_min_hertz,
        points_per_decade=points_per_decade,
        mode="potentiostatic" if amplitude_rms_ampere is None else "galvanostatic",
        amplitude_rms_volt=amplitude_rms_volt if amplitude_rms_ampere is None else None,
        amplitude_rms_ampere=amplitude_rms_ampere,
    )
