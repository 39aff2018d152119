"""What a cycler can be asked to do: techniques with compulsory stop conditions, and gapless programs of them.

Signs and units: SI; current > 0 charges the cell; voltages are cell voltages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite, isnan, log10
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.core.end_reasons import EndReason
from labctl.records.limits import Limits

StepType = Literal[
    "rest", "cc_charge", "cc_discharge", "cv_charge", "cv_discharge", "peis", "geis", "environment"
]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LONGEST_SECOND = 10 * 365.25 * 86_400  # ten years: longer than any cell is measured, so longer is a slip
Duration = Annotated[float, Field(gt=0, le=LONGEST_SECOND, allow_inf_nan=False)]
"""A time > 0 in seconds, of ten years at most."""
LOWEST_HERTZ = 1e-6  # a period of 11.6 days; no cycler that labctl drives goes below 1e-5
Volt = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False)]
Tag = Annotated[
    str, Field(max_length=60, pattern=r"^[^\x00-\x1f]*$")
]  # what a step is for, in a person's words


class Record(BaseModel):
    """Frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingStage(Record):
    """Record a sample every `interval_second` until the step is `until_second` old (None: to its end)."""

    interval_second: float = Field(ge=0.01, le=3600, allow_inf_nan=False)
    until_second: Duration | None = None

    @model_validator(mode="after")
    def _whole_milliseconds(self) -> Self:
        if abs(self.interval_second * 1000 - round(self.interval_second * 1000)) > 1e-6:
            raise ValueError(
                f"interval_second {self.interval_second!r} must be a whole number of milliseconds"
            )
        return self


class Sampling(Record):
    """When samples are recorded; conditions and limits are checked far more often than that.

    `change_volt` records a sample also whenever the voltage has moved by that much since the last one.
    """

    stages: tuple[SamplingStage, ...] = Field(min_length=1, max_length=8)
    change_volt: Positive | None = None

    @model_validator(mode="after")
    def _stages_follow_one_another(self) -> Self:
        ends = [stage.until_second for stage in self.stages]
        if ends[-1] is not None or any(end is None for end in ends[:-1]):
            raise ValueError("every sampling stage but the last needs until_second, the last must have none")
        if any(b <= a for a, b in pairwise(ends[:-1]) if a is not None and b is not None):
            raise ValueError("until_second of sampling stages must grow")
        return self

    @classmethod
    def every(cls, interval_second: float, *, change_volt: float | None = None) -> Sampling:
        """One interval throughout."""
        return cls(stages=(SamplingStage(interval_second=interval_second),), change_volt=change_volt)

    @classmethod
    def staged(cls, *stages: tuple[float, float | None], change_volt: float | None = None) -> Sampling:
        """Build from pairs (interval_second, until_second): (0.2, 10), (5, None) is dense, then sparse."""
        return cls(
            stages=tuple(SamplingStage(interval_second=i, until_second=u) for i, u in stages),
            change_volt=change_volt,
        )


REST_SAMPLING = Sampling.staged((0.2, 10), (5, 600), (60, None))  # a relaxation: dense, then ever sparser


class Technique(Record):
    """What all techniques share."""

    tag: Tag = ""
    sampling: Sampling

    @property
    def longest_second(self) -> float | None:
        """The time condition (s), None where there is none."""
        return getattr(self, "until_time_second", None)

    def step_type(self) -> StepType:
        """Name of this step in the streams."""
        raise NotImplementedError


class OpenCircuit(Technique):
    """Rest at open circuit until a time has gone by or the voltage has become quiet.

    `until_drift_volt_per_hour`: ends when the magnitude of the regression slope of the voltage over
    `drift_window_second` is at or below this.
    """

    kind: Literal["open_circuit"] = "open_circuit"
    until_time_second: Duration  # a drift alone might never come: there is always a longest time
    until_drift_volt_per_hour: Positive | None = None
    drift_window_second: float = Field(default=600.0, ge=10, le=86400)

    def step_type(self) -> StepType:
        """Always "rest"."""
        return "rest"


