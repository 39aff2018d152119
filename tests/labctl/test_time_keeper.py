"""One time axis for a run: never back, whatever the instrument's clock says and however late a line comes."""

from __future__ import annotations

from devices.core.program import ProgramRecord, RowBuffer
from devices.core.techniques import OpenCircuit, Program, Sampling
from labctl.clock import TimeKeeper
from labctl.schema import IMPEDANCE, TIMESERIES


class HandClock:
    """A station's clock that is set by hand."""

    def __init__(self) -> None:
        self.second = 0.0

    def now(self) -> float:
        return self.second

    def sleep(self, seconds: float) -> None:
        self.second += seconds


def started(keeper: TimeKeeper, rows: RowBuffer) -> ProgramRecord:
    """A program that has just been started, in its first step."""
    rest = OpenCircuit(until_time_second=3600, sampling=Sampling.every(1))
    record = ProgramRecord(
        Program(techniques=(rest,)), keeper=keeper, rows=rows, spectra=RowBuffer(IMPEDANCE)
    )
    record.begin_step(0)
    return record


def sample(record: ProgramRecord, instrument_second: float) -> None:
    record.sample(instrument_second, 3.6, 0.0, 0, 0.0)


def times(rows: RowBuffer) -> list[float]:
    return [second for page in rows.pages() for second in page["data"]["test_time_second"]]


def test_an_instrument_whose_clock_is_fast_does_not_make_test_time_go_back() -> None:
    clock, rows = HandClock(), RowBuffer(TIMESERIES)
    keeper = TimeKeeper(clock)
    record = started(keeper, rows)
    clock.second = 11.0
    sample(record, 12.0)  # a second ahead of the station
    assert keeper.now() == 12.0, "a reading now is not earlier than the newest sample"
    clock.second = 11.5
    assert keeper.now() == 12.0
    sample(started(keeper, rows), 0.0)
    first, second = times(rows)
    assert first == 12.0
    assert second == 12.0 + 1e-3, "a program begins after the last sample of the one before"


def test_a_late_line_of_the_program_before_does_not_make_test_time_go_back() -> None:
    clock, rows = HandClock(), RowBuffer(TIMESERIES)
    keeper = TimeKeeper(clock)
    before = started(keeper, rows)
    clock.second = 11.0
    sample(before, 12.0)
    after = started(keeper, rows)
    clock.second = 12.0
    sample(after, 5.0)
    reached = keeper.now()
    assert reached == 12.0 + 1e-3 + 5.0
    sample(before, 13.0)  # it was on its way for long
    assert keeper.now() == reached
    sample(started(keeper, rows), 0.0)
    assert times(rows)[-1] > reached
