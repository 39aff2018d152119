from __future__ import annotations

from typing import Any

import pytest

from labctl.runs.progress import Progress, step_text
from labctl.units import duration_text

DESCRIPTORS = [("descriptor", {"uid": name, "name": name}) for name in ("timeseries", "steps")]


def start(**estimate: float) -> tuple[str, dict[str, Any]]:
    return "start", {"uid": "u", "time": 1000.0} | ({"estimate": estimate} if estimate else {})


def sample(test_time: float, wall: float, step: int = 1, kind: str = "rest") -> tuple[str, dict[str, Any]]:
    data = {
        "test_time_second": [0.0, test_time],
        "step_count": [step, step],
        "cycle_count": [2, 2],
        "step_type": [kind, kind],
    }
    page = {"descriptor": "timeseries", "seq_num": [1, 2], "time": [wall, wall], "data": data}
    return "event_page", page


def step_end(
    number: int, end: float, wall: float = 1000.0, name: str | None = None
) -> tuple[str, dict[str, Any]]:
    data = {"protocol_step": name or f"steps[{number}]", "end_test_time_second": end}
    return "event", {"descriptor": "steps", "seq_num": number, "time": wall, "data": data}


def fed(*documents: tuple[str, dict[str, Any]]) -> Progress:
    progress = Progress()
    for name, doc in documents:
        progress.feed(name, doc)
    return progress


def test_fraction_and_time_left_follow_the_estimated_duration() -> None:
    progress = fed(start(duration_second=1000, steps=4), *DESCRIPTORS, sample(250, 1010))
    assert progress.fraction == pytest.approx(0.25)
    assert progress.cell_time_left_second == pytest.approx(750)
    assert progress.wall_time_left_second == pytest.approx(30)


def test_a_run_ahead_of_its_estimate_is_judged_by_its_finished_steps() -> None:
    ends = [step_end(number, 100.0 * number) for number in range(1, 11)]
    progress = fed(start(duration_second=20_000, steps=20), *DESCRIPTORS, *ends)
    assert progress.fraction == pytest.approx(0.5)
    assert progress.cell_time_left_second == pytest.approx(1000)


def test_few_finished_steps_are_not_believed() -> None:
    progress = fed(start(duration_second=20_000, steps=4), *DESCRIPTORS, step_end(1, 10.0))
    assert progress.fraction == pytest.approx(10 / 20_000)


def test_a_step_that_was_continued_counts_once() -> None:
    twice = [step_end(1, 10.0, name="steps[0]"), step_end(2, 20.0, name="steps[0]")]
    assert fed(start(duration_second=100, steps=4), *DESCRIPTORS, *twice).steps_done == 1


def test_the_fraction_never_goes_back() -> None:
    progress = fed(start(duration_second=1000, steps=4), *DESCRIPTORS, sample(500, 1010), sample(400, 1011))
    assert progress.fraction == pytest.approx(0.5)


@pytest.mark.parametrize("estimate", [{}, {"duration_second": 0}, {"duration_second": float("nan")}])
def test_a_run_without_a_usable_estimate_tells_only_what_has_gone_by(estimate: dict[str, float]) -> None:
    progress = fed(start(**estimate), *DESCRIPTORS, sample(7200, 8200, step=3))
    assert progress.fraction is None
    assert progress.cell_time_left_second is None
    assert progress.wall_time_left_second is None
    assert progress.line == "step 3 · rest · cycle 2 · 2 h of cell time"


def test_the_line_tells_cell_time_and_wall_time_apart_on_a_fast_bench() -> None:
    progress = fed(
        start(duration_second=36_000, steps=41), *DESCRIPTORS, sample(18_000, 1020, 12, "cc_charge")
    )
    assert progress.line == (
        "step 12 of 41 · CC charge · cycle 2 · 50 % · 5 h of 10 h · 5 h of cell time left, done in 20 s"
    )


def test_the_line_tells_one_time_on_a_real_bench() -> None:
    progress = fed(start(duration_second=36_000, steps=2), *DESCRIPTORS, sample(18_000, 19_000))
    assert progress.time_line == "50 % · 5 h of 10 h · 5 h left"


def test_a_run_that_outlives_its_estimate_says_so() -> None:
    progress = fed(start(duration_second=100, steps=2), *DESCRIPTORS, sample(150, 1150))
    assert progress.fraction == 1.0
    assert progress.time_line.endswith("longer than estimated")


def test_a_successful_stop_is_the_whole_and_leaves_nothing() -> None:
    progress = fed(
        start(duration_second=100, steps=2),
        *DESCRIPTORS,
        sample(50, 1050),
        ("stop", {"exit_status": "success"}),
    )
    assert (progress.fraction, progress.cell_time_left_second, progress.wall_time_left_second) == (
        1.0,
        0.0,
        0.0,
    )


def test_an_aborted_run_keeps_its_share() -> None:
    progress = fed(
        start(duration_second=100, steps=2),
        *DESCRIPTORS,
        sample(50, 1050),
        ("stop", {"exit_status": "abort"}),
    )
    assert progress.fraction == pytest.approx(0.5)


def test_a_second_run_begins_anew() -> None:
    progress = fed(
        start(duration_second=100, steps=2), *DESCRIPTORS, sample(50, 1050), start(duration_second=10)
    )
    assert progress.fraction == 0.0
    assert progress.step_count == 0


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (52, "52 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (44_400, "12 h 20 min"),
        (273_600, "3 d 4 h"),
        (float("nan"), "?"),
        (-1, "0.0 s"),
    ],
)
def test_durations_are_told_in_two_units(second: float, text: str) -> None:
    assert duration_text(second) == text


def test_unknown_step_types_are_still_readable() -> None:
    assert step_text("cc_charge") == "CC charge"
    assert step_text("some_new_one") == "some new one"
