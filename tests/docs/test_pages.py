"""What all pages of the documentation show: commands that there are, files and pages that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from labctl.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GLOSSARY = ROOT / "docs/reference/glossary.md"


def commands(text: str) -> Iterator[str]:
    """The labctl commands in the code blocks and the code spans of a page."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        yield from re.findall(r"^ *(?:\$ )?(labctl .*)$", block, re.MULTILINE)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(labctl [^`]*)`", prose)


def wrong_commands(text: str) -> list[str]:
    """Commands and options in it that labctl does not have."""
    wrong = list[str]()
    for line in commands(text):
        words = shlex.split(line, comments=True)[1:]
        command = typer.main.get_command(app)
        while words and not words[0].startswith("-") and hasattr(command, "commands"):
            command = command.commands.get(words.pop(0))  # type: ignore[attr-defined]
        if command is None:
            wrong.append(line)
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        if any(word.split("=")[0] not in known for word in words if word.startswith("--")):
            wrong.append(line)
    return wrong


def broken_links(page: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [target for target in targets if "://" not in target and not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_links_of_a_page_exist(page: Path) -> None:
    assert wrong_commands(page.read_text(encoding="utf-8")) == []
    assert broken_links(page) == []


def test_a_command_or_an_option_that_there_is_not_is_found() -> None:
    page = "```\nlabctl run gitt --dry-run\nlabctl measure\n```\nand `labctl store stop`, `labctl runs --newest`\n"
    assert wrong_commands(page) == ["labctl measure", "labctl runs --newest"]


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    named = set(re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8")))
    pages = {str(page.relative_to(index.parent)) for page in PAGES if index.parent in page.parents}
    assert {page for page in pages if not page.startswith("decisions/0")} - {"README.md"} <= named


def test_every_name_that_the_glossary_gives_is_in_the_code() -> None:
    sources = [path.read_text(encoding="utf-8") for top in ("labctl", "devices", "plans", "config")
               for path in (ROOT / top).rglob("*") if path.suffix in (".py", ".yaml")]  # fmt: skip
    code = "\n".join(sources)
    rows = re.findall(
        r"^\| [^|]+ \| [^|]+ \| ([^|]*) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE
    )
    names = {name for row in rows for name in re.findall(r"`(\w{4,})`", row)}
    assert len(names) > 40
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()
