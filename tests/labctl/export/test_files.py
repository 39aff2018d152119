"""Where exported files go: their names, no overwriting, all or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.errors import ConfigurationError, LabctlError
from labctl.export.campaign import runs_of_campaign
from labctl.export.files import file_stem, written_whole
from labctl.export.run import FORMATS, export_run
from tests.labctl.export.conftest import CAMPAIGN, Measured

START = {"uid": "31e3ab14-3780", "time": 1.79e9, "plan_name": "gitt", "cell": {"id": "lic-1"}}


def test_a_name_says_cell_plan_date_and_uid() -> None:
    assert file_stem(START) == "lic-1__gitt__20260921_31e3ab14"


@pytest.mark.parametrize(
    ("changes", "stem"),
    [
        ({"plan_name": "gitt / with EIS: 60 °C"}, "lic-1__gitt-with-EIS-60-C__20260921_31e3ab14"),
        ({"plan_name": "../../etc/passwd"}, "lic-1__etc-passwd__20260921_31e3ab14"),
        ({"cell": None}, "no-cell__gitt__20260921_31e3ab14"),
        ({"cell": "older record"}, "older-record__gitt__20260921_31e3ab14"),
        ({"plan_name": "x" * 300}, f"lic-1__{'x' * 60}__20260921_31e3ab14"),
        ({"plan_name": "", "cell": {"id": "\x00/"}}, "no-cell__run__20260921_31e3ab14"),
    ],
)
def test_a_name_is_safe_whatever_the_run_is_called(changes: dict, stem: str) -> None:
    assert file_stem({**START, **changes}) == stem


@pytest.mark.parametrize("format", FORMATS)
def test_what_exists_is_not_overwritten_unless_forced(
    measured: Measured, tmp_path: Path, format: str
) -> None:
    first = export_run(measured.store, measured.uid, format, tmp_path)
    assert all(file.is_file() for file in first)
    first[0].write_bytes(b"somebody's own work")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ConfigurationError, match="exists already; --force replaces it"):
        export_run(measured.store, measured.uid, format, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert export_run(measured.store, measured.uid, format, tmp_path, force=True) == first
    assert first[0].read_bytes() != b"somebody's own work"


def test_two_formats_share_the_sidecar_of_one_run(measured: Measured, tmp_path: Path) -> None:
    export_run(measured.store, measured.uid, "bdf", tmp_path)
    export_run(measured.store, measured.uid, "parquet", tmp_path)
    assert len(list(tmp_path.glob("*.bdf.metadata.json"))) == 1


def write(target: Path, text: str, meanwhile: Callable[[], object]) -> None:
    with written_whole(target, force=False) as path:
        path.write_text(text)
        meanwhile()


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "run.csv", "half a ", lambda: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "run.csv"
    with pytest.raises(ConfigurationError, match="exists already"):
        write(target, "ours", lambda: target.write_text("theirs"))
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_too_large_for_the_disk_leaves_nothing_behind(measured: Measured, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from labctl.export.run import export_run; from labctl.store.client.store import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))\n"
        "export_run(Store(Path(sys.argv[1])), 'last', 'bdf', Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(measured.store.data_directory), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "cannot be written" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(measured: Measured, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabctlError, match=r"file/sub.*cannot be written"):
        export_run(measured.store, measured.uid, "bdf", tmp_path / "file" / "sub")


def test_an_unknown_format_is_refused_with_those_that_are_there(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must be one of bdf, parquet, csv, xlsx, hdf5"):
        export_run(measured.store, measured.uid, "mat", tmp_path)


def test_the_runs_of_a_campaign_are_found(measured: Measured) -> None:
    assert runs_of_campaign(measured.store, CAMPAIGN) == [measured.uid]
    with pytest.raises(ConfigurationError, match="no run has this campaign_uid"):
        runs_of_campaign(measured.store, "campaign 7")


def test_the_command_line_exports_runs_and_says_where_they_are(measured: Measured, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labctl", "export", "last", "--campaign", CAMPAIGN, "--format", "csv"]
    command += ["--output", str(tmp_path), "--data", str(measured.store.data_directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(done.stdout.split()) == sorted(str(file) for file in tmp_path.iterdir())
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("format", ["bdf", "parquet", "csv", "hdf5"])
def test_a_million_rows_take_less_than_300_megabytes(tmp_path: Path, format: str) -> None:
    from tests.labctl.export.long_run import write_long_run

    uid = write_long_run(tmp_path / "data", 1_000_000)
    command = [sys.executable, "-m", "labctl", "export", uid, "--format", format]
    command += ["--output", str(tmp_path / "out"), "--data", str(tmp_path / "data")]
    pid = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    assert usage.ru_maxrss < 300_000
