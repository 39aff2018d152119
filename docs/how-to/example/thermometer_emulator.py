"""The emulated thermometer: it measures the die of the bench's surroundings."""

from __future__ import annotations

from devices.sim.clock import VirtualClock
from devices.sim.bench_log import BenchRecord
from devices.sim.wire.serial_emulator import SerialEmulator
from devices.sim.cell.surroundings import ZERO_CELSIUS_KELVIN
from devices.sim.cell.surroundings import Surroundings


class ThermometerEmulator(SerialEmulator):
    """One thermometer with its wire; the fault `sensor_lost` breaks its sensor."""

    KIND = "thermometer"

    def __init__(
        self, clock: VirtualClock, record: BenchRecord, *, seed: int, surroundings: Surroundings
    ) -> None:
        super().__init__(clock, record, seed=seed, end=b"\r\n")
        self._surroundings = surroundings
        self._broken = False
        self._faults |= {"sensor_lost": self._break}

    def _break(self) -> None:
        self._broken = True

    def _repair(self) -> None:
        self._broken = False

    def _answer(self, question: str) -> list[str]:
        if question == "ID?":
            return ["Acme T100 S4711 1.2"]
        if question != "T?":
            return ["?"]
        if self._broken:
            return ["OPEN"]
        self._surroundings.advance_to(self._clock.now)
        return [f"{self._surroundings.temperature_kelvin - ZERO_CELSIUS_KELVIN:.2f} C"]
