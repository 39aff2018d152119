"""The emulated Mark-10 indicator with a load cell under the die.

Gauge Control Language 2, as in the user's guides: answers end with CR LF, errors are `*10` and the like. What
the published texts leave open is answered so: an overload reads `OVER`, a missing sensor `-----`, a change of
the unit has no answer.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.wire.faults import OneOf, Within
from devices.sim.wire.serial_emulator import SerialEmulator

CAPACITY_NEWTON = 50_000.0
NOISE_NEWTON = 2.0  # standard deviation of a reading
STEP_NEWTON = 5.0  # it resolves one part in 10 000
_OVERLOAD_SHARE = 1.1
# As the gauge writes it, as LIST does, newton, decimals.
_UNITS = {
    "N": ("N", "N", 1.0, 0),
    "KN": ("kN", "KN", 1e3, 3),
    "LB": ("lbF", "LBF", 4.4482216152605, 0),
    "KG": ("kgF", "KGF", 9.80665, 1),
}


class Mark10Gauge(SerialEmulator):
    """One indicator with its wire.

    Args:
        clock: the bench's.
        record: where faults are noted.
        seed: of its noise, and its serial number.
        surroundings: the press whose force it measures.
        unit: N, KN, LB or KG.
        numeric_only: whether the unit is left out of readings.
        modern: False for a gauge that knows only `?`.
    """

    KIND = "mark10"

    def __init__(
        self,
        clock: VirtualClock,
        record: BenchRecord,
        *,
        seed: int,
        surroundings: Surroundings,
        unit: str = "N",
        numeric_only: bool = False,
        modern: bool = True,
    ) -> None:
        super().__init__(clock, record, seed=seed, end=b"\r\n")
        self._surroundings = surroundings
        self._random = np.random.default_rng([seed, 0x10])
        self._unit, self._numeric_only, self._modern = unit, numeric_only, modern
        self._serial = f"S{seed % 1_000_000:06d}"  # no real gauge has S in this place
        self._peak_newton, self._zero_newton = 0.0, 0.0
        self._words = ""  # in place of a reading
        self._stuck_newton: float | None = None
        self._offset_newton = 0.0
        self._shows_peak = False
        self._faults |= {
            "overload": lambda: self._say("OVER"),
            "nan": lambda: self._say("NAN"),
            "sensor_lost": lambda: self._say("-----"),
            "stuck": self._stick,
            "jump": self._jump,
            "peak": self._show_peak,
            "unit": self._set_unit,
        }

    # ---- faults
    def _repair(self) -> None:
        self._words, self._stuck_newton, self._offset_newton, self._shows_peak = "", None, 0.0, False

    def _say(self, words: str) -> None:
        self._words = words

    def _stick(self) -> None:
        self._stuck_newton = self._force()

    def _jump(self, offset_newton: Annotated[float, Within(-1e6, 1e6)]) -> None:
        self._offset_newton = offset_newton

    def _show_peak(self) -> None:
        """Somebody switched the display to the peak of compression."""
        self._shows_peak = True

    def _set_unit(self, unit: Annotated[str, OneOf(*_UNITS)]) -> None:
        """Somebody switched the unit at the keys."""
        self._unit = unit

    # ---- questions
    def _answer(self, question: str) -> list[str]:
        name = question.upper()
        if name == "?":
            return [self._reading(peak=self._shows_peak)]
        if not self._modern:
            return ["*10"]
        fixed = {"RN": "Series 5", "RM": "M5i", "RV": "1.04", "RS": self._serial, "LIST": self._list()}
        if name in fixed:
            return [fixed[name]]
        if name in ("?C", "?PC", "?PT", "?A"):
            return ["*11"] if name in ("?PT", "?A") else [self._reading(peak=name == "?PC")]
        return self._change(name)

    def _change(self, name: str) -> list[str]:
        if name in _UNITS:
            self._unit = name
        elif name == "Z":
            self._zero_newton = self._force()
        elif name == "CLR":
            self._peak_newton = 0.0
        else:
            return ["*10"]
        return []

    def _list(self) -> str:
        full = "NUM" if self._numeric_only else "FULL"
        return f"V1.04;{_UNITS[self._unit][1]};CUR;FLTC8;FLTP1;AOUT00;AOFF0;{full};POL;B0"

    def _force(self) -> float:
        self._surroundings.advance_to(self._clock.now)
        newton = self._surroundings.force_newton + float(self._random.normal(0.0, NOISE_NEWTON))
        return round(newton / STEP_NEWTON) * STEP_NEWTON

    def _reading(self, *, peak: bool) -> str:
        force = self._force() if self._stuck_newton is None else self._stuck_newton
        force += self._offset_newton - self._zero_newton
        self._peak_newton = max(self._peak_newton, force)
        if self._words:
            return self._words
        if abs(force) > _OVERLOAD_SHARE * CAPACITY_NEWTON:
            return "OVER"
        written, _, newton, decimals = _UNITS[self._unit]
        number = f"{(self._peak_newton if peak else force) / newton:.{decimals}f}"
        return number if self._numeric_only else f"{number} {written}"
