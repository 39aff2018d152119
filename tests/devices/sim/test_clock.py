"""Virtual time: who lets it pass, and how fast."""

from __future__ import annotations

import asyncio
import time

import pytest

from devices.sim.clock import VirtualClock


def test_time_stands_still_while_somebody_is_busy_and_moves_to_the_earliest_sleeper() -> None:
    async def scenario() -> list[float]:
        clock, seen = VirtualClock(), []

        async def sleeper(until: float) -> None:
            await clock.sleep_until(until)
            seen.append(clock.now)

        tasks = [asyncio.create_task(sleeper(t)) for t in (30.0, 10.0, 20.0)]
        with clock.hold() as hold:
            await asyncio.sleep(0.02)
            assert clock.now == 0.0
            assert seen == []
            await hold.sleep_until(15.0)
            assert clock.now == 15.0
            await asyncio.sleep(0.02)
            assert seen == [10.0]
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(scenario()) == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("speed", [None, 1000.0])
def test_sleepers_who_are_due_together_all_wake(speed: float | None) -> None:
    async def scenario() -> list[float]:
        clock, seen = VirtualClock(speed), []

        async def sleeper(until: float) -> None:
            await clock.sleep_until(until)
            seen.append(clock.now)

        await asyncio.wait_for(asyncio.gather(*(sleeper(5.0) for _ in range(3))), 5)
        return seen

    assert asyncio.run(scenario()) == pytest.approx([5.0] * 3)


def test_who_does_not_drive_time_waits_for_somebody_who_does() -> None:
    async def scenario() -> list[float]:
        clock, seen = VirtualClock(), []

        async def passive() -> None:
            await clock.sleep_until(5.0, drives=False)
            seen.append(clock.now)

        waiting = asyncio.create_task(passive())
        await asyncio.sleep(0.02)
        assert seen == []
        await clock.sleep_until(8.0)
        await waiting
        return seen

    assert asyncio.run(scenario()) == [5.0]


def test_without_a_sleeper_time_stands_still() -> None:
    async def scenario() -> float:
        clock = VirtualClock(1000.0)
        await asyncio.sleep(0.03)
        return clock.now

    assert asyncio.run(scenario()) == 0.0


def test_paced_time_takes_wall_time_and_flows_between_events() -> None:
    async def scenario() -> tuple[float, float]:
        clock = VirtualClock(100.0)
        began = time.monotonic()
        task = asyncio.create_task(clock.sleep_until(20.0))
        await asyncio.sleep(0.1)
        midway = clock.now
        await task
        return midway, time.monotonic() - began

    midway, wall = asyncio.run(scenario())
    assert 5.0 < midway < 19.0
    assert 0.19 < wall < 0.4


def test_a_late_holder_slows_time_and_is_not_caught_up() -> None:
    async def scenario() -> float:
        clock = VirtualClock(100.0)
        with clock.hold() as hold:
            await hold.sleep_until(5.0)
            await asyncio.sleep(0.2)  # busy for 20 s worth of virtual time
            assert clock.now == 5.0
            began = time.monotonic()
            await hold.sleep_until(15.0)
            return time.monotonic() - began

    assert asyncio.run(scenario()) > 0.075


def test_many_short_sleeps_keep_the_pace_on_average() -> None:
    async def scenario() -> float:
        clock = VirtualClock(10.0)
        began = time.monotonic()
        with clock.hold() as hold:
            for n in range(1, 1001):
                await hold.sleep_until(n * 2e-3)  # 0.2 ms of wall time each
        return time.monotonic() - began

    assert 0.17 < asyncio.run(scenario()) < 0.4


def test_an_interrupt_ends_a_sleep_at_the_time_reached() -> None:
    async def scenario() -> tuple[bool, float]:
        clock = VirtualClock(10.0)
        with clock.hold() as hold:
            asyncio.get_running_loop().call_later(0.1, hold.interrupt)
            reached = await hold.sleep_until(1000.0)
            now = clock.now
            await asyncio.sleep(0.02)
            assert clock.now == now  # its owner is busy again
        return reached, now

    reached, now = asyncio.run(scenario())
    assert not reached
    assert 0.8 < now < 3.0


def test_a_cancelled_sleeper_holds_nothing_back() -> None:
    async def scenario() -> float:
        clock = VirtualClock()

        async def program() -> None:
            with clock.hold() as hold:
                await hold.sleep_until(1e9)

        with clock.hold() as hold:
            task = asyncio.create_task(program())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await hold.sleep_until(7.0)
        assert clock.next_event() == float("inf")
        await clock.sleep_until(9.0)
        return clock.now

    assert asyncio.run(scenario()) == 9.0


@pytest.mark.parametrize("speed", [None, 50.0])
def test_changing_the_speed_keeps_the_time_reached(speed: float | None) -> None:
    async def scenario() -> tuple[float, float, float]:
        clock = VirtualClock(20.0)
        task = asyncio.create_task(clock.sleep_until(4.0))
        await asyncio.sleep(0.05)
        before = clock.now
        clock.set_speed(speed)
        after = clock.now
        await task
        return before, after, clock.now

    before, after, end = asyncio.run(scenario())
    assert 0.0 < before <= after < 4.0
    assert end == 4.0
