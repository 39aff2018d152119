"""Drivers and plans where a person's own files have the names of labctl's packages: real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEVER_RUN = "raise SystemExit('it was run')\n"
DRY_RUN = ("run", "gitt", "--dry-run", "--set", "pulses=1")


@pytest.fixture(params=["plans.py", "plans/__init__.py", "devices.py", "devices/__init__.py"])
def own_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file in a folder of its own that has the name of a package of labctl."""
    file: Path = tmp_path / "work" / request.param
    file.parent.mkdir(parents=True)
    file.write_text(NEVER_RUN)
    return file


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("command", [("plans",), ("plans", "gitt"), DRY_RUN])
def test_it_is_named_in_one_line_that_says_what_to_do(
    own_file: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    folder = tmp_path / "work"
    done = python(folder, "-m", "labctl", *command)
    name = own_file.relative_to(folder).parts[0].removesuffix(".py")
    hiding = own_file.parent if own_file.name == "__init__.py" else own_file
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        f"labctl: {hiding}: name = {name!r}: is taken for labctl's own package {name} ({ROOT / name}): "
        "rename it, or work in another folder\n"
    )


def test_a_script_beside_it_is_told_as_well(own_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "work" / "script.py"
    script.write_text("from labctl.plugins import load_plan\nload_plan('gitt')\n")
    done = python(script.parent, str(script))
    assert (own_file.exists(), done.returncode) == (True, 1)
    assert done.stderr.splitlines()[-1].startswith(f"labctl.errors.ConfigurationError: {script.parent}")


def test_drivers_do_not_mind_a_file_that_only_plans_would(tmp_path: Path) -> None:
    (tmp_path / "plans.py").write_text(NEVER_RUN)
    done = python(tmp_path, "-c", "from labctl.plugins import load_driver; load_driver('palmsens', '', '')")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_of_other_things_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "photo.txt").touch()
    assert python(tmp_path, "-m", "labctl", *DRY_RUN).returncode == 0


def test_the_bench_is_not_taken_from_the_working_directory(tmp_path: Path) -> None:
    """The program does not look there (-P, as the installed `labctl`); what it starts must not either."""
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "__init__.py").write_text(NEVER_RUN)
    data = ("--data", str(tmp_path / "data"))
    labctl = ("-P", "-c", "from labctl.cli import main; main()")
    try:
        done = python(tmp_path, *labctl, "sim", *data)
        assert done.returncode == 0, done.stderr
    finally:
        python(tmp_path, *labctl, "sim", "--stop", *data)
