"""Protocols of aurora-unicycler (github.com/EmpaEconversion/aurora-unicycler, version 0.4), in and out.

Steps follow one another; a loop goes back to a tag or to a step number (counted from 1) and its `cycle_count`
is the total number of passes. Voltages are cell voltages, currents in mA, > 0 charges, as here. What differs:

- one recording interval for all steps: `record.time_s` and `record.voltage_V` become the sampling of every
  step; `record.current_mA` has no counterpart and is left out.
- impedance amplitudes are peak values there (they reach the cyclers as such) and rms here.
- limits act at once here; a `safety.delay_s` is left out.
- marks of cycles are written as tags "cycle mark N", and read back as marks.

The field names are that format's own. `unicycler_import` reads it, `unicycler_export` writes it.
"""

# ruff: noqa: N815

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

VERSION = "0.4.4"
MARK = "cycle mark "
_RATE = re.compile(r"(?P<factor>[-+]?\d*\.?\d*)(?P<letter>[CD]?)/(?P<divisor>\d*\.?\d+)")


def _blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _rate(value: object) -> object:
    """A rate in 1/h from text such as C/5, D/2 (discharge) or 1/5, or a plain number."""
    match = _RATE.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        return _blank(value)
    sign = -1.0 if match["letter"] == "D" else 1.0
    factor = match["factor"]
    number = float(factor) if factor not in ("", "+", "-") else float(f"{factor}1")
    return sign * number / float(match["divisor"])


Number = Annotated[float | None, BeforeValidator(_blank), Field(allow_inf_nan=False)]
Rate = Annotated[float | None, BeforeValidator(_rate), Field(allow_inf_nan=False)]


class UnicyclerPart(BaseModel):
    """Strict about unknown fields."""

    model_config = ConfigDict(extra="forbid")


class UnicyclerStep(UnicyclerPart):
    """What all steps share."""

    id: str | None = None


class UnicyclerRest(UnicyclerStep):
    """Open circuit."""

    step: Literal["open_circuit_voltage"] = "open_circuit_voltage"
    until_time_s: float


class UnicyclerCurrent(UnicyclerStep):
    """Constant current, in mA or as a rate in 1/h; > 0 charges."""

    step: Literal["constant_current"] = "constant_current"
    rate_C: Rate = None
    current_mA: Number = None
    until_time_s: Number = None
    until_voltage_V: Number = None


class UnicyclerHold(UnicyclerStep):
    """Constant voltage."""

    step: Literal["constant_voltage"] = "constant_voltage"
    voltage_V: float
    until_time_s: Number = None
    until_rate_C: Rate = None
    until_current_mA: Number = None


class UnicyclerSpectrum(UnicyclerStep):
    """Impedance."""

    step: Literal["impedance_spectroscopy"] = "impedance_spectroscopy"
    amplitude_V: Number = None
    amplitude_mA: Number = None
    start_frequency_Hz: float
    end_frequency_Hz: float
    points_per_decade: int = 10
    measures_per_point: int = 1
    drift_correction: bool | None = False


class UnicyclerLoop(UnicyclerStep):
    """Back to a tag or to a step's number."""

    step: Literal["loop"] = "loop"
    loop_to: int | str = Field(default=1, alias="start_step")
    cycle_count: int = Field(gt=0)
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class UnicyclerTag(UnicyclerStep):
    """A name in the method."""

    step: Literal["tag"] = "tag"
    tag: str = ""


UnicyclerAnyStep = Annotated[
    UnicyclerRest | UnicyclerCurrent | UnicyclerHold | UnicyclerSpectrum | UnicyclerLoop | UnicyclerTag,
    Field(discriminator="step"),
]


class UnicyclerSample(UnicyclerPart):
    """What the rates refer to."""

    name: str = "$NAME"
    capacity_mAh: Number = None


class UnicyclerRecording(UnicyclerPart):
    """When samples are recorded."""

    current_mA: Number = None
    voltage_V: Number = None
    time_s: float = Field(gt=0)


class UnicyclerSafety(UnicyclerPart):
    """Limits of the whole measurement."""

    max_voltage_V: Number = None
    min_voltage_V: Number = None
    max_current_mA: Number = None
    min_current_mA: Number = None
    max_capacity_mAh: Number = None
    delay_s: Number = None


class UnicyclerProtocol(UnicyclerPart):
    """A whole protocol."""

    unicycler: dict[str, Any] = Field(default_factory=dict)
    sample: UnicyclerSample = Field(default_factory=UnicyclerSample)
    record: UnicyclerRecording
    safety: UnicyclerSafety = Field(default_factory=UnicyclerSafety)
    method: list[UnicyclerAnyStep] = Field(min_length=1)
