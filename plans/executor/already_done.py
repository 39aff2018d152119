"""What an interrupted run has done already, as the executor needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any

from devices.core.techniques import AnyTechnique, Impedance, OpenCircuit, Sampling, StepResult
from labctl.errors import InstrumentError
from labctl.records.limits import Limits
from plans.protocol.protocol import EnvironmentStep
from plans.protocol.walk import Visit

_JUMP_VOLT = 0.05  # a cell that has only relaxed may do this too: it is told, not refused
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
        last_voltage_volt: The last voltage that the interrupted run recorded; NaN if it recorded none.
    """

    at: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, Sequence[StepResult]] = field(default_factory=dict)
    environment: tuple[EnvironmentStep, ...] = ()
    partial: tuple[StepResult, ...] = ()
    left: tuple[AnyTechnique, ...] | None = None
    unwritten: tuple[StepResult, ...] = ()
    limits: Limits = field(default_factory=Limits)
    last_voltage_volt: float = nan
    check: OpenCircuit = _CHECK

    def outcome(self, visit: Visit) -> Sequence[StepResult] | None:
        """Results of a visit that is over, None for the one to go on with."""
        return self.done.get(visit.path)

    def describe(self) -> str:
        """Where it goes on and with what, for people."""
        ended = sum(1 for results in self.done.values() if results)
        if self.left is None:
            next_step = f"step {self.at}, which had not begun"
        elif self.left:
            moved = sum(result.moved_charge_ah for result in self.partial if isfinite(result.moved_charge_ah))
            next_step = f"what is left of step {self.at} ({moved * 1e3:.4g} mAh of it are done)"
        else:
            next_step = f"a rest in place of what is left of step {self.at}, then the next step"
        count = (
            f"{ended} step{'' if ended == 1 else 's'} of the protocol {'is' if ended == 1 else 'are'} over"
        )
        return f"{count}; continues with {next_step}"

    def remark(self, results: Sequence[StepResult]) -> str:
        """A sentence where the open-circuit voltage is not near the last recorded one; else ""."""
        volt = results[-1].end_voltage_volt if results else nan
        if not abs(volt - self.last_voltage_volt) > _JUMP_VOLT:
            return ""
        return f"continued at {volt:.4g} V; the last voltage before was {self.last_voltage_volt:.4g} V"

    def require_sound_cell(self, results: Sequence[StepResult]) -> None:
        """Refuse to go on with a cell whose open-circuit voltage is outside the window.

        Raises:
            InstrumentError: Names the voltage and the window.
        """
        low, high = self.limits.voltage_min_volt, self.limits.voltage_max_volt
        volt = results[-1].end_voltage_volt if results else nan
        if not (isfinite(volt) and (low is None or volt >= low) and (high is None or volt <= high)):
            raise InstrumentError(
                f"not resumed: the open-circuit voltage is {volt:.4g} V, "
                f"the cell's window is {low} V to {high} V"
            )


NOTHING_DONE = Resumption()


def continues(visit: Visit) -> bool:
    """Whether what is left of an interrupted visit is still worth doing: not after a disturbed relaxation."""
    return len(visit.techniques) == 1 and not isinstance(visit.techniques[0], Impedance)
