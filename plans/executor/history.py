"""What the runs of one protocol have done so far, from their tables.

The charge of a step that was cut off is known up to its last journalled sample. The instrument then went on
by itself. If it was still running when it was found again, its constant current has flowed until then. If
not, it has ended the step: at its time or charge where there was time enough for that, else at its voltage,
no one knows when. That charge is a row of `steps` of its own (`end_reason` "unrecorded"; NaN if unknown).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

from devices.core.program import StepIntegral
from devices.core.techniques import AnyTechnique, ConstantCurrent, Program, StepResult, remainder
from labctl.documents import RunTables
from labctl.schema import (
    CURRENT,
    END_CURRENT,
    END_REASON,
    END_TEST_TIME,
    END_VOLTAGE,
    PROTOCOL_STEP,
    START_TEST_TIME,
    STEP_CHARGING_CAPACITY,
    STEP_COUNT,
    STEP_DISCHARGING_CAPACITY,
    STEP_TIME,
    STEP_TYPE,
    STEPS,
    TEST_TIME,
    TIMESERIES,
    VOLTAGE,
)
from plans.executor.already_done import continues
from plans.protocol.walk import Visit

INTERRUPTED, UNRECORDED = "interrupted", "unrecorded"


def left_of(visit: Visit, partial: Sequence[StepResult]) -> tuple[AnyTechnique, ...] | None:
    """What is left of an interrupted visit: None where it had not begun, empty where it is not continued."""
    if not partial:
        return None
    if not continues(visit):
        return ()
    program: Program | None = Program(techniques=visit.techniques)
    for result in partial:
        program = remainder(program, [result]) if program is not None else None
    return program.techniques if program is not None else ()


@dataclass(frozen=True)
class Found:
    """The instrument when somebody next got through to it: the station's clock, and whether a program ran."""

    clock_second: float | None
    running: bool


@dataclass(frozen=True)
class History:
    """Rows of `steps` of all runs so far by protocol_step, and what the last of them did not get to write.

    `cut` is the run that was cut off with samples whose step has no row, and `found` how the instrument was
    then; `cut` is None where all is written.
    """

    rows: dict[str, list[StepResult]]
    first: RunTables
    last: RunTables
    cut: RunTables | None
    found: Found

    @classmethod
    def of(cls, ancestry: Sequence[RunTables], found: Found) -> History:
        """From the runs, the first one first, and the instrument as it was found now."""
        rows: dict[str, list[StepResult]] = {}
        for run in ancestry:
            for path, result in _recorded(run):
                rows.setdefault(path, []).append(result)
        cut: RunTables | None = ancestry[-1]
        for run in reversed(ancestry):
            cut = run
            if not _was_checking(run):
                break
            if _recorded(run):
                cut = None  # it had already written what its parent owed
                break
            # whoever came first ended the program that was running
            found = _found_by(run.start)
        if cut is not None and cut.stop is not None and "found_clock_second" in cut.stop:
            found = _found_by(cut.stop)  # `labctl off` was there first
        return cls(rows, ancestry[0], ancestry[-1], cut, found)

    @property
    def elapsed_second(self) -> float:
        """Test time of the last run's last row."""
        return _last_time(self.last)

    @property
    def last_voltage_volt(self) -> float:
        """The last valid voltage that was recorded; NaN if there is none."""
        volts = self.last.stream(TIMESERIES.name).get(VOLTAGE, ())
        return next((float(volt) for volt in volts[::-1] if isfinite(volt)), nan)

    @property
    def unrecorded_second(self) -> float | None:
        """Time from the last sample until the instrument was found; None where the machine has restarted."""
        began = None if self.cut is None else self.cut.start.get("clock_second")
        if self.cut is None or began is None or self.found.clock_second is None:
            return None
        gone = self.found.clock_second - (began + _last_time(self.cut))
        return gone if gone >= 0 else None

    def finished(self, visit: Visit) -> list[StepResult] | None:
        """All results of a visit if it is over; None if something of it is left or it never began."""
        if visit.environment is not None:
            return list(self.rows.get(visit.path, ())) or None
        results = list[StepResult]()
        for index in range(len(visit.techniques)):
            found = self.rows.get(visit.technique_path(index), [])
            results += found
            if not found:
                return self._flagged(visit, results)
            if not found[-1].finished:
                return (
                    self._flagged(visit, results) if not continues(visit) else self._completed(visit, results)
                )
        return results

    def _completed(self, visit: Visit, results: list[StepResult]) -> list[StepResult] | None:
        """A step whose parts add up to the whole although the last one was cut off."""
        return results if left_of(visit, results) == () else None

    def _flagged(self, visit: Visit, results: list[StepResult]) -> list[StepResult] | None:
        """An interrupted gapless sequence is over once the executor has let it rest."""
        return results if f"{visit.path}.rest" in self.rows else None

    def begun(self, visit: Visit) -> tuple[tuple[StepResult, ...], tuple[StepResult, ...]]:
        """Results of the visit that was interrupted, and those of them that no table of steps has."""
        rows = [self.rows.get(visit.technique_path(index), []) for index in range(len(visit.techniques))]
        written = [result for found in rows for result in found]
        if written and not written[-1].finished and not continues(visit):
            return tuple(written), ()  # what came after it was the rest that follows an interruption
        whole = sum(1 for found in rows if found and found[-1].finished)
        if self.cut is None:
            return tuple(written), ()
        orphans = tuple(self._orphans(self.cut, visit, whole))
        gone_second = self.unrecorded_second
        if not orphans and self.found.running and gone_second is not None:
            orphans = (_unseen(visit, whole),)
        if orphans and gone_second is not None and continues(visit):
            orphans += _went_on(visit.techniques[0], [*written, *orphans], gone_second, self.found.running)
        return (*written, *orphans), orphans

    def _orphans(self, run: RunTables, visit: Visit, first_index: int) -> Iterable[StepResult]:
        """Results rebuilt from samples whose step has no row: the process was killed in the midst of it."""
        after = max((result.step_count for _, result in _recorded(run)), default=0)
        samples = run.stream(TIMESERIES.name)
        counts = sorted({int(count) for count in samples.get(STEP_COUNT, ()) if count > after})
        for position, count in enumerate(counts):
            index = first_index + position
            if index < len(visit.techniques):
                yield _rebuilt(samples, count, index, _last_time(run))


