"""The course of the simulated pellet through virtual time: steps, interpolation between them, changes.

Steps follow only from the instants at which somebody changed something, so what a pellet does never depends
on how often it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from devices.sim.cell.materials import Array
from devices.sim.cell.pellet.ageing import Age
from devices.sim.cell.pellet.network import PelletNetwork
from devices.sim.cell.pellet.state import Control, PelletState, instant_current, terminal_voltage
from devices.sim.cell.pellet.step import advance

_NODES_KEPT = 3  # step ends beside the newest one: together they carry a cubic


@dataclass(frozen=True)
class StepSchedule:
    """Step lengths (s) after a change: they grow geometrically, fast at first.

    The double layer of the pellet answers within 1 to 20 ms, diffusion with the square root of time: for both
    12 % growth is dense enough. After a step of C/20 the voltage is good to 5 uV from 10 us on, and to 0.3 uV
    from 1 s on. Changes of the environment are small and may come every second, so they start with longer
    steps.
    """

    first_second: float = 2e-6
    fast_growth: float = 1.5
    fast_until_second: float = 5e-4  # length of a step, not time
    first_environment_second: float = 10e-3
    fast_environment_until_second: float = 0.1
    growth: float = 1.12
    longest_second: float = 8.0
    longest_open_second: float = 300.0

    def first(self, *, after_environment: bool) -> float:
        """Length (s) of the first step after a change."""
        return self.first_environment_second if after_environment else self.first_second

    def following(self, step_second: float, *, is_open: bool, after_environment: bool) -> float:
        """Length (s) of the step after one of `step_second`."""
        fast_until = self.fast_environment_until_second if after_environment else self.fast_until_second
        growth = self.fast_growth if step_second < fast_until else self.growth
        longest = self.longest_open_second if is_open else self.longest_second
        return min(step_second * growth, longest)


class Interpolant:
    """A quantity at the ends of the steps since a change, as a cubic in the square root of time since then.

    Diffusion makes that square root the natural variable, and equal ratios of time are equal ratios in it.
    Its nodes are pairs (square root of seconds since the change, value), oldest first.
    """

    def __init__(self, change_second: float, nodes: list[tuple[float, float]]) -> None:
        self.nodes = nodes
        self._change_second = change_second
        self._places = [place for place, _ in nodes[:-1]]
        self._differences = _divided_differences(nodes)

    @classmethod
    def starting(cls, change_second: float, value: float) -> Interpolant:
        """One that knows only the value right after the change."""
        return cls(change_second, [(0.0, value)])

    def followed_by(self, time_second: float, value: float) -> Interpolant:
        """The interpolant of the next step, which ends there.

        The value at the change itself serves the first step alone: grain boundaries respond within a
        microsecond of it, and no curve through it would be smooth.
        """
        node = ((time_second - self._change_second) ** 0.5, value)
        kept = self.nodes[-_NODES_KEPT:]
        if len(kept) > 1 and kept[0][0] == 0.0:
            kept = kept[1:]
        return Interpolant(self._change_second, [*kept, node])

    def at(self, times_second: Array) -> Array:
        """Values between the last two step ends; element by element, so equal however times are grouped."""
        root = np.sqrt(times_second - self._change_second)
        if not self._places:
            return np.full_like(root, self._differences[-1])
        value: Any = self._differences[-1]
        for place, difference in zip(reversed(self._places), reversed(self._differences[:-1]), strict=True):
            value = value * (root - place) + difference
        return value


def _divided_differences(nodes: list[tuple[float, float]]) -> list[float]:
    column = [value for _, value in nodes]
    coefficients = [column[0]]
    for order in range(1, len(nodes)):
        column = [
            (column[k + 1] - column[k]) / (nodes[k + order][0] - nodes[k][0]) for k in range(len(column) - 1)
        ]
        coefficients.append(column[0])
    return coefficients


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
