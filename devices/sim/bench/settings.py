"""What a bench is started with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat


class BenchSettings(BaseModel):
    """Taken from a station's `simulate` block and devices.

    `speed` is virtual time per wall time; `devices` maps roles to driver names. A running bench serves only
    clients with equal settings; the speed may be changed while it runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    station: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    seed: int = Field(ge=0)
    speed: PositiveFloat | Literal["max"] = "max"
    stoichiometry: float = Field(gt=0, lt=1)
    temperature_kelvin: PositiveFloat
    pressure_pa: PositiveFloat
    ageing: bool = True
    spread: float = Field(default=0.0, ge=0, le=0.3)
    devices: dict[str, str]

    def same_bench(self, other: BenchSettings) -> bool:
        """Whether one bench can serve both."""
        return self == other.model_copy(update={"speed": self.speed})


def pace(speed: float | str) -> float | None:
    """The clock's speed for a setting: None for "max".

    Raises:
        ValueError: neither a positive number nor "max".
    """
    if speed == "max":
        return None
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= 1e9:
        raise ValueError(f"speed = {speed!r}: must be 'max' or a number > 0, at most 1e9")
    return float(speed)
