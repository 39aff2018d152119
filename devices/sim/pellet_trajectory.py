"""The course of the simulated pellet through virtual time: steps, interpolation between them, changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from devices.sim.ageing import Age
from devices.sim.materials import Array
from devices.sim.pellet_network import PelletNetwork
from devices.sim.pellet_schedule import Interpolant, StepSchedule
from devices.sim.pellet_state import Control, PelletState, instant_current, terminal_voltage
from devices.sim.pellet_step import advance


@dataclass(frozen=True, eq=False)
class _Step:
    """An integrated step: where it ends, the state there, and the terminals on the way."""

    end_second: float
    state: PelletState
    curve: Interpolant


class Trajectory:
    """State at the begin of the present step, and the step itself once somebody has asked beyond the present.

    `network` and `control` hold since the last change; `curve` is the voltage, or with voltage control the
    current, at the last step ends.
    """

    def __init__(
        self,
        network: PelletNetwork,
        control: Control,
        state: PelletState,
        *,
        time_second: float,
        schedule: StepSchedule,
    ) -> None:
        self.network, self.control, self._schedule = network, control, schedule
        self._start(time_second, state, after_environment=False)

    @property
    def time_second(self) -> float:
        """The present."""
        return self._time_second

    def horizon(self) -> float:
        """End (s) of the step around the present; integrates it if that has not been done."""
        return self._ahead().end_second

    def terminal(self, times_second: Array) -> tuple[Array, Array]:
        """Voltage (V) and current (A) at increasing times (s) in (present, horizon]."""
        times = np.asarray(times_second, dtype=float)
        step = self._ahead()
        if times.size and not self._begin_second <= times[0] <= times[-1] <= step.end_second:
            raise ValueError(
                f"pellet.terminal: times_second = {times[0]!r} to {times[-1]!r} s: must increase within the "
                f"present step, {self._begin_second!r} to {step.end_second!r} s"
            )
        curve = step.curve.at(times)
        held = np.full_like(curve, self.control.setpoint)
        return (held, curve) if self.control.holds_voltage else (curve, held)

    def terminal_now(self) -> tuple[float, float]:
        """Voltage (V) and current (A) at the present."""
        if self._time_second == self._begin_second:
            value = self._curve.nodes[-1][1]
        else:
            value = float(self._ahead().curve.at(np.array([self._time_second]))[0])
        held = self.control.setpoint
        return (held, value) if self.control.holds_voltage else (value, held)

    def move_to(self, time_second: float) -> None:
        """Make a time (s) in [present, horizon] the present."""
        step = self._ahead()
        if not self._time_second <= time_second <= step.end_second:
            raise ValueError(
                f"pellet.move_to: time_second = {time_second!r} s: must be from the present, "
                f"{self._time_second!r} s, to the horizon, {step.end_second!r} s"
            )
        self._time_second, self._inside = time_second, None
        if time_second == step.end_second:
            self._begin_second, self._state, self._curve, self._step = (
                time_second,
                step.state,
                step.curve,
                None,
            )
            if self.network.ageing is not None:
                self.network = self.network.at_age(step.state.age)
            self._step_second = self._schedule.following(
                self._step_second,
                is_open=self.control.mode == "open",
                after_environment=self._after_environment,
            )

    def present_state(self) -> PelletState:
        """State at the present: inside a step, integrated from its begin to the present in one go."""
        if self._time_second == self._begin_second:
            return self._state
        if self._inside is None:
            elapsed = self._time_second - self._begin_second
            self._inside = advance(self.network, self._state, self.control, elapsed)
        return self._inside

    def charge_coulomb(self) -> float:
        """Charge through the terminals up to the present."""
        if self.control.holds_voltage:
            return self.present_state().charge_coulomb
        elapsed = self._time_second - self._begin_second
        return self._state.charge_coulomb + self.control.setpoint * elapsed

    def change(self, network: PelletNetwork, control: Control) -> None:
        """Go on from the present under another network or control; nothing happens if both are the same."""
        if control == self.control and network is self.network:
            return
        state, after_environment = self.present_state(), control == self.control
        self.network, self.control = network, control
        self._start(self._time_second, state, after_environment=after_environment)

    def to_dict(self) -> dict[str, Any]:
        """All but the network and the schedule, as plain JSON."""
        return {
            "control": list(self.control),
            "time_second": self._time_second,
            "begin_second": self._begin_second,
            "change_second": self._change_second,
            "step_second": self._step_second,
            "after_environment": self._after_environment,
            "curve": [list(node) for node in self._curve.nodes],
            "begin_state": {f.name: _plain(getattr(self._state, f.name)) for f in fields(PelletState)},
        }

    def restore(self, saved: Mapping[str, Any], network: PelletNetwork) -> None:
        """Go on from a `to_dict()`, whose network this is."""
        mode, setpoint = saved["control"]
        self.network, self.control = network, Control(mode, setpoint)
        begin = {name: _restored(name, value) for name, value in saved["begin_state"].items()}
        self._start(saved["begin_second"], PelletState(**begin), after_environment=saved["after_environment"])
        self._time_second, self._step_second = saved["time_second"], saved["step_second"]
        self._change_second = saved["change_second"]
        self._curve = Interpolant(self._change_second, [(place, value) for place, value in saved["curve"]])

    def _start(self, time_second: float, state: PelletState, *, after_environment: bool) -> None:
        """Begin a new sequence of steps at the present."""
        self._time_second = self._begin_second = self._change_second = time_second
        self._state = state
        self.network = self.network.at_age(state.age)
        self._inside: PelletState | None = None
        self._step: _Step | None = None
        self._after_environment = after_environment
        self._step_second = self._schedule.first(after_environment=after_environment)
        current = instant_current(self.network, state, self.control)
        volt = terminal_voltage(self.network, state, current)
        self._curve = Interpolant.starting(time_second, current if self.control.holds_voltage else volt)

    def _ahead(self) -> _Step:
        """The step around the present."""
        if self._step is None:
            end = self._begin_second + self._step_second
            state = advance(self.network, self._state, self.control, self._step_second)
            if self.control.holds_voltage:
                value = state.current_ampere
            else:
                value = terminal_voltage(self.network, state, state.current_ampere)
            self._step = _Step(end, state, self._curve.followed_by(end, value))
        return self._step


def _plain(value: Any) -> Any:
    if isinstance(value, Age):
        return {**value._asdict(), "path": list(value.path)}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _restored(name: str, value: Any) -> Any:
    if name == "age":
        return Age(**{**value, "path": tuple(value["path"])})
    return np.array(value) if isinstance(value, list) else value
