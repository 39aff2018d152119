"""A program is compiled once: what its check has compiled is what is loaded, unless something has changed."""

from __future__ import annotations

from typing import Any

import pytest

from devices.core.cycler import CyclerDevice
from devices.core.program_checks import numbered
from devices.core.techniques import Program
from devices.keithley.compiler import CompiledProgram
from devices.keithley.driver import Keithley2450
from devices.palmsens.compiler import Script
from devices.palmsens.driver import PalmSens
from labctl.errors import ProtocolError
from labctl.records.limits import Limits
from tests.devices.core.cycler_bench import WINDOW, charge, program, run
from tests.devices.keithley.keithley_bench import keithley_bench
from tests.devices.palmsens.emstat_bench import emstat_bench


class CountingPalmSens(PalmSens):
    """Notes each program that it compiles."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self.compiled: list[str] = []

    def _compile(self, program: Program, limits: Limits) -> Script:
        self.compiled += [where for where, _ in numbered(program)]
        return super()._compile(program, limits)


class CountingKeithley(Keithley2450):
    """Notes each program that it compiles."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(address, **options)
        self.compiled: list[str] = []

    def _compile(self, program: Program, limits: Limits) -> CompiledProgram:
        self.compiled += [where for where, _ in numbered(program)]
        return super()._compile(program, limits)


@pytest.mark.parametrize(
    ("bench_of", "driver"), [(emstat_bench, CountingPalmSens), (keithley_bench, CountingKeithley)]
)
def test_a_program_that_was_checked_is_not_compiled_again_to_be_loaded(bench_of: Any, driver: Any) -> None:
    with bench_of() as bench:
        cycler = driver(bench.address, limits=WINDOW, **bench.options())
        bench.drivers.append(cycler)
        cycler.connect()
        cycler.check(program(charge(2)))
        (result,) = run(cycler, charge(2))  # checks it once more, and loads it
        assert result.end_reason == "time"
        assert len(cycler.compiled) == 1
        run(cycler, charge(3))
        assert len(cycler.compiled) == 2
        refuses_what_narrower_limits_forbid(cycler)
        assert len(cycler.compiled) == 3


def refuses_what_narrower_limits_forbid(cycler: CyclerDevice[Any]) -> None:
    """The same program is another one under other limits."""
    cycler.limits = Limits(voltage_min_volt=1.88, voltage_max_volt=3.70, current_max_ampere=5e-5)
    with pytest.raises(ProtocolError, match=r"technique 1 \(constant_current\): current_ampere = 0.0001 A"):
        cycler.prepare(program(charge(3)))


def test_limits_that_change_between_check_and_load_are_those_that_are_loaded() -> None:
    with emstat_bench() as bench:
        cycler = bench.connected()
        cycler.check(program(charge(600)))
        volt = cycler.measure_rest_voltage()
        cycler.limits = cycler.limits.model_copy(update={"voltage_max_volt": round(volt + 1e-3, 4)})
        cycler.prepare(program(charge(600))).wait(10)
        cycler.start_program().wait(10)
        with pytest.raises(Exception, match="voltage_max"):
            cycler.program_status().wait(30)