class ConstantCurrent(Technique):
    """Constant current; > 0 charges. Ends at the first condition that holds; at least one is needed."""

    kind: Literal["constant_current"] = "constant_current"
    current_ampere: float = Field(allow_inf_nan=False)
    until_time_second: Duration | None = None
    until_voltage_above_volt: Volt | None = None
    until_voltage_below_volt: Volt | None = None
    until_charge_ah: Positive | None = None

    @model_validator(mode="after")
    def _must_end(self) -> Self:
        if self.current_ampere == 0:
            raise ValueError("current_ampere is 0: use OpenCircuit, which switches the output off")
        toward = self.until_voltage_above_volt if self.current_ampere > 0 else self.until_voltage_below_volt
        if self.until_time_second is None and self.until_charge_ah is None and toward is None:
            word = "above" if self.current_ampere > 0 else "below"
            raise ValueError(
                f"constant current needs a stop condition: until_time_second, until_charge_ah or "
                f"until_voltage_{word}_volt"
            )
        return self

    def step_type(self) -> StepType:
        """By the sign of the current."""
        return "cc_charge" if self.current_ampere > 0 else "cc_discharge"


class ConstantVoltage(Technique):
    """Constant voltage. `direction` says which half cycle it belongs to; the current's sign is measured."""

    kind: Literal["constant_voltage"] = "constant_voltage"
    voltage_volt: Volt
    direction: Literal["charge", "discharge"]
    until_time_second: Duration | None = None
    until_current_below_ampere: Positive | None = None
    until_charge_ah: Positive | None = None
    current_range_ampere: Positive | None = None

    @model_validator(mode="after")
    def _must_end(self) -> Self:
        conditions = (self.until_time_second, self.until_current_below_ampere, self.until_charge_ah)
        if all(c is None for c in conditions):
            raise ValueError(
                "constant voltage needs a stop condition: until_time_second, until_current_below_ampere "
                "or until_charge_ah"
            )
        return self

    def step_type(self) -> StepType:
        """By the half cycle it belongs to."""
        return "cv_charge" if self.direction == "charge" else "cv_discharge"


class Impedance(Record):
    """One impedance spectrum, from high to low frequency, inclusive, log-spaced.

    Amplitudes are rms. Potentiostatic: about `dc_voltage_volt`, or about the rest voltage that the instrument
    measures just before (None). Galvanostatic: about `dc_current_ampere` (> 0 charges).
    """

    kind: Literal["impedance"] = "impedance"
    tag: Tag = ""
    mode: Literal["potentiostatic", "galvanostatic"] = "potentiostatic"
    frequency_max_hertz: float = Field(default=200e3, ge=LOWEST_HERTZ, le=1e7, allow_inf_nan=False)
    frequency_min_hertz: float = Field(default=0.01, ge=LOWEST_HERTZ, le=1e7, allow_inf_nan=False)
    points_per_decade: int = Field(default=10, ge=1, le=100)
    amplitude_rms_volt: Annotated[float, Field(gt=0, le=1)] | None = None
    amplitude_rms_ampere: Annotated[float, Field(gt=0, le=1)] | None = None
    dc_voltage_volt: Volt | None = None
    dc_current_ampere: float = Field(default=0.0, allow_inf_nan=False)
    current_range_ampere: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frequency_min_hertz > self.frequency_max_hertz:
            raise ValueError("frequency_min_hertz lies above frequency_max_hertz")
        needed, other = ("amplitude_rms_volt", "amplitude_rms_ampere")
        if self.mode == "galvanostatic":
            needed, other = other, needed
            if self.dc_voltage_volt is not None:
                raise ValueError("dc_voltage_volt has no meaning in galvanostatic mode")
        elif self.dc_current_ampere != 0:
            raise ValueError("dc_current_ampere has no meaning in potentiostatic mode")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise ValueError(f"{self.mode} impedance needs {needed} and no {other}")
        return self

    @property
    def points(self) -> int:
        """Number of frequencies."""
        decades = log10(self.frequency_max_hertz / self.frequency_min_hertz)
        return round(decades * self.points_per_decade) + 1

    @property
    def amplitude_rms(self) -> float:
        """Amplitude in V or A, by the mode."""
        return self.amplitude_rms_volt or self.amplitude_rms_ampere or 0.0

    @property
    def amplitude_unit(self) -> str:
        """V or A, by the mode."""
        return "V" if self.mode == "potentiostatic" else "A"

    @property
    def longest_second(self) -> float | None:
        """No time condition: it ends after the last frequency."""
        return None

    @property
    def expected_second(self) -> float:
        """About how long it takes: some settling and a period and a half of each frequency."""
        ratio = (self.frequency_min_hertz / self.frequency_max_hertz) ** (1 / max(self.points - 1, 1))
        frequencies = (self.frequency_max_hertz * ratio**n for n in range(self.points))
        return sum(0.2 + 1.5 / frequency for frequency in frequencies)

    def step_type(self) -> StepType:
        """By the mode."""
        return "peis" if self.mode == "potentiostatic" else "geis"


