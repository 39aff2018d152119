"""The emulated Alicat PCD: a dual-valve pressure controller on the gas line of the press.

It answers only to its unit id, knows the commands that its firmware knows, and refuses others with `?`. What
the published texts leave open is answered so: a setpoint beyond the full scale is refused with `?`; with the
analog input as its source a setpoint is ignored and the old one reported; "hold at current position" in
mid-ramp leaves a valve open, and the pressure runs on.
"""

from __future__ import annotations

import re
from math import inf
from typing import Annotated

from devices.sim.alicat.gas_line import GasLine
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings
from devices.sim.clock import VirtualClock
from devices.sim.wire.faults import OneOf, Within
from devices.sim.wire.serial_emulator import SerialEmulator

PSI_PASCAL = 6894.757293168
FULL_SCALE_PA = 600 * PSI_PASCAL  # 41.4 bar: 527 MPa on 10 mm behind a piston of 100 cm2
_SUPPLY_PA = 660 * PSI_PASCAL
_AMBIENT_PA = 101_325.0
# Codes: label, size in Pa, width and decimals of the columns.
_UNITS = {
    4: ("kPa", 1e3, 7, 1),
    5: ("MPa", 1e6, 7, 4),
    6: ("mbar", 1e2, 8, 1),
    7: ("bar", 1e5, 7, 3),
    10: ("PSI", PSI_PASCAL, 7, 2),
}
_MEASURED = {34: (2, "Abs Press", "A"), 38: (6, "Gauge Press", "G")}  # by the code of the setpoint
_STATUS_WORDS = ("OPL", "POV", "HLD", "EXH", "LCK")
_TIME_UNITS = {
    "3": (1e-3, "ms"),
    "4": (1.0, "s"),
    "5": (60.0, "min"),
    "6": (3600.0, "h"),
    "7": (86400.0, "d"),
}
_SETPOINT_FIRMWARE, _SETTINGS_FIRMWARE, _RAMP_FIRMWARE = (9, 0), (10, 5), (7, 11)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_REFUSED = ["?"]


