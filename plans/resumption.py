"""What an interrupted run has done already, as the executor needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from devices.techniques import AnyTechnique, OpenCircuit, Sampling, StepResult
from labctl.errors import InstrumentError
from labctl.safety.limits import Limits
from plans.protocol import EnvironmentStep
from plans.walk import Visit

_CHECK = OpenCircuit(until_time_second=10, sampling=Sampling.every(1))


@dataclass(frozen=True)
class Resumption:
    """Where to go on.

    Attributes:
        at: Path of the visit to go on with.
        metadata: Keys of the start document: parent_uid, campaign_uid, parent_elapsed_s.
        done: Results of the visits that are over, by their path.
        environment: Temperature and stack pressure as the protocol had set them last, to be set again.
        partial: Results of the visit at which the run was interrupted.
        left: What is left of that visit: None where it had not begun (it is run whole), empty where it is not
            continued (a gapless sequence or a spectrum), else the techniques to run.
        unwritten: Those results of `partial` that no table of steps has yet.
        limits: The open-circuit voltage must lie inside these.
    """

    at: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, Sequence[StepResult]] = field(default_factory=dict)
    environment: tuple[EnvironmentStep, ...] = ()
    partial: tuple[StepResult, ...] = ()
    left: tuple[AnyTechnique, ...] | None = None
    unwritten: tuple[StepResult, ...] = ()
    limits: Limits = field(default_factory=Limits)
    check: OpenCircuit = _CHECK

    def outcome(self, visit: Visit) -> Sequence[StepResult] | None:
        """Results of a visit that is over, None for the one to go on with."""
        return self.done.get(visit.path)

    def require_sound_cell(self, results: Sequence[StepResult]) -> None:
        """Refuse to go on with a cell whose open-circuit voltage is outside the window.

        Raises:
            InstrumentError: Names the voltage and the window.
        """
        low, high = self.limits.voltage_min_volt, self.limits.voltage_max_volt
        volt = results[-1].end_voltage_volt if results else float("nan")
        if not (isfinite(volt) and (low is None or volt >= low) and (high is None or volt <= high)):
            raise InstrumentError(
                f"not resumed: the open-circuit voltage is {volt:.4g} V, "
                f"the cell's window is {low} V to {high} V"
            )


NOTHING_DONE = Resumption()
