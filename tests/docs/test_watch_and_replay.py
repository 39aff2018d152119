"""The commands and keys of docs/how-to/watch-and-replay.md are those that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from labctl.cli import app
from labctl.commands.console import ConsoleTools

PAGE = (Path(__file__).parents[2] / "docs/how-to/watch-and-replay.md").read_text()
COMMANDS = re.findall(r"^labctl .*$", PAGE, re.MULTILINE)


def test_the_page_shows_commands() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, arguments)
    assert context.command.name == name


def test_every_call_in_the_console_is_understood() -> None:
    calls = re.findall(r"`(live|replay)\((.*?)\)`", PAGE)
    assert {name for name, _ in calls} == {"live", "replay"}
    for name, _ in calls:
        assert callable(getattr(ConsoleTools, name))


def test_every_key_of_the_replay_is_one_of_its_shortcuts() -> None:
    source = Path(__file__).parents[2] / "labctl/live/replay/controls.py"
    there = set(re.findall(r'^            \("([A-Za-z+]+)", ', source.read_text(), re.MULTILINE))
    rows = PAGE.split("| key | |")[1].split("Or use the buttons")[0]
    told = {
        key.strip()
        for row in re.findall(r"^\| ([A-Z][^|]*) \|", rows, re.MULTILINE)
        for key in row.split(",")
    }
    assert told == there
