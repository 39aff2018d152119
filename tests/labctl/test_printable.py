"""What comes from files and instruments is shown, never obeyed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import event_model
import pytest
from rich.table import Table

from labctl.commands.chosen import screen, write, write_json
from labctl.commands.runs import show_run, show_runs
from labctl.journal.writer import Journal
from labctl.printable import printable, printable_json

TITLE, CLEAR, C1, BIDI = "\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\u202e"
HOSTILE = f"a{TITLE}b{CLEAR}c{C1}d{BIDI}e"
SHOWN = r"a\x1b]0;owned\x07b\x1b[2Jc\x9b2Jd\u202ee"


def test_what_is_no_letter_sign_or_space_is_written_out() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable("two\nlines\t1") == r"two\x0alines\x091"
    assert printable("two\nlines\t1", lines=True) == "two\nlines\t1"
    assert printable("\U000e0041\ud800\x7f\u2028") == r"\U000e0041\ud800\x7f\u2028"


@pytest.mark.parametrize("text", ["Größe µA ±3 Å", "1\u202f234 points · 25 °C", "正極", "−3.612", ""])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_json_says_the_same_in_escapes_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"reason": HOSTILE + "\U000e0041", "unit": "µA"}
    write_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert printable(out, lines=True) == out
    assert printable_json('{"a": "µ"}') == '{"a": "µ"}'


def test_lines_and_tables_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    write(f"run {HOSTILE}\nnext line")
    table = Table(title=f"title {HOSTILE}")
    table.add_column(f"heading {HOSTILE}", no_wrap=True)
    table.add_row(f"cell [red]{HOSTILE}[/red] :smile: [link=file:///etc/passwd]x[/link]")
    console = screen()
    console.width = 300
    console.print(table)
    console.print(HOSTILE)
    out = capsys.readouterr().out
    assert printable(out, lines=True) == out
    assert out.startswith(f"run {SHOWN}\nnext line\n")
    assert f"cell [red]{SHOWN}[/red] :smile: [link=file:///etc/passwd]x[/link]" in out
    assert f"heading {SHOWN}" in out
    assert f"title {SHOWN}" in out


def test_no_command_over_runs_lets_a_document_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    cell: dict[str, Any] = {"id": HOSTILE, "coating": {"material": HOSTILE}}
    about = {"plan_name": HOSTILE, "cell": cell, "station": {"name": HOSTILE}, "tags": [HOSTILE]}
    run: Any = event_model.compose_run(
        metadata={**about, "devices": {"cycler": {"maker": HOSTILE, "model": HOSTILE, "serial": HOSTILE}}}
    )
    journal = Journal(tmp_path)
    journal("start", run.start_doc)
    journal("stop", run.compose_stop(exit_status="abort", reason=HOSTILE))
    journal.close()
    for as_json in (False, True):
        show_runs(tmp_path, limit=20, as_json=as_json)
        show_run("last", tmp_path, as_json=as_json)
    out = capsys.readouterr().out
    assert printable(out, lines=True) == out
    assert out.count(SHOWN) >= 9
