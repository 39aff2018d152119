"""Limits that no measurement may pass; compiled into the instrument's own program."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from labctl.errors import ConfigurationError


class Limits(BaseModel):
    """Hard limits of a station or a cell; None means "not limited here".

    Voltages are cell voltages (not against Li+/Li). `current_max_ampere` bounds |I|.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    voltage_min_volt: float | None = Field(default=None, ge=-20, le=20)
    voltage_max_volt: float | None = Field(default=None, ge=-20, le=20)
    current_max_ampere: float | None = Field(default=None, gt=0, le=100)
    temperature_max_celsius: float | None = Field(default=None, gt=-100, le=500)
    pressure_max_pa: float | None = Field(default=None, gt=0, le=1e9)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.voltage_min_volt, self.voltage_max_volt
        if low is not None and high is not None and low >= high:
            raise ValueError(f"voltage_min_volt {low:g} V must lie below voltage_max_volt {high:g} V")
        return self

    def narrowed_by(self, other: Limits) -> Limits:
        """The tighter of both, limit by limit.

        Raises:
            ConfigurationError: the two windows of voltage do not overlap.
        """

        def tighter(name: str) -> float | None:
            both = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            pick = max if "_min_" in name else min
            return pick(both) if both else None

        both = {name: tighter(name) for name in type(self).model_fields}
        low, high = both["voltage_min_volt"], both["voltage_max_volt"]
        if low is not None and high is not None and low >= high:
            raise ConfigurationError(
                "limits", "voltage_min_volt", low, f"no voltage is allowed: must lie below {high:g} V"
            )
        return Limits(**both)
