"""Steps whose current is given as a C-rate; the cell's nominal capacity makes amperes of it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from devices.core.techniques import (
    ConstantCurrent,
    ConstantVoltage,
    Duration,
    Positive,
    Record,
    Sampling,
    Tag,
    Volt,
)
from labctl.errors import ProtocolError
from labctl.records.cell import Cell

Direction = Literal["charge", "discharge"]


class RatedCurrent(Record):
    """Constant current given as a C-rate (1/h) of the cell's nominal capacity; otherwise `ConstantCurrent`.

    `until_charge_share` is a share of the nominal capacity.
    """

    kind: Literal["rated_current"] = "rated_current"
    tag: Tag = ""
    rate_per_hour: Positive
    direction: Direction
    until_time_second: Duration | None = None
    until_voltage_volt: Volt | None = None
    until_charge_share: Positive | None = None
    sampling: Sampling

    def resolved(self, cell: Cell) -> ConstantCurrent:
        """With the current of `cell`."""
        charges = self.direction == "charge"
        current = cell.current(self.rate_per_hour)
        share = self.until_charge_share
        return ConstantCurrent(
            tag=self.tag,
            current_ampere=current if charges else -current,
            until_time_second=self.until_time_second,
            until_voltage_above_volt=self.until_voltage_volt if charges else None,
            until_voltage_below_volt=None if charges else self.until_voltage_volt,
            until_charge_ah=None if share is None else share * cell.nominal_capacity_ah,
            sampling=self.sampling,
        )


class RatedHold(Record):
    """Constant voltage that ends below a C-rate (1/h) of the cell's nominal capacity."""

    kind: Literal["rated_hold"] = "rated_hold"
    tag: Tag = ""
    voltage_volt: Volt
    direction: Direction
    until_rate_below_per_hour: Positive
    until_time_second: Duration | None = None
    sampling: Sampling

    def resolved(self, cell: Cell) -> ConstantVoltage:
        """With the current of `cell`."""
        return ConstantVoltage(
            tag=self.tag,
            voltage_volt=self.voltage_volt,
            direction=self.direction,
            until_time_second=self.until_time_second,
            until_current_below_ampere=cell.current(self.until_rate_below_per_hour),
            sampling=self.sampling,
        )


class CcCv(Record):
    """Constant current to a voltage, then that voltage until the current has fallen or a time is over.

    The current is given in A (its magnitude; `direction` has the sign) or as a C-rate (1/h). If the first
    part ends otherwise than at the voltage (by its charge, as a soft short would have it), the second does
    not run: that is why they are two programs, with the circuit open for about a second between them.
    `until_charge_ah` bounds each of them.
    """

    kind: Literal["cc_cv"] = "cc_cv"
    tag: Tag = ""
    direction: Direction
    voltage_volt: Volt
    current_ampere: Positive | None = None
    rate_per_hour: Positive | None = None
    until_charge_ah: Positive | None = None
    until_current_below_ampere: Positive | None = None
    until_rate_below_per_hour: Positive | None = None
    hold_second: Duration = 3600.0
    sampling: Sampling

    @model_validator(mode="after")
    def _one_current(self) -> Self:
        if (self.current_ampere is None) == (self.rate_per_hour is None):
            raise ValueError("exactly one of current_ampere and rate_per_hour must be given")
        if self.until_current_below_ampere is not None and self.until_rate_below_per_hour is not None:
            raise ValueError("until_current_below_ampere and until_rate_below_per_hour exclude each other")
        return self

    def resolved(self, cell: Cell) -> CcCv:
        """With the currents of `cell` in place of rates."""
        changes = dict[str, float | None]()
        if self.rate_per_hour is not None:
            changes |= {"current_ampere": cell.current(self.rate_per_hour), "rate_per_hour": None}
        if self.until_rate_below_per_hour is not None:
            below = cell.current(self.until_rate_below_per_hour)
            changes |= {"until_current_below_ampere": below, "until_rate_below_per_hour": None}
        return self.model_copy(update=changes)

    @property
    def parts(self) -> tuple[ConstantCurrent, ConstantVoltage]:
        """Both techniques; the rates must have been resolved."""
        if self.current_ampere is None:
            raise ProtocolError("a CC-CV step has a rate: resolve the protocol with its cell first")
        charges = self.direction == "charge"
        constant_current = ConstantCurrent(
            tag=self.tag,
            current_ampere=self.current_ampere if charges else -self.current_ampere,
            until_voltage_above_volt=self.voltage_volt if charges else None,
            until_voltage_below_volt=None if charges else self.voltage_volt,
            until_charge_ah=self.until_charge_ah,
            sampling=self.sampling,
        )
        constant_voltage = ConstantVoltage(
            tag=self.tag,
            voltage_volt=self.voltage_volt,
            direction=self.direction,
            until_time_second=self.hold_second,
            until_current_below_ampere=self.until_current_below_ampere,
            until_charge_ah=self.until_charge_ah,
            current_range_ampere=self.current_ampere,
            sampling=self.sampling,
        )
        return constant_current, constant_voltage
