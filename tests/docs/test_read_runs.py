"""The example of docs/how-to/read-runs-with-tiled.md, on a finished and on a running run of a real station."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labctl.plugins import load_executor, load_plan
from labctl.session import Session
from labctl.store.client import Store
from labctl.store.service import ensure_service, stop_service
from tests.helpers import in_background, wait_until

SCRIPT = Path(__file__).parents[2] / "docs" / "how-to" / "example" / "read_runs.py"


def described(data: Path, cell: str) -> dict[str, Any]:
    service = ensure_service(data)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), service.uri, cell],
        env={**os.environ, "TILED_API_KEY": service.api_key},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