class AlicatPcd(SerialEmulator):
    """One controller with its wire.

    Args:
        clock: the bench's.
        record: where orders and faults are noted.
        seed: decides its serial number and what garbage is.
        surroundings: the gas line it controls.
        unit_id: the letter it answers to.
        firmware: as it is printed.
        unit: code of its unit of pressure.
        variable: what it regulates: 34 absolute, 38 gauge pressure.
        source: of the setpoint: S, U (serial, saved or not), A (analog input).
    """

    KIND = "alicat"

    def __init__(
        self,
        clock: VirtualClock,
        record: BenchRecord,
        *,
        seed: int,
        surroundings: Surroundings,
        unit_id: str = "A",
        firmware: str = "10v20.0-R24",
        unit: int = 10,
        variable: int = 38,
        source: str = "U",
    ) -> None:
        super().__init__(clock, record, seed=seed, end=b"\r")
        self.line = GasLine(clock, surroundings, full_scale_pa=FULL_SCALE_PA, supply_pa=_SUPPLY_PA)
        self._unit_id, self._firmware, self._unit, self._variable = unit_id, firmware, unit, variable
        generation, revision = re.findall(r"\d+", firmware)[:2]
        self._version = (int(generation), int(revision))
        self._source, self._saved_pa = source, self.line.target_pa
        self._serial = f"S{seed % 1_000_000:06d}"  # no real unit has S in this place
        self._words: set[str] = set()
        self._stuck: str | None = None
        self._offset_pa, self._dashes = 0.0, False
        self._faults |= {
            "source": self._set_source,
            "units": self._set_units,
            "hold": lambda: self.line.set_hold("closed"),
            "leak": self.line.leak,
            "stuck": self._stick,
            "jump": self._jump,
            "nan": self._show_dashes,
            "overrange": lambda: self._words.add("POV"),
            "over_pressure": lambda: self._words.add("OPL"),
            "reboot": self._reboot,
        }

    async def close(self) -> None:
        """Power off: the valves close."""
        self.line.set_hold("closed")
        self.line.close()
        await super().close()

    # ---- faults
    def _repair(self) -> None:
        self._words.clear()
        self._stuck, self._offset_pa, self._dashes = None, 0.0, False

    def _set_source(self, source: Annotated[str, OneOf("S", "U", "A")]) -> None:
        self._source = source

    def _set_units(self, code: Annotated[int, OneOf(*_UNITS)]) -> None:
        self._unit = code

    def _stick(self) -> None:
        self._stuck = self._shown(self.line.pressure_pa)

    def _jump(self, offset_pa: Annotated[float, Within(-1e9, 1e9)]) -> None:
        self._offset_pa = offset_pa

    def _show_dashes(self) -> None:
        self._dashes = True

    def _reboot(self) -> None:
        """Power fails for a moment: it comes back at the saved setpoint."""
        self._drop_link()
        self.line.jump_to(self._saved_pa)

    # ---- questions
    def _answer(self, question: str) -> list[str]:
        if not question or question[0].upper() != self._unit_id:
            return []
        name, *arguments = question[1:].upper().split() or [""]
        needed, answer = {
            "": ((0, 0), self._frame),
            "VE": ((0, 0), lambda: [f"{self._unit_id}   {self._firmware} Jan  9 2025,15:04:07"]),
            "??M*": ((0, 0), self._manufacturing),
            "??D*": ((0, 0), self._layout),
            "S": ((0, 0), lambda value="": self._setpoint(value) and self._frame()),
            "LS": (_SETPOINT_FIRMWARE, lambda value=None: self._setpoint(value) and self._setpoints()),
            "LV": (_SETPOINT_FIRMWARE, lambda: [f"{self._unit_id} {self._variable}"]),
            "LSS": (_SETTINGS_FIRMWARE, lambda: [f"{self._unit_id} {self._source}"]),
            "DCU": (_SETTINGS_FIRMWARE, lambda code: [f"{self._unit_id} {self._unit} {self._label}"]),
            "FPF": ((0, 0), self._full_scale),
            "SR": (_RAMP_FIRMWARE, self._ramp),
            "HP": ((0, 0), lambda: self._hold("position")),
            "HC": ((0, 0), lambda: self._hold("closed")),
            "C": ((0, 0), lambda: self._hold(None)),
        }.get(name, ((inf,), None))
        if answer is None or self._version < needed:
            return _REFUSED
        try:
            return answer(*arguments) or _REFUSED
        except TypeError:  # so many arguments it does not take
            return _REFUSED

    # ---- answers
    @property
    def _label(self) -> str:
        return _UNITS[self._unit][0]

    def _shown(self, gauge_pa: float) -> str:
        _, pascal, width, decimals = _UNITS[self._unit]
        absolute_pa = _AMBIENT_PA if self._variable == 34 else 0.0
        return f"{(gauge_pa + absolute_pa) / pascal:+0{width}.{decimals}f}"

    def _frame(self) -> list[str]:
        pressure = self._stuck or self._shown(self.line.pressure_pa + self._offset_pa)
        if self._dashes:
            pressure = "-" * len(pressure)
        words = self._words | ({"HLD"} if self.line.hold is not None else set())
        return [" ".join((self._unit_id, pressure, self._shown(self.line.setpoint_pa), *sorted(words)))]

    def _setpoints(self) -> list[str]:
        now, asked = self._shown(self.line.setpoint_pa), self._shown(self.line.target_pa)
        return [f"{self._unit_id} {now} {asked} {self._unit} {self._label}"]

    def _full_scale(self, code: str) -> list[str]:
        if code not in (str(self._variable), str(_MEASURED[self._variable][0])):
            return []
        return [f"{self._unit_id} {self._shown(FULL_SCALE_PA)} {self._unit} {self._label}"]

    def _setpoint(self, value: str | None) -> bool:
        """Whether it is a setpoint it can take (or a question, None); with the analog input it is ignored."""
        if value is None:
            return True
        if not _NUMBER.fullmatch(value):
            return False
        absolute_pa = _AMBIENT_PA if self._variable == 34 else 0.0
        gauge_pa = float(value) * _UNITS[self._unit][1] - absolute_pa
        if not -absolute_pa - 1 <= gauge_pa <= FULL_SCALE_PA + 1:
            return False
        if self._source != "A":
            self.line.set_target(max(gauge_pa, 0.0))
            self._saved_pa = gauge_pa if self._source == "S" else self._saved_pa
            self._note("setpoint", line_pa=gauge_pa)
        return True

    def _ramp(self, rate: str | None = None, code: str = "4") -> list[str]:
        pascal = _UNITS[self._unit][1]
        if rate is not None:
            if not _NUMBER.fullmatch(rate) or code not in _TIME_UNITS:
                return []
            self.line.set_ramp(float(rate) * pascal / _TIME_UNITS[code][0])
            self._note("ramp", pa_per_second=self.line.ramp_pa_per_second)
        second, name = _TIME_UNITS[code]
        shown = self.line.ramp_pa_per_second / pascal * second
        return [f"{self._unit_id} {shown:.4f} {self._unit} {code} {self._label}/{name}"]

    def _hold(self, hold: str | None) -> list[str]:
        self.line.set_hold("closed" if hold == "closed" else "position" if hold else None)
        self._note("hold", hold=hold)
        return self._frame()

    def _manufacturing(self) -> list[str]:
        rows = (
            "ALICAT SCIENTIFIC",
            "www.alicat.com",
            "Ph   520-290-6060",
            "info@alicat.com",
            "Model Number PCD-600PSIG-D",
            f"Serial Number {self._serial}",
            "Date Manufactured 03/02/2025",
            "Date Calibrated   03/02/2025",
            "Calibrated By     SIM",
            f"Software Revision {self._firmware}",
        )
        return [f"{self._unit_id}  M{number:02d} {row}" for number, row in enumerate(rows)]

    def _layout(self) -> list[str]:
        code, name, suffix = _MEASURED[self._variable]
        label, _, width, decimals = _UNITS[self._unit]
        unit = f"{self._unit:03d} 02 {label}{suffix}"
        numbers = [(code, name), (self._variable, f"{name} Setpt")]
        rows = ["ID_ NAME______________________ TYPE_______ WIDTH NOTES___________________"]
        rows.append(f"700 {'Unit ID':<26} {'string':<12} {1:>3}")
        rows += [f"{c:03d} {n:<26} {'s decimal':<12} {width}/{decimals} {unit}" for c, n in numbers]
        rows.append(f"701 {'*Error':<26} {'string':<12} {3:>3} ADC")
        rows += [f"702 {'*Status':<26} {'string':<12} {3:>3} {word}" for word in _STATUS_WORDS]
        return [f"{self._unit_id} D{number:02d} {row}" for number, row in enumerate(rows)]
