"""The example of docs/how-to/add-a-device.md: the driver against its emulator over a real socket."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from thermometer import Thermometer
from thermometer_emulator import ThermometerEmulator

from devices.sim.clock import VirtualClock
from devices.sim.bench_log import BenchRecord
from devices.sim.cell.surroundings import Surroundings
from devices.sim.cell.surroundings import SurroundingsParameters
from labctl.errors import DeviceError
from tests.helpers import wait_until


class Bench:
    """The emulator in a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self.run(self._open())

    async def _open(self) -> int:
        clock = VirtualClock()
        around = Surroundings(SurroundingsParameters(), temperature_kelvin=333.15, stack_pressure_pa=50e6)
        self.emulator = ThermometerEmulator(
            clock, BenchRecord(lambda: clock.now), seed=1, surroundings=around
        )
        return await self.emulator.open()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def inject(self, fault: str, **arguments: Any) -> None:
        self._loop.call_soon_threadsafe(lambda: self.emulator.inject(fault, **arguments))

    def close(self) -> None:
        self.run(self.emulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench()
    yield opened
    opened.close()


@pytest.fixture
def thermometer(bench: Bench) -> Iterator[Thermometer]:
    alarms: list[dict[str, Any]] = []
    driver = Thermometer(
        f"socket://127.0.0.1:{bench.port}",
        name="thermometer",
        period_second=0.05,
        on_alarm=lambda **alarm: alarms.append(alarm),
    )
    driver.alarm_list = alarms
    driver.connect()
    yield driver
    driver.disconnect()


def test_it_says_who_it_is_and_how_warm_it_is(thermometer: Thermometer) -> None:
    assert thermometer.identity is not None
    assert (thermometer.identity.maker, thermometer.identity.model) == ("Acme", "T100")
    assert thermometer.read()["thermometer_temperature_celsius"]["value"] == 60.0
    assert thermometer.check_reading() == "60.00 °C"


def test_a_broken_sensor_is_nan_and_an_alarm_and_heals(thermometer: Thermometer, bench: Bench) -> None:
    bench.inject("sensor_lost")
    wait_until(lambda: math.isnan(thermometer.temperature_celsius.get()), 5)
    wait_until(lambda: any("not plugged in" in alarm["action"] for alarm in thermometer.alarm_list), 5)
    with pytest.raises(DeviceError, match="not plugged in"):
        thermometer.check_reading()
    bench.inject("clear")
    wait_until(lambda: thermometer.temperature_celsius.get() == 60.0, 5)


@pytest.mark.parametrize("fault", ["garbage", "truncated", "split", "drop_link"])
def test_a_bad_line_never_gives_a_wrong_temperature(
    thermometer: Thermometer, bench: Bench, fault: str
) -> None:
    seen: set[float] = set()
    thermometer.temperature_celsius.subscribe(lambda value, **_: seen.add(value))
    bench.inject(fault)
    wait_until(lambda: thermometer.latest() == 60.0, 10)
    assert {value for value in seen if not math.isnan(value)} <= {60.0}
