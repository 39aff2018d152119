"""That labctl's drivers are what others ask for, for the type checker: drivers are loaded by name, so that no
other file brings a driver and who uses it together. Nothing here is ever called.
"""

from __future__ import annotations

from devices.alicat.driver import AlicatPressureController
from devices.core.protocols import Cycler as PlannedCycler
from devices.core.protocols import Environment as PlannedEnvironment
from devices.eurotherm.driver import Eurotherm3200
from devices.keithley.driver import Keithley2450
from devices.mark10.driver import Mark10LoadCell
from devices.palmsens.driver import PalmSens
from devices.press.heated_cell import HeatedPressureCell
from devices.press.parts import LoadCell, PressureActuator, TemperatureController
from devices.sim.bench.client import BenchHandle, ensure_bench
from labctl.equipment import Bench, Cycler, Device, Environment, FindsBench, OpensCircuit
from labctl.session import Session


def parts_of_a_heated_cell(
    controller: Eurotherm3200, line: AlicatPressureController, gauge: Mark10LoadCell
) -> tuple[TemperatureController, PressureActuator, LoadCell]:
    """What `HeatedPressureCell` is made of."""
    return controller, line, gauge


def cyclers_of_a_session(emstat: PalmSens, unit: Keithley2450) -> tuple[Cycler, Cycler]:
    """What `Session.cycler` says that every cycler has."""
    return emstat, unit


def cyclers_that_are_switched_off(emstat: PalmSens, unit: Keithley2450) -> tuple[OpensCircuit, OpensCircuit]:
    """What `labctl off` asks."""
    return emstat, unit


def devices_of_a_session(
    controller: Eurotherm3200, line: AlicatPressureController, gauge: Mark10LoadCell
) -> tuple[Device, Device, Device]:
    """What `open_session` and `labctl check` ask of every device."""
    return controller, line, gauge


def surroundings_of_a_session(cell: HeatedPressureCell) -> Environment:
    """What `Session.environment` says."""
    return cell


def bench_of_a_session(bench: BenchHandle) -> tuple[Bench, FindsBench]:
    """What `Session.bench` says, and how it is found."""
    return bench, ensure_bench


def what_a_session_hands_to_plans(session: Session) -> tuple[PlannedCycler, PlannedEnvironment | None]:
    """A plan takes what a session has, without a cast."""
    return session.cycler, session.environment
