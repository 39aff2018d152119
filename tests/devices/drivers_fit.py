"""That labctl's drivers are what others ask for, for the type checker: drivers are loaded by name, so that no
other file brings a driver and who uses it together. Nothing here is ever called.
"""

from __future__ import annotations

from devices.alicat.driver import AlicatPressureController
from devices.eurotherm.driver import Eurotherm3200
from devices.mark10.driver import Mark10LoadCell
from devices.press.parts import LoadCell, PressureActuator, TemperatureController


def parts_of_a_heated_cell(
    controller: Eurotherm3200, line: AlicatPressureController, gauge: Mark10LoadCell
) -> tuple[TemperatureController, PressureActuator, LoadCell]:
    """What `HeatedPressureCell` is made of."""
    return controller, line, gauge
