"""Runs a script of `benchmarks/others` in the environment that `make bench` sets up for the other tools."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.table import Beside, reason_of

SCRIPTS = Path(__file__).parent / "others"
ENVIRONMENT = SCRIPTS.parents[1] / ".venv" / "others"
INSTALLED = ".installed"  # made by `make bench` when all of requirements.txt is there
LIMIT_SECOND = 600
ERROR_WIDTH = 150


class OtherToolError(Exception):
    """Another tool is not there, or did not do its work."""


def run_other(script: str, request: dict[str, Any], environment: Path = ENVIRONMENT) -> dict[str, Any]:
    """What `script` answers to `request`; it works in a folder of its own, `folder` in the request.

    Raises:
        OtherToolError: The environment was not set up, or the script failed or took too long.
    """
    if not (environment / INSTALLED).exists():
        raise OtherToolError(f"{environment} has not been set up; `make bench` does it")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(_python(environment)), str(SCRIPTS / script)]
        done = _process(command, json.dumps(request | {"folder": folder}), folder)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OtherToolError(f"{script}: {last[:ERROR_WIDTH]}")
    return json.loads(done.stdout.splitlines()[-1])


def beside_other(name: str, script: str, request: dict[str, Any]) -> Beside:
    """The alternative of that name, with the settings that the script reports."""
    try:
        answer = run_other(script, request)
    except OtherToolError as error:
        return Beside(name, None, str(error))
    settings = answer.get("settings")
    return Beside(f"{name} ({settings})" if settings else name, answer["value"])


def versions() -> dict[str, str]:
    """Versions of the tools named in requirements.txt that are installed there."""
    if not (ENVIRONMENT / INSTALLED).exists():
        return {}
    listed = subprocess.run(
        [str(_python(ENVIRONMENT)), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}
    lines = (SCRIPTS / "requirements.txt").read_text().splitlines()
    wanted = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
    return {name: found[name.lower()] for name in wanted if name.lower() in found}


def _process(command: list[str], request: str, home: str) -> subprocess.CompletedProcess[str]:
    """With a home of its own, where the tools may leave what they like."""
    environment = os.environ | {"HOME": home, "PYBAMM_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    try:
        return subprocess.run(
            command,
            input=request,
            capture_output=True,
            text=True,
            cwd=home,
            env=environment,
            timeout=LIMIT_SECOND,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OtherToolError(reason_of(error)) from error


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