def _found_by(doc: Mapping[str, Any]) -> Found:
    return Found(doc.get("found_clock_second"), bool(doc.get("found_running")))


def _was_checking(run: RunTables) -> bool:
    """Whether a run was cut off in the check of the cell, before it had gone on."""
    checked = any(path.endswith(".resume") for path, _ in _recorded(run))
    return "parent_uid" in run.start and not checked


def _recorded(run: RunTables) -> list[tuple[str, StepResult]]:
    """Rows of `steps`, with their protocol_step."""
    steps = run.stream(STEPS.name)
    return [
        (
            str(steps[PROTOCOL_STEP][row]),
            StepResult(
                technique_index=0,
                step_count=int(steps[STEP_COUNT][row]),
                step_type=str(steps[STEP_TYPE][row]),  # type: ignore[arg-type]
                start_test_time_second=float(steps[START_TEST_TIME][row]),
                end_test_time_second=float(steps[END_TEST_TIME][row]),
                end_reason=str(steps[END_REASON][row]),
                charging_capacity_ah=float(steps[STEP_CHARGING_CAPACITY][row]),
                discharging_capacity_ah=float(steps[STEP_DISCHARGING_CAPACITY][row]),
                end_voltage_volt=float(steps[END_VOLTAGE][row]),
                end_current_ampere=float(steps[END_CURRENT][row]),
            ),
        )
        for row in range(len(steps.get(STEP_COUNT, ())))
    ]


def _rebuilt(samples: Mapping[str, Any], count: int, index: int, run_end_second: float) -> StepResult:
    """A result from a step's samples. Times are those of the resumed run: before its beginning, thus < 0."""
    chosen = samples[STEP_COUNT] == count
    integral = StepIntegral()
    columns = (samples[name][chosen] for name in (STEP_TIME, VOLTAGE, CURRENT))
    for time_second, volt, ampere in zip(*columns, strict=True):
        integral.add(float(time_second), float(volt), float(ampere))
    integral.close()
    times = samples[TEST_TIME][chosen]
    end = float(times[-1]) - run_end_second
    return StepResult(
        technique_index=index,
        step_count=count,
        step_type=str(samples[STEP_TYPE][chosen][0]),  # type: ignore[arg-type]
        start_test_time_second=end - float(samples[STEP_TIME][chosen][-1]),
        end_test_time_second=end,
        end_reason=INTERRUPTED,
        charging_capacity_ah=integral.charging_coulomb / 3600.0,
        discharging_capacity_ah=integral.discharging_coulomb / 3600.0,
        end_voltage_volt=integral.voltage_volt,
        end_current_ampere=integral.current_ampere,
    )


def _unseen(visit: Visit, index: int) -> StepResult:
    """A step that had begun before its first sample was recorded."""
    return StepResult(
        technique_index=index,
        step_count=1,
        step_type=visit.techniques[index].step_type(),
        start_test_time_second=0.0,
        end_test_time_second=0.0,
        end_reason=INTERRUPTED,
        charging_capacity_ah=0.0,
        discharging_capacity_ah=0.0,
        end_voltage_volt=nan,
        end_current_ampere=nan,
    )


def _went_on(
    technique: AnyTechnique, parts: Sequence[StepResult], gone_second: float, still_running: bool
) -> tuple[StepResult, ...]:
    """What flowed at constant current while nobody recorded, bounded by the step's own conditions."""
    program: Program | None = Program(techniques=(technique,))
    for part in parts:
        program = remainder(program, [part]) if program is not None else None
    if program is None or not isinstance(step := program.techniques[0], ConstantCurrent):
        return ()
    current, last = step.current_ampere, parts[-1]
    most_second = min(step.until_time_second or inf, (step.until_charge_ah or inf) * 3600.0 / abs(current))
    ended_at_its_voltage = not still_running and gone_second < most_second
    seconds = min(gone_second, most_second)
    charge_ah = nan if ended_at_its_voltage else abs(current) * seconds / 3600.0
    return (
        last.model_copy(
            update={
                START_TEST_TIME: last.end_test_time_second,
                END_TEST_TIME: last.end_test_time_second + seconds,
                END_REASON: UNRECORDED,
                "charging_capacity_ah": charge_ah if current > 0 else 0.0,
                "discharging_capacity_ah": 0.0 if current > 0 else charge_ah,
                END_VOLTAGE: nan,
            }
        ),
    )


def _last_time(run: RunTables) -> float:
    times = [
        float(stream[TEST_TIME][-1]) for stream in run.streams.values() if len(stream.get(TEST_TIME, ()))
    ]
    return max((t for t in times if isfinite(t)), default=0.0)
