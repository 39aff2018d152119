"""Impedance scripts for the emulated EmStat4, and what the driver's own parser makes of their output."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from devices.palmsens.methodscript import PackageValue, parse_package
from devices.sim.cell.leads import TwoPole
from tests.devices.sim.palmsens.sim_host import FINISH, emulated

LOOP_VARIABLES = tuple(f"var {name}" for name in "frjotabcd")
POINT = ("pck_start", "pck_add f", "pck_add r", "pck_add j", "pck_end")
FULL_POINT = ("pck_start", *(f"pck_add {name}" for name in "frjabcdt"), "pck_end")
AUTORANGED = ("set_range ba 10m", "set_autoranging ba 100n 100m", "set_range ab 4", "set_autoranging ab 4 4")
DRIVEN = ("set_pgstat_mode 6", "set_range db 1m", "set_i 0", "cell_on")
OPTIONS = "time(t) eis_acdc(a b c d)"


def potentiostatic(
    sweep: str,
    package: Sequence[str] = POINT,
    *,
    ranges: Sequence[str] = AUTORANGED,
    amplitude: str = "10m",
    options: str = "",
) -> tuple[str, ...]:
    """PEIS about the open-circuit voltage that was measured before; `sweep` = first, last, number."""
    at_rest = (*LOOP_VARIABLES, "set_pgstat_mode 3", "meas 100m o ab", "set_max_bandwidth 1M")
    loop = f"meas_loop_eis f r j {amplitude} {sweep} o {options}"
    return (*at_rest, *ranges, "set_e o", "cell_on", "timer_start", loop, *package, "endloop", *FINISH)


def galvanostatic(
    sweep: str, amplitude: str, current: str, package: Sequence[str] = POINT, *, options: str = ""
) -> tuple[str, ...]:
    """GEIS in the 1 mA range."""
    loop = f"meas_loop_geis f r j {amplitude} {sweep} {current} {options}"
    return (*LOOP_VARIABLES, *DRIVEN, "timer_start", loop, *package, "endloop", *FINISH)


def output(
    script: tuple[str, ...], leads: TwoPole | None = None, *, seed: int = 1, speed: float | None = None
) -> list[str]:
    """Lines of a script; without leads it runs on a rested coated pellet."""

    async def scenario() -> list[str]:
        async with emulated(speed, seed=seed) as bench:
            if leads is not None:
                bench.instrument.connect_leads(leads, "test")
            return await bench.host.run(script)

    return asyncio.run(scenario())


def points(lines: list[str]) -> list[dict[str, PackageValue]]:
    """What the driver's parser makes of the packages."""
    return [{v.kind: v for v in parse_package(line)} for line in lines if line.startswith("P")]


def column(lines: list[str], kind: str) -> np.ndarray:
    return np.array([point[kind].value for point in points(lines)])


def impedance(lines: list[str]) -> np.ndarray:
    return column(lines, "cc") + 1j * column(lines, "cd")