AnyTechnique = Annotated[
    OpenCircuit | ConstantCurrent | ConstantVoltage | Impedance, Field(discriminator="kind")
]


class Program(Record):
    """Techniques run by the instrument without a gap, and the counts their rows carry.

    `first_step_count` belongs to the first technique, `first_spectrum_count` to the first spectrum; the
    others count on from there. `limits` narrow the cycler's own for this program.
    """

    techniques: tuple[AnyTechnique, ...] = Field(min_length=1, max_length=100)
    first_step_count: int = Field(default=1, ge=1)
    first_spectrum_count: int = Field(default=1, ge=1)
    cycle_count: int = Field(default=0, ge=0)
    limits: Limits | None = None


class StepResult(Record):
    """What became of one technique. Times are the run's `test_time_second`; charges are >= 0."""

    technique_index: int
    step_count: int
    step_type: StepType
    start_test_time_second: float
    end_test_time_second: float
    end_reason: str
    charging_capacity_ah: float
    discharging_capacity_ah: float
    end_voltage_volt: float
    end_current_ampere: float

    @property
    def finished(self) -> bool:
        """Whether one of the technique's own conditions ended it."""
        return self.end_reason in get_args(EndReason)

    @property
    def moved_charge_ah(self) -> float:
        """|net charge| moved in this step."""
        net = self.charging_capacity_ah - self.discharging_capacity_ah
        return abs(net) if isfinite(net) else 0.0


_SHORTEST_REST_OF_STEP_SECOND = 0.1


def remainder(program: Program, results: Sequence[StepResult]) -> Program | None:
    """The program that does what `program` has left to do, or None when nothing can be continued.

    A step of its own is continued by its remaining time and charge. Gapless sequences (a GITT pulse and its
    rest) and spectra are not: their relaxation has been disturbed. Nor is a step that ends at a charge, where
    no reading says how much has flowed.
    """
    if len(program.techniques) != 1:
        return None
    technique = program.techniques[0]
    if isinstance(technique, Impedance):
        return None
    if not results:
        return program
    last = results[-1]
    if last.finished:
        return None
    update: dict[str, float] = {}
    longest = technique.longest_second
    if longest is not None:
        update["until_time_second"] = longest - (last.end_test_time_second - last.start_test_time_second)
    if isinstance(technique, ConstantCurrent | ConstantVoltage) and technique.until_charge_ah is not None:
        update["until_charge_ah"] = technique.until_charge_ah - last.moved_charge_ah
        if isnan(last.charging_capacity_ah):  # how much is left nobody can say
            return None
    if update.get("until_time_second", 1.0) < _SHORTEST_REST_OF_STEP_SECOND:
        return None
    if update.get("until_charge_ah", 1.0) <= 0:
        return None
    left = technique.model_copy(update=update)
    return program.model_copy(update={"techniques": (left,), "first_step_count": last.step_count + 1})
