"""EEPROM of the controller lives for about 100 000 writes: the driver's budget, counted in the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import TransportError
from tests.devices.eurotherm.eurotherm_host import bad_link, driver, little_bench

LONG = 20.0
WHOLE_RUN = 2  # writes for 25 -> 60 -> 25 degC


@pytest.mark.parametrize("ramp", [0.0, 2.0])
def test_up_and_down_again_costs_two_writes(ramp: float) -> None:
    with little_bench() as bench, driver(bench) as oven:
        for celsius in (60.0, 25.0):
            oven.set(celsius, ramp_kelvin_per_minute=ramp, dwell_second=30.0).wait(LONG)
        assert bench.eeprom_writes <= WHOLE_RUN
        assert oven.eeprom_writes.get() == bench.eeprom_writes == 2


def test_a_tracked_ramp_of_a_thousand_steps_costs_none() -> None:
    with little_bench() as bench, driver(bench) as oven:
        for celsius in np.linspace(25.0, 60.0, 1000):
            oven.track(float(celsius)).wait(LONG)
        assert oven.refresh().working_setpoint_celsius == 60.0
        assert bench.eeprom_writes == 0
        assert oven.eeprom_writes.get() == 0


def test_the_same_setpoint_again_costs_none() -> None:
    with little_bench() as bench, driver(bench) as oven:
        for _ in range(5):
            oven.set(40.0, dwell_second=10.0).wait(LONG)
        assert bench.eeprom_writes == 1


def test_connecting_reading_and_disconnecting_cost_none() -> None:
    with little_bench() as bench:
        for _ in range(3):
            with driver(bench, period_second=0.02) as oven:
                oven.refresh()
        assert bench.eeprom_writes == 0


def test_a_write_whose_answer_was_lost_is_not_repeated() -> None:
    with little_bench() as bench, bad_link(bench) as link, driver(bench, link.address) as oven:

        def lose_the_answer(data: bytes) -> list[tuple[float, bytes]]:
            return [] if data[1:4] == b"\x06\x00\x18" else [(0.0, data)]  # to writing register 24

        link.mangle = lose_the_answer
        oven.set(40.0, dwell_second=10.0).wait(LONG)
        assert bench.emulator.loop.setpoints[0] == 40.0
        assert bench.eeprom_writes == 1


def test_a_set_that_never_got_through_costs_none() -> None:
    with little_bench() as bench, driver(bench) as oven:
        bench.inject("silent")
        move = oven.set(40.0)
        with pytest.raises(TransportError, match="does not answer"):
            move.wait(LONG)
        bench.inject("clear")
        assert oven.eeprom_writes.get() == bench.eeprom_writes == 0
