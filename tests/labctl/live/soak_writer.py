"""Writes runs on several channels as time goes by: every stream that a window draws, for soaks of it."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np

from labctl.journal.writer import Journal
from tests.labctl.live.made_runs import MadeRun, impedance_of

TICKS_PER_SECOND = 10
STEP_SECOND = 50
STEPS = ("cc_charge", "rest", "cc_discharge", "rest")
AMPERE = {"cc_charge": 0.84e-3, "cc_discharge": -0.84e-3, "rest": 0.0}
PROTOCOL = [
    {
        "kind": "loop",
        "repeat": 1000,
        "body": [{"kind": "mark"}, {"kind": "gapless"}, {"kind": "impedance"}],
    }
]
FREQUENCY_HERTZ = np.logspace(5, 0, 40)


class Channel:
    """One run in one journal: pulses and rests up and down, an environment, a spectrum after each cycle."""

    def __init__(self, data: Path, number: int, rows_per_second: int) -> None:
        self.journal = Journal(data)
        self.run = MadeRun(
            "soak", PROTOCOL, environment=True, began=time.time() + number / 1000, station=f"station-{number}"
        )
        self._rows = rows_per_second // TICKS_PER_SECOND
        self._phase = number
        self.flush()

    def flush(self) -> None:
        """Hand what was composed to the journal."""
        for name, doc in self.run.documents:
            self.journal(name, doc)
        self.run.documents.clear()

    def tick(self, tick: int) -> None:
        """A tenth of a second of samples, and whatever else is due."""
        self.run.wall = time.time()
        begin = tick / TICKS_PER_SECOND
        step, within = divmod(begin, STEP_SECOND)
        kind = STEPS[int(step) % len(STEPS)]
        time_second = begin + np.arange(self._rows) / self._rows / TICKS_PER_SECOND
        self.run.page(
            "timeseries",
            test_time_second=time_second,
            step_time_second=time_second - step * STEP_SECOND,
            voltage_volt=voltage(kind, time_second - step * STEP_SECOND),
            current_ampere=AMPERE[kind],
            step_count=int(step) + 1,
            cycle_count=int(step) // len(STEPS) + 1,
            step_type=kind,
        )
        if tick % TICKS_PER_SECOND == 0:
            self._environment(begin)
        if tick and within == 0.0:
            self._step(int(step), begin)
        self.flush()

    def _environment(self, now: float) -> None:
        wave = np.sin(now / 300 + self._phase)
        self.run.page(
            "environment",
            test_time_second=np.array([now]),
            temperature_t1_celsius=60 + 0.1 * wave,
            temperature_setpoint_celsius=60.0,
            surface_pressure_pa=50e6 + 2e5 * wave,
            applied_pressure_pa=51e6,
            pressure_setpoint_pa=50e6,
        )

    def _step(self, finished: int, now: float) -> None:
        kind = STEPS[(finished - 1) % len(STEPS)]
        moved = abs(AMPERE[kind]) * STEP_SECOND / 3600
        self.run.page(
            "steps",
            step_count=finished,
            protocol_step=str(finished),
            step_type=kind,
            cycle_count=(finished - 1) // len(STEPS) + 1,
            start_test_time_second=now - STEP_SECOND,
            end_test_time_second=np.array([now]),
            end_reason="time",
            step_charging_capacity_ah=moved if kind == "cc_charge" else 0.0,
            step_discharging_capacity_ah=moved if kind == "cc_discharge" else 0.0,
            end_voltage_volt=3.2,
            end_current_ampere=AMPERE[kind],
        )
        if finished % len(STEPS) == 0:
            cycle = finished // len(STEPS)
            impedance = impedance_of(FREQUENCY_HERTZ, 60.0 + 0.2 * cycle)
            self.run.page(
                "impedance",
                test_time_second=np.full(len(FREQUENCY_HERTZ), now),
                frequency_hertz=FREQUENCY_HERTZ,
                real_impedance_ohm=impedance.real,
                imaginary_impedance_ohm=impedance.imag,
                spectrum_count=cycle,
                step_count=finished,
                cycle_count=cycle,
                amplitude_unit="V",
            )


def voltage(kind: str, within_second: np.ndarray) -> np.ndarray:
    """Cell voltage, V, in a step: what a diffusion-limited electrode does, and 30 uV of noise."""
    noise = 3e-5 * np.sin(within_second * 12_989.8)
    if kind == "rest":
        return 3.2 + 0.02 * np.exp(-within_second / 15) + noise
    return 3.2 + np.sign(AMPERE[kind]) * (0.05 + 0.01 * np.sqrt(within_second)) + noise


def main() -> None:
    """Write to so many channels so many rows a second until the time is over, and end every run."""
    data, channels, rows_per_second, seconds = Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5])
    made = [Channel(data, number, rows_per_second) for number in range(channels)]
    began, pause = time.monotonic(), threading.Event()
    for tick in range(TICKS_PER_SECOND * seconds):
        for channel in made:
            channel.tick(tick)
        pause.wait(max(began + (tick + 1) / TICKS_PER_SECOND - time.monotonic(), 0.0))
    for channel in made:
        channel.run.stop()
        channel.flush()
        channel.journal.close()


if __name__ == "__main__":
    main()
