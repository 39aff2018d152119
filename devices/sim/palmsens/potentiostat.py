"""The analog side of the emulated EmStat4 HR: cell switch, control, ranges, overloads, measurement noise."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.leads import OpenLeads, TwoPole
from devices.sim.noise import Array, Noise
from devices.sim.palmsens import emstat
from devices.sim.palmsens.emstat import MODE_GALVANOSTAT, MODE_OFF
from devices.sim.palmsens.grammar import GALVANOSTATIC_LOOPS
from devices.sim.palmsens.package_text import Number
from devices.sim.palmsens.syntax import ScriptError

VOLTAGE_NOISE_VOLT = 30e-6  # rms
CURRENT_NOISE_RELATIVE, CURRENT_NOISE_AMPERE = 1e-4, 1e-9
OVERLOAD, UNDERLOAD = 2, 4  # status bits
_WRONG_MODE, _OCP_CELL_ON, _NEEDS_CELL_ON, CRITICAL_OVERLOAD = 0x0023, 0x0014, 0x4027, 0x0032


class Potentiostat:
    """State of the instrument's analog side; it outlives scripts, as in the instrument.

    Script commands raise ScriptError (without a line) when the instrument would refuse them.
    """

    def __init__(self, record: BenchRecord, seed: int, now: Callable[[], float]) -> None:
        self._record, self._seed, self._now = record, seed, now
        self.leads: TwoPole = OpenLeads()
        self.noise = self._quick_noise = Noise(seed, 0)
        self.closed = False
        self.reset("power on")

    def reset(self, reason: str) -> None:
        """The state after power on: everything off."""
        self.cell_off(reason)
        self.mode = MODE_OFF
        self.set_point_volt = self.set_point_ampere = 0.0
        self._ranges: dict[str, tuple[float, float]] = {}

    def use_noise_of(self, program: int) -> None:
        """Each program (numbered from 1) has noise of its own; 0: the common one of all quick commands."""
        self.noise = Noise(self._seed, program) if program else self._quick_noise

    # ---- script commands
    def set_mode(self, value: Number) -> None:
        """Another control mode; the switch between them opens the circuit."""
        _raise(emstat.refuse_mode(value))
        if int(value) != self.mode:
            self.cell_off(f"set_pgstat_mode {int(value)}")
            self.set_point_volt = self.set_point_ampere = 0.0
        self.mode = int(value)

    def set_range(self, kind: str, low: Number, high: Number) -> None:
        """Ranges for values of a kind, from `low` to `high`."""
        _raise(emstat.refuse_ranging(kind, (low, high)))
        self._ranges[kind] = (float(low), float(high))

    def set_potential(self, value: Number) -> None:
        """`set_e`: potential (V) applied when the cell is on."""
        self._require_mode(emstat.POTENTIOSTAT_MODES)
        _raise(emstat.refuse_potential(value))
        self.set_point_volt = float(value)
        self._drive("set_e")

    def set_current(self, value: Number) -> None:
        """`set_i`: current (A) applied when the cell is on."""
        self._require_mode((MODE_GALVANOSTAT,))
        _raise(emstat.refuse_current(value))
        self.set_point_ampere = float(value)
        self._drive("set_i")

    def cell_on(self, reason: str) -> None:
        """Close the circuit at the present set point."""
        if self.mode == MODE_OFF:
            raise ScriptError(_WRONG_MODE)
        if not self.closed:
            self.closed = True
            self._control()
            self._note_circuit(self.leads.reading()[1], reason)

    def cell_off(self, reason: str) -> None:
        """Open the circuit."""
        if self.closed:
            current = self.leads.reading()[1]
            self.closed = False
            self.leads.open_circuit()
            self._note_circuit(current, reason)

    def begin_loop(self, name: str, set_point: Number | None, amplitude_ampere: Number | None = None) -> None:
        """What a measurement loop asks of the instrument; its set point is applied at once.

        The peak of an AC current (`amplitude_ampere`, rms) has to be within the range of what is driven.
        """
        if name == "meas_loop_ocp":
            if self.closed:
                raise ScriptError(_OCP_CELL_ON)
            return
        galvanostatic = name in GALVANOSTATIC_LOOPS
        self._require_mode((MODE_GALVANOSTAT,) if galvanostatic else emstat.POTENTIOSTAT_MODES)
        if not self.closed:
            raise ScriptError(_NEEDS_CELL_ON)
        if amplitude_ampere is not None and amplitude_ampere * sqrt(2) > self.range_of("db")[0] * (1 + 1e-9):
            raise ScriptError(emstat.BAD_AMPLITUDE)
        apply = self.set_current if galvanostatic else self.set_potential
        apply(set_point if set_point is not None else 0.0)

    # ---- measuring
    def measure(self, times_second: Array) -> tuple[list[float], list[float], int]:
        """Voltages (V) and currents (A) with noise, and how many ticks come before a critical overload."""
        volt, ampere = self.leads.terminal(times_second)
        critical = self._is_critical(volt, ampere)
        good = int(critical.argmax()) if critical.any() else len(times_second)
        noise = self.noise.peek(len(times_second))
        measured_volt = volt + VOLTAGE_NOISE_VOLT * noise[:, 0]
        if self.closed:
            spread = CURRENT_NOISE_AMPERE + CURRENT_NOISE_RELATIVE * np.abs(ampere)
            ampere = ampere + spread * noise[:, 1]
        return measured_volt.tolist(), ampere.tolist(), good

    @property
    def critical(self) -> bool:
        """Whether the cell is critically overloaded now."""
        volt, ampere = self.leads.reading()
        return bool(self._is_critical(np.array([volt]), np.array([ampere]))[0])

    def _is_critical(self, volt: Array, ampere: Array) -> NDArray[np.bool_]:
        too_much = np.abs(volt) > emstat.POTENTIAL_LIMIT_VOLT
        too_much |= np.abs(ampere) > emstat.CURRENT_LIMIT_AMPERE * (1 + 1e-9)
        return too_much & self.closed

    def range_of(self, kind: str, value: Number = 0.0) -> tuple[float, int]:
        """Full scale (V or A) and index of the range in use: ab, ba for a measured value, db as set."""
        if kind == "db":
            low, high = self._ranges.get("db", (0.0, emstat.CURRENT_LIMIT_AMPERE))
            return emstat.current_range(max(abs(low), abs(high)))
        choose = emstat.potential_range if kind == "ab" else emstat.current_range
        return choose(self._ranged(kind, value))

    def voltage_metadata(self, value: Number) -> str:
        """Status and range index of a measured voltage."""
        status = OVERLOAD if self.closed and self.mode == MODE_GALVANOSTAT and self._too_much() else 0
        return f",1{status:X},2{self.range_of('ab', value)[1]:02X}"

    def current_metadata(self, value: Number) -> str:
        """Status and range index of a measured current."""
        full_scale, index = self.range_of("ba", value)
        status = OVERLOAD if abs(value) > full_scale * (1 + 1e-3) else 0
        return f",1{status:X},2{index:02X}"

    @property
    def applied_ampere(self) -> float:
        """What the galvanostat drives: its set point, at most the full scale of its range."""
        full_scale = self.range_of("db")[0]
        return min(max(self.set_point_ampere, -full_scale), full_scale)

    def _too_much(self) -> bool:
        return abs(self.set_point_ampere) > self.range_of("db")[0] * (1 + 1e-9)

    def _ranged(self, kind: str, value: Number) -> float:
        """The magnitude whose range is in use: that of the value, kept between those allowed."""
        low, high = self._ranges.get(kind, (0.0, np.inf))
        smallest, largest = sorted((abs(low), abs(high)))
        if low < 0 < high:
            smallest = 0.0
        return min(max(abs(value), smallest), largest) if isfinite(value) else largest

    def _require_mode(self, modes: tuple[int, ...]) -> None:
        if self.mode not in modes:
            raise ScriptError(_WRONG_MODE)

    def _drive(self, reason: str) -> None:
        if self.closed:
            self._control()
            self._record.add(
                "setpoint",
                virtual_second=self._now(),
                current_ampere=self.leads.reading()[1],
                charge_ah=self.leads.charge_ah,
                reason=reason,
            )

    def _control(self) -> None:
        if self.mode == MODE_GALVANOSTAT:
            self.leads.set_current(self.applied_ampere)
        else:
            self.leads.set_voltage(self.set_point_volt)

    def _note_circuit(self, current_ampere: float, reason: str) -> None:
        self._record.add(
            "circuit",
            virtual_second=self._now(),
            closed=self.closed,
            current_ampere=current_ampere,
            charge_ah=self.leads.charge_ah,
            reason=reason,
        )


def _raise(code: int | None) -> None:
    if code is not None:
        raise ScriptError(code)
