"""The commands of docs/how-to/run-protocols-and-resume.md do what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from labctl.records.cell import Cell
from labctl.cli import app
from labctl.commands.plans import convert_protocol
from labctl.commands.run import plan_parameters
from labctl.records.station import load_station
from labctl.records.station import packaged_config
from labctl.errors import ConfigurationError
from labctl.plugins import load_plan
from labctl.session import open_session
from plans.executor.dry_run import dry_run
from plans.protocol.files import load_protocol
from plans.protocol.files import save_protocol

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/run-protocols-and-resume.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^(?:\$ )?(labctl .*)$", BLOCKS, re.MULTILINE)


def arguments_of(words: str) -> list[str]:
    (line,) = {line for line in COMMANDS if words in line}
    return shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).command.name == name


def test_the_example_goes_to_unicycler_and_comes_back_as_long(tmp_path: Path, coated_cell: Cell) -> None:
    _, source, _, _, form = arguments_of("two-cycles.json unicycler.json")
    assert convert_protocol(ROOT / source, tmp_path / "unicycler.json", form) == 0
    there, back = (
        dry_run(load_protocol(f), coated_cell) for f in (ROOT / source, tmp_path / "unicycler.json")
    )
    assert (back.steps, back.duration_second) == (there.steps, pytest.approx(there.duration_second))


def test_the_ladder_is_refused_as_the_page_shows(tmp_path: Path, coated_cell: Cell) -> None:
    settings = [word for word in arguments_of("--save-protocol") if "=" in word]
    plan = load_plan("rate_test")
    given = plan_parameters(plan, "rate_test", settings)
    with open_session(
        load_station(packaged_config("sim.yaml")), coated_cell, tmp_path, connect=False
    ) as session:
        save_protocol(plan(session.cycler, cell=coated_cell, **given).protocol, tmp_path / "ladder.json")
    with pytest.raises(ConfigurationError) as error:
        convert_protocol(tmp_path / "ladder.json", tmp_path / "out.json", "unicycler")
    assert f"labctl: {error.value}\n" in PAGE
