"""Going on with an interrupted run: from its journal to what is left of its protocol.

The charge of a step that was cut off is known up to its last journalled sample. The instrument may have gone
on by itself after that; where the station can tell for how long (`unrecorded_second`), that charge is
estimated from the current and written as a row of `steps` of its own (`end_reason` "unrecorded").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from pydantic import ValidationError

from devices.continuation import remainder
from devices.program_record import StepIntegral
from devices.protocols import Cycler, Environment
from devices.techniques import AnyTechnique, ConstantCurrent, Program, StepResult
from labctl.analysis.tables import RunTables
from labctl.cell import Cell
from labctl.errors import ConfigurationError
from plans.execute import Measurement, run_protocol
from plans.execution import continues
from plans.protocol import EnvironmentStep, Protocol
from plans.resumption import Resumption
from plans.walk import Course, Visit, next_visit

INTERRUPTED, UNRECORDED = "interrupted", "unrecorded"


def resume(
    cycler: Cycler,
    *,
    ancestry: Sequence[RunTables],
    cell: Cell,
    environment: Environment | None = None,
    unrecorded_second: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """What is left of an interrupted run, as a measurement of its own.

    Before anything else it brings die and press where the protocol had them, measures the open-circuit
    voltage for 10 s, and refuses to go on if that is outside the cell's window.

    Args:
        cycler: the potentiostat.
        ancestry: the runs of this protocol so far, the first one first, the interrupted one last.
        cell: the cell record.
        environment: temperature and stack pressure.
        unrecorded_second: for how long the instrument went on after the last sample; None: not known.
        metadata: further keys of the start document.

    Raises:
        ConfigurationError: the run cannot be resumed: no protocol, another cell, or nothing is left.
        ProtocolError: a step is outside the limits of station, cell or instrument; nothing has moved.
    """
    start = ancestry[-1].start
    protocol = _protocol_of(start)
    _require_same_cell(start, cell)
    resumption = _resumption(protocol, ancestry, cell, unrecorded_second)
    given = {key: start[key] for key in _CARRIED_OVER if key in start}
    return run_protocol(
        cycler,
        protocol,
        cell=cell,
        environment=environment,
        metadata={**given, **(metadata or {})},
        resumption=resumption,
    )


_CARRIED_OVER = ("plan_parameters", "tags", "operator", "note")


def _protocol_of(start: Mapping[str, Any]) -> Protocol:
    try:
        return Protocol.model_validate(start["protocol"])
    except (KeyError, ValidationError) as error:
        raise ConfigurationError(
            f"run {start.get('uid')}",
            "protocol",
            None,
            f"it carries no protocol that can be resumed ({error})",
        ) from None


def _require_same_cell(start: Mapping[str, Any], cell: Cell) -> None:
    was = start.get("cell", {}).get("id")
    if was != cell.id:
        raise ConfigurationError(f"run {start.get('uid')}", "cell", cell.id, f"the run measured cell {was}")


def _resumption(
    protocol: Protocol, ancestry: Sequence[RunTables], cell: Cell, unrecorded_second: float | None
) -> Resumption:
    history = _History.of(ancestry)
    done: dict[str, Sequence[StepResult]] = {}
    set_last: dict[str, EnvironmentStep] = {}
    progress = Course(protocol).walk()
    visit = next(progress, None)
    while visit is not None and (results := history.finished(visit)) is not None:
        done[visit.path] = results
        if visit.environment is not None:
            set_last[visit.environment.kind] = visit.environment
        visit = next_visit(progress, results)
    start = ancestry[-1].start
    if visit is None:
        raise ConfigurationError(f"run {start.get('uid')}", "resume", None, "nothing of its protocol is left")
    partial, unwritten = history.begun(visit, unrecorded_second)
    return Resumption(
        at=visit.path,
        metadata={
            "parent_uid": start["uid"],
            "campaign_uid": start.get("campaign_uid") or ancestry[0].start["uid"],
            "parent_elapsed_s": history.elapsed_second,
        },
        done=done,
        environment=tuple(set_last.values()),
        partial=partial,
        left=_left(visit, partial),
        unwritten=unwritten,
        limits=cell.limits,
    )


def _left(visit: Visit, partial: Sequence[StepResult]) -> tuple[AnyTechnique, ...] | None:
    if not partial:
        return None
    if not continues(visit):
        return ()
    program: Program | None = Program(techniques=visit.techniques)
    for result in partial:
        program = remainder(program, [result]) if program is not None else None
    return program.techniques if program is not None else ()


@dataclass
class _History:
    """Rows of `steps` of all runs so far by protocol_step, and what the last run did not get to write."""

    rows: dict[str, list[StepResult]]
    last: RunTables
    elapsed_second: float

    @classmethod
    def of(cls, ancestry: Sequence[RunTables]) -> _History:
        rows: dict[str, list[StepResult]] = {}
        for run in ancestry:
            for path, result in _recorded(run):
                rows.setdefault(path, []).append(result)
        return cls(rows, ancestry[-1], _last_time(ancestry[-1]))

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
        return results if _left(visit, results) == () else None

    def _flagged(self, visit: Visit, results: list[StepResult]) -> list[StepResult] | None:
        """An interrupted gapless sequence is over once the executor has let it rest."""
        return results if f"{visit.path}.rest" in self.rows else None

    def begun(
        self, visit: Visit, unrecorded_second: float | None
    ) -> tuple[tuple[StepResult, ...], tuple[StepResult, ...]]:
        """Results of the visit that was interrupted, and those of them that no table of steps has."""
        rows = [self.rows.get(visit.technique_path(index), []) for index in range(len(visit.techniques))]
        written = [result for found in rows for result in found]
        if written and not written[-1].finished and not continues(visit):
            return tuple(written), ()  # what came after it was the rest that follows an interruption
        whole = sum(1 for found in rows if found and found[-1].finished)
        orphans = tuple(self._orphans(visit, whole))
        if orphans and unrecorded_second is not None and continues(visit):
            orphans += _went_on(visit.techniques[0], orphans[-1], unrecorded_second)
        return (*written, *orphans), orphans

    def _orphans(self, visit: Visit, first_index: int) -> Iterable[StepResult]:
        """Results rebuilt from samples whose step has no row: the process was killed in the midst of it."""
        recorded = list(_recorded(self.last))
        if "parent_uid" in self.last.start and not any(path.endswith(".resume") for path, _ in recorded):
            return  # cut off in the check before it had gone on
        after = max((result.step_count for _, result in recorded), default=0)
        samples = self.last.stream("timeseries")
        counts = sorted({int(count) for count in samples.get("step_count", ()) if count > after})
        for position, count in enumerate(counts):
            index = first_index + position
            if index < len(visit.techniques):
                yield _rebuilt(samples, count, index, self.elapsed_second)


def _recorded(run: RunTables) -> Iterable[tuple[str, StepResult]]:
    steps = run.stream("steps")
    for row in range(len(steps.get("step_count", ()))):
        path = str(steps["protocol_step"][row])
        yield (
            path,
            StepResult(
                technique_index=0,
                step_count=int(steps["step_count"][row]),
                step_type=str(steps["step_type"][row]),  # type: ignore[arg-type]
                start_test_time_second=float(steps["start_test_time_second"][row]),
                end_test_time_second=float(steps["end_test_time_second"][row]),
                end_reason=str(steps["end_reason"][row]),
                charging_capacity_ah=float(steps["step_charging_capacity_ah"][row]),
                discharging_capacity_ah=float(steps["step_discharging_capacity_ah"][row]),
                end_voltage_volt=float(steps["end_voltage_volt"][row]),
                end_current_ampere=float(steps["end_current_ampere"][row]),
            ),
        )


def _rebuilt(samples: Mapping[str, Any], count: int, index: int, run_end_second: float) -> StepResult:
    """A result from a step's samples. Times are those of the resumed run: before its beginning, thus < 0."""
    chosen = samples["step_count"] == count
    integral = StepIntegral()
    columns = (samples[name][chosen] for name in ("step_time_second", "voltage_volt", "current_ampere"))
    for time_second, volt, ampere in zip(*columns, strict=True):
        integral.add(float(time_second), float(volt), float(ampere))
    times = samples["test_time_second"][chosen]
    end = float(times[-1]) - run_end_second
    return StepResult(
        technique_index=index,
        step_count=count,
        step_type=str(samples["step_type"][chosen][0]),  # type: ignore[arg-type]
        start_test_time_second=end - float(samples["step_time_second"][chosen][-1]),
        end_test_time_second=end,
        end_reason=INTERRUPTED,
        charging_capacity_ah=integral.charging_coulomb / 3600.0,
        discharging_capacity_ah=integral.discharging_coulomb / 3600.0,
        end_voltage_volt=integral.voltage_volt,
        end_current_ampere=integral.current_ampere,
    )


