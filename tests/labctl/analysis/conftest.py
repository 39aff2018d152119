"""A GITT whose answer is known: the analytic sphere, as documents of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

ROOTS = np.array(
    [brentq(lambda x: np.sin(x) - x * np.cos(x), n * np.pi, (n + 0.5) * np.pi) for n in range(1, 301)]
)
PULSE_TIMES = np.concatenate((np.arange(1, 50) * 0.2, np.arange(10, 601, 5.0)))
NUMBERS = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "source": "test"}
COUNTS = {"dtype": "integer", "dtype_numpy": "<i8", "shape": [], "source": "test"}
LABELS = {"dtype": "string", "dtype_numpy": "<U64", "shape": [], "source": "test"}
TIMESERIES = {
    **dict.fromkeys(("test_time_second", "step_time_second", "voltage_volt", "current_ampere"), NUMBERS),
    **dict.fromkeys(("step_count", "cycle_count", "status"), COUNTS),
    "step_type": LABELS,
}
STEPS = {
    **dict.fromkeys(("step_count", "cycle_count"), COUNTS),
    **dict.fromkeys(("step_type", "end_reason", "protocol_step"), LABELS),
    **dict.fromkeys(("start_test_time_second", "end_test_time_second", "end_voltage_volt"), NUMBERS),
    **dict.fromkeys(("step_charging_capacity_ah", "step_discharging_capacity_ah"), NUMBERS),
    "end_current_ampere": NUMBERS,
}


def series(T: np.ndarray) -> np.ndarray:
    """f(T) by the plain sum over 300 roots."""
    decayed = T[T < 1]  # beyond that every mode has gone
    total = 3 * T + 0.2
    total[T < 1] -= np.exp(-np.multiply.outer(decayed, ROOTS**2)) @ (2 / ROOTS**2)
    return total


def surface(time: np.ndarray, starts: np.ndarray, diffusion_time: float, tau: float) -> np.ndarray:
    """Advance of the surface in units of one pulse, for pulses of `tau` that begin at `starts`."""

    def one(since: np.ndarray) -> np.ndarray:
        return np.where(
            since > 0, diffusion_time / (3 * tau) * series(np.maximum(since, 0) / diffusion_time), 0
        )

    return sum((one(time - s) - one(time - s - tau) for s in starts), np.zeros_like(time))


@dataclass
class Titration:
    """What to simulate. `ocv(n)` is the equilibrium voltage after n pulses, `ohm(n)` the polarisation."""

    diffusion_time: float = 6250.0
    pulses: int = 4
    current: float = 84e-6
    tau: float = 600.0
    rest: float = 14400.0
    step: float = 5e-3
    noise: float = 0.0
    drift_volt_per_hour: float = 0.0
    ocv: Callable[[np.ndarray], np.ndarray] | None = None
    ohm: Callable[[np.ndarray], np.ndarray] = lambda n: np.full_like(n, 120.0)
    start: dict[str, Any] | None = None
    seed: int = 1

    def documents(self) -> list[tuple[str, dict[str, Any]]]:
        sign = np.sign(self.current)
        ocv = self.ocv or (lambda n: 3.1 + sign * self.step * n)
        starts = self.rest + np.arange(self.pulses) * (self.tau + self.rest)
        slow = max(60.0, self.rest / 120)
        rest_times = np.concatenate((PULSE_TIMES, np.arange(600 + slow, self.rest + 1, slow)))
        rest_times = rest_times[rest_times <= self.rest]
        pulse_times = PULSE_TIMES[PULSE_TIMES <= self.tau]
        rng = np.random.default_rng(self.seed)
        documents = [("start", {"uid": "run-1", "time": 0.0, "plan_name": "gitt", **(self.start or {})})]
        documents += [("descriptor", {"uid": "ts", "name": "timeseries", "data_keys": TIMESERIES})]
        documents += [("descriptor", {"uid": "st", "name": "steps", "data_keys": STEPS})]
        begin = 0.0
        for count in range(1, 2 * self.pulses + 2):
            resting = count % 2 == 1
            times, length = (rest_times, self.rest) if resting else (pulse_times, self.tau)
            current = 0.0 if resting else self.current
            advance = surface(begin + times, starts, self.diffusion_time, self.tau)
            volt = ocv(advance) + current * self.ohm(advance) + self.noise * rng.standard_normal(len(times))
            volt += self.drift_volt_per_hour * (begin + times) / 3600
            kind = "rest" if resting else "cc_charge" if sign > 0 else "cc_discharge"
            documents.append(("event_page", timeseries_page(count, kind, begin, times, volt, current)))
            documents.append(("event", steps_row(count, kind, begin, length, current)))
            begin += length
        return [*documents, ("stop", {"run_start": "run-1", "exit_status": "success"})]


def timeseries_page(count, kind, begin, times, volt, current):
    n = len(times)
    data = {
        "test_time_second": (begin + times).tolist(),
        "step_time_second": times.tolist(),
        "voltage_volt": volt.tolist(),
        "current_ampere": [current] * n,
        "step_count": [count] * n,
        "cycle_count": [0] * n,
        "status": [0] * n,
        "step_type": [kind] * n,
    }
    return {"descriptor": "ts", "data": data}


def steps_row(count, kind, begin, length, current):
    charge = current * length / 3600
    data = {
        "step_count": count,
        "cycle_count": 0,
        "step_type": kind,
        "end_reason": "time",
        "protocol_step": f"{count}",
        "start_test_time_second": begin,
        "end_test_time_second": begin + length,
        "end_voltage_volt": 3.0,
        "end_current_ampere": current,
        "step_charging_capacity_ah": max(charge, 0.0),
        "step_discharging_capacity_ah": max(-charge, 0.0),
    }
    return {"descriptor": "st", "data": data}


@pytest.fixture
def titration():
    """Titration(...), whose documents() are those of a run."""
    return Titration


@pytest.fixture
def plain_series():
    """f(T) by the plain sum over 300 roots."""
    return series


@pytest.fixture
def row_of_steps():
    """A `steps` event."""
    return steps_row
