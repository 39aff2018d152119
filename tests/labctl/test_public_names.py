"""What `import labctl` offers, that it is documented, and that nothing heavy comes with it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import labctl
from labctl.plan_parameters import sections

PUBLIC = {
    "Cell": "labctl.records.cell",
    "Session": "labctl.session",
    "Station": "labctl.records.station",
    "Store": "labctl.store.client.store",
    "load_cell": "labctl.records.cell",
    "load_station": "labctl.records.station",
    "open_session": "labctl.session",
    "tables": "labctl.documents",
}
HEAVY = ("bluesky", "tiled", "numpy", "pydantic", "ophyd", "scipy", "pandas", "pyarrow", "PySide6", "rich")
ROOT = Path(__file__).parents[2]
PACKAGES = [
    file.parent.relative_to(ROOT)
    for top in ("labctl", "devices", "plans")
    for file in sorted((ROOT / top).rglob("__init__.py"))
    if file.parent != ROOT / "labctl"
]
FUNCTIONS = [name for name in PUBLIC if name[0].islower()]
CLASSES = [name for name in PUBLIC if name[0].isupper()]


def test_these_and_no_others() -> None:
    assert set(labctl.__all__) == {*PUBLIC, "__version__"}
    for name, module in PUBLIC.items():
        assert getattr(labctl, name).__module__ == module
    handed_on = {name for name in dir(labctl) if name[0] != "_"}
    loaded = {name for name in handed_on if isinstance(getattr(labctl, name), ModuleType)}
    assert handed_on - loaded - {"annotations", "TYPE_CHECKING"} == set(PUBLIC)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'labctl' has no attribute 'open_sesion'"):
        labctl.open_sesion  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'session_open'"):
        from labctl import session_open  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_and_what_it_raises(name: str) -> None:
    function = getattr(labctl, name)
    said = sections(function)
    assert {"Args", "Raises"} <= set(said)
    takes = re.findall(r"^(\w+): ", said["Args"], re.MULTILINE)
    assert takes == list(inspect.signature(function).parameters)
    assert re.match(r"\w+Error: ", said["Raises"])


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_and_all_that_it_offers_is_documented(name: str) -> None:
    kind: Any = getattr(labctl, name)
    assert len((kind.__doc__ or "").split()) > 3
    for member, value in vars(kind).items():
        if member[0] != "_" and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_a_package_says_what_is_public_and_hands_nothing_on(package: Path) -> None:
    parsed = ast.parse((ROOT / package / "__init__.py").read_text())
    assert len(parsed.body) == 1  # the docstring
    _, stated, public = (ast.get_docstring(parsed) or "").partition("\nPublic: ")
    assert stated
    for module, name in re.findall(r"`([\w.]+)\.([A-Za-z]\w+)`", public):
        if (module, name) not in (("sim", "wire"), ("tiled", "py")):
            found = getattr(import_module(".".join((*package.parts, module))), name)
            assert inspect.getdoc(found), name


def imported_by(code: str) -> set[str]:
    """The top-level packages that a new interpreter has imported after `code`."""
    told = "import sys, atexit; atexit.register(lambda: print('\\nmodules', *sys.modules)); "
    done = subprocess.run([sys.executable, "-c", told + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()[1:]}


@pytest.mark.parametrize("code", ["import labctl; labctl.__version__", "import labctl; dir(labctl)"])
def test_nothing_heavy_comes_with_it(code: str) -> None:
    assert "labctl" in imported_by(code)
    assert not imported_by(code) & {*HEAVY, "typer"}


def test_nothing_heavy_comes_with_the_help() -> None:
    help_of_all = "sys.argv = ['labctl', '--help']; from labctl.cli import main; main()"
    assert "typer" in imported_by(help_of_all)
    assert not imported_by(help_of_all) & (set(HEAVY) - {"rich"})  # which typer draws the help with


def test_a_cell_can_be_read_without_what_only_a_measurement_needs() -> None:
    assert not imported_by("from labctl import load_cell, load_station") & {"bluesky", "tiled", "ophyd"}