def _went_on(technique: AnyTechnique, last: StepResult, unrecorded_second: float) -> tuple[StepResult, ...]:
    """What flowed at constant current while nobody recorded, bounded by the step's own conditions."""
    if not isinstance(technique, ConstantCurrent):
        return ()
    left = remainder(Program(techniques=(technique,)), [last])
    if left is None:
        return ()
    seconds, step = unrecorded_second, left.techniques[0]
    if isinstance(step, ConstantCurrent):
        if step.until_time_second is not None:
            seconds = min(seconds, step.until_time_second)
        if step.until_charge_ah is not None:
            seconds = min(seconds, step.until_charge_ah * 3600.0 / abs(step.current_ampere))
    charge_ah = abs(technique.current_ampere) * seconds / 3600.0
    charges = technique.current_ampere > 0
    return (
        last.model_copy(
            update={
                "start_test_time_second": last.end_test_time_second,
                "end_test_time_second": last.end_test_time_second + seconds,
                "end_reason": UNRECORDED,
                "charging_capacity_ah": charge_ah if charges else 0.0,
                "discharging_capacity_ah": 0.0 if charges else charge_ah,
                "end_voltage_volt": nan,
            }
        ),
    )


def _last_time(run: RunTables) -> float:
    times = [
        float(stream["test_time_second"][-1])
        for stream in run.streams.values()
        if len(stream.get("test_time_second", ()))
    ]
    return max((t for t in times if isfinite(t)), default=0.0)
