"""Data keys that no database takes as columns are refused before the first value is emitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.utils import MsgGenerator
from ophyd import Signal

from labctl.errors import JournalError
from labctl.journal.reader import follow
from labctl.journal.writer import Journal


def reading(*signals: Any) -> MsgGenerator[object]:
    return (yield from bpp.run_wrapper(bps.trigger_and_read(list(signals))))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("V(cell)",), r"stream primary: data key 'V\(cell\)': a column name is up to 60 letters"),
        (("1cell",), "data key '1cell': a column name"),
        (("x" * 61,), "data key 'x{61}': a column name"),
        (("soc", "SOC"), "data key 'SOC': the name is taken"),
        (("time",), "data key 'time': the name is taken"),
        (("voltage", "ts_voltage"), "data key 'ts_voltage': the name is taken"),
    ],
)
def test_a_name_that_can_be_no_column_ends_the_run_before_a_value_is_emitted(
    tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    engine, journal = RunEngine({}, context_managers=[]), Journal(tmp_path)
    engine.subscribe(journal)
    with pytest.raises(JournalError, match=told):
        engine(reading(*(Signal(name=name, value=1.0) for name in names)))
    assert journal.run_directory is not None
    documents = list(follow(journal.run_directory, live=False))
    assert [name for name, _ in documents] == ["start", "stop"]
    assert documents[-1][1]["exit_status"] == "fail"
    assert names[-1] in documents[-1][1]["reason"]
    engine(reading(Signal(name="voltage", value=1.0)))
    assert [name for name, _ in follow(journal.run_directory)] == ["start", "descriptor", "event", "stop"]
    journal.close()
