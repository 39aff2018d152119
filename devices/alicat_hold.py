"""Holding the pressure of a gas line as it is, and doing so later if it cannot be done now."""

from __future__ import annotations

import re
from typing import Literal, get_args

from devices.alicat_link import AlicatLink
from labctl.errors import InstrumentError

HoldMode = Literal["closed", "setpoint", "position"]
HOLD_MODES: tuple[str, ...] = get_args(HoldMode)
_DUAL_VALVE = re.compile(r"E?PC[A-Z]*D")


class LineHold:
    """How a controller holds; used by the reader thread.

    "closed" shuts both valves: no gas in, none out. "setpoint" keeps regulating at the present pressure.
    "position" freezes the valves; in mid-ramp one of them is open then, and the pressure runs on.

    Args:
        link: to the controller.
        mode: None chooses "closed" for dual-valve models (PCD), else "setpoint".
    """

    def __init__(self, link: AlicatLink, mode: HoldMode | None) -> None:
        self._link, self._mode = link, mode
        self.by_us = False  # whether valves that are held are held by this program
        self.owed = False  # whether a hold could not be sent yet

    def hold(self, model: str) -> None:
        """Hold here; owed until it is done."""
        self.owed = True
        mode = self._mode or ("closed" if _DUAL_VALVE.match(model) else "setpoint")
        if mode == "closed":
            self._link.hold_closed()
        elif mode == "position" or not self._regulate_here():
            self._link.hold_position()
        self.owed, self.by_us = False, True

    def release(self) -> None:
        """A new order: nothing is held any more, nor owed."""
        self.by_us = self.owed = False

    def _regulate_here(self) -> bool:
        """Regulate at the present pressure; False where that cannot be done."""
        try:
            here = max(self._link.read().pressure_pa, 0.0)
            self._link.set_ramp(0.0)
            self._link.set_setpoint(here)
        except InstrumentError:
            return False
        return True
