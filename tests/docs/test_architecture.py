"""docs/explanation/architecture.md names the packages and files that there are, in the order of imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text()
TOPS = ("plans", "devices", "labctl")
NAMED_PACKAGES = re.findall(r"^\| `((?:labctl|devices|plans)(?:/\w+)*)` \|", PAGE, re.MULTILINE)
NAMED_FILES = sorted(set(re.findall(r"`((?:labctl|devices|plans|tests)/[\w/]+\.py)`", PAGE)))
PLACEHOLDERS = {
    "devices/MAKER/driver.py",
    "devices/sim/MAKER/emulator.py",
    "plans/NAME.py",
    "labctl/live/panels/NAME.py",
    "labctl/a/b.py",
    "tests/labctl/a/test_b.py",
}


def packages_on_disk(root: Path) -> set[str]:
    return {
        str(found.parent.relative_to(root)) for top in TOPS for found in (root / top).rglob("__init__.py")
    }


def differences(named: list[str], root: Path) -> list[str]:
    on_disk = packages_on_disk(root)
    absent = [f"{name} is named, but no package" for name in named if name not in on_disk]
    unnamed = [f"{name} is a package, but not named" for name in sorted(on_disk - set(named))]
    twice = [f"{name} is named twice" for name in sorted(set(named)) if named.count(name) > 1]
    return absent + unnamed + twice


def absent_files(named: list[str], root: Path) -> list[str]:
    return [name for name in named if name not in PLACEHOLDERS and not (root / name).is_file()]


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def package_of(module: str) -> str:
    """The package that holds a module, as the page names it."""
    path = module.replace(".", "/")
    return path if (ROOT / path).is_dir() else str(Path(path).parent)


def package_imports() -> Iterator[tuple[str, str]]:
    """Pairs of a package and one that its modules import from."""
    for name in NAMED_PACKAGES:
        for file in sorted((ROOT / name).glob("*.py")):
            for module in imported_modules(file):
                if module.split(".")[0] in TOPS and package_of(module) != name:
                    yield name, package_of(module)


def test_the_page_names_every_package_and_no_other() -> None:
    assert differences(NAMED_PACKAGES, ROOT) == []


def test_every_file_that_the_page_names_exists() -> None:
    assert len(NAMED_FILES) > 40
    assert absent_files(NAMED_FILES, ROOT) == []


@pytest.mark.parametrize("top", ["plans", "devices", "labctl"])
def test_packages_import_only_from_those_below_them_in_the_tables(top: str) -> None:
    """Beside those, from their own subpackages and from the packages that contain them."""
    place = {name: number for number, name in enumerate(NAMED_PACKAGES)}
    upwards = {
        f"{importer} imports {imported}"
        for importer, imported in package_imports()
        if importer.split("/")[0] == top and place[imported] < place[importer]
        if not importer.startswith(f"{imported}/")
    }
    assert upwards == set()


def test_a_package_that_is_missing_on_either_side_is_found(tmp_path: Path) -> None:
    for name in ("labctl", "labctl/journal", "plans", "devices"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
    named = ["labctl", "plans", "devices", "devices/core"]
    assert differences(named, tmp_path) == [
        "devices/core is named, but no package",
        "labctl/journal is a package, but not named",
    ]


def test_a_file_that_is_missing_is_found(tmp_path: Path) -> None:
    assert absent_files(["labctl/cli.py", "plans/NAME.py"], tmp_path) == ["labctl/cli.py"]
