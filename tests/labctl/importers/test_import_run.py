"""From a file to a run: marked, whole or not at all, once, and read like any other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.analysis.gitt.analysis import analyze_run
from labctl.analysis.sphere_diffusion import pulse_response, rest_response
from labctl.documents import RunTables, tables
from labctl.errors import ConfigurationError
from labctl.importers.run import import_file
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config
from labctl.runs.listing import list_runs
from labctl.store.client.store import Store
from tests.labctl.importers.damage import FILES, changed

CELL = load_cell(packaged_config("cells/bare-ncm.yaml"))
MPT = ["gcpl_comma.mpt", "peis_point.mpt", "ocv_comma.mpt", "modulo_bat.mpt", "gcpl_backward.mpt"]


def content(data: Path, uid: str) -> RunTables:
    return tables(Store(data).documents(uid))


@pytest.mark.parametrize("name", MPT)
def test_a_file_becomes_a_finished_run_that_says_where_it_is_from(tmp_path: Path, name: str) -> None:
    done = import_file(FILES / name, tmp_path, cell=CELL)
    run = content(tmp_path, done.uid)
    imported = run.start["imported"]
    assert imported["file"] == name
    assert imported["format"] == "mpt"
    assert len(imported["sha256"]) == 64
    assert imported["notices"] == list(done.notices)
    assert run.start["cell"]["id"] == CELL.id
    assert run.start["plan_name"] == done.plan_name
    assert run.stop is not None
    counts = {stream: len(next(iter(columns.values()))) for stream, columns in run.streams.items()}
    assert {k: n for k, n in run.stop["num_events"].items() if k != "alarms"} == done.rows
    assert {k: n for k, n in counts.items() if k != "alarms"} == done.rows
    (summary,) = list_runs(tmp_path)
    assert (summary.status, summary.points) == ("finished", done.rows.get("timeseries", 0))


def test_a_clock_that_begins_again_is_an_alarm_of_the_run(tmp_path: Path) -> None:
    done = import_file(FILES / "gcpl_backward.mpt", tmp_path)
    alarms = content(tmp_path, done.uid).stream("alarms")
    assert list(alarms["kind"]) == ["gap"]
    assert alarms["test_time_second"].tolist() == [660.001]
    assert "line 70" in str(alarms["action"][0])


def test_the_run_dates_from_when_it_was_measured(tmp_path: Path) -> None:
    import_file(FILES / "gcpl_comma.mpt", tmp_path)
    (summary,) = list_runs(tmp_path)
    assert summary.start_time.year == 2021
    assert summary.directory.parent.name == "2021-08-26"


def files_of_runs(data: Path) -> list[Path]:
    """All files but the lock and the table of runs, which is made anew whenever somebody looks."""
    return sorted(p for p in data.rglob("*") if p.name != "import.lock" and not p.name.startswith("index."))


def test_a_bad_file_leaves_the_data_directory_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    import_file(FILES / "ocv_comma.mpt", data)
    before = files_of_runs(data)
    bad = changed("gcpl_comma.mpt", tmp_path, lambda text: text[:-40])
    with pytest.raises(ConfigurationError, match="the file ends within it, after 14 of 16 fields"):
        import_file(bad, data)
    assert files_of_runs(data) == before


def test_a_file_is_imported_once(tmp_path: Path) -> None:
    first = import_file(FILES / "ocv_comma.mpt", tmp_path)
    with pytest.raises(ConfigurationError, match=f"is imported already, as run {first.uid}; --force"):
        import_file(FILES / "ocv_comma.mpt", tmp_path)
    second = import_file(FILES / "ocv_comma.mpt", tmp_path, force=True)
    assert second.uid != first.uid
    assert len(list_runs(tmp_path)) == 2


IMPORT = """
import os, resource, signal, sys
from pathlib import Path
from labctl.importers.run import import_file

def kill_before_publication(event, arguments):
    if event == "os.rename" and ".importing-" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "killed":
    sys.addaudithook(kill_before_publication)
else:  # as on a full disk: writes fail
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
import_file(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def import_in_trouble(tmp_path: Path, trouble: str) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    file, data = tmp_path / "big.bdf.csv", tmp_path / "data"
    file.write_text(
        "Test Time / s,Voltage / V,Current / A\n" + "".join(f"{t},3.1,0\n" for t in range(20_000))
    )
    command = [sys.executable, "-c", IMPORT, str(file), str(data), trouble]
    return file, data, subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_an_import_that_is_killed_leaves_no_run(tmp_path: Path) -> None:
    file, data, done = import_in_trouble(tmp_path, "killed")
    assert done.returncode == -signal.SIGKILL
    assert list(data.glob(".importing-*/runs/*/*/journal-0000.jsonl"))  # that far it had come
    assert list_runs(data) == []
    assert import_file(file, data).rows["timeseries"] == 20_000  # the lock fell with the process
    assert not list(data.glob(".importing-*"))


def test_a_full_disk_ends_the_import_and_leaves_nothing(tmp_path: Path) -> None:
    _, data, done = import_in_trouble(tmp_path, "full")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert not list(data.glob(".importing-*"))
    assert list_runs(data) == []


def test_a_column_map_belongs_to_csv_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="belongs to format csv"):
        import_file(FILES / "ocv_comma.mpt", tmp_path, format="mpt", columns=FILES / "lab_german.yaml")
    with pytest.raises(ConfigurationError, match="belongs to format csv"):
        import_file(FILES / "lab_german.csv", tmp_path, format="csv")
    done = import_file(FILES / "lab_german.csv", tmp_path, columns=FILES / "lab_german.yaml")
    about = content(tmp_path, done.uid).start["imported"]
    assert about["format"] == "csv"
    assert about["column_map"]["current_positive"] == "discharge"
    assert about["start_time_known"] is False


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "a,b\n1,2\n", "neither a BioLogic text export"),
        ("x.mpt", "", "neither a BioLogic text export"),
        ("x.bin", "\x00\x01\x02", "neither a BioLogic text export"),
    ],
)
def test_a_file_of_unknown_kind_is_refused_with_what_to_do(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        import_file(tmp_path / name, tmp_path / "data")


def test_a_file_that_is_not_there_or_a_directory_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mpt", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            import_file(path, tmp_path / "data")


def gitt_as_mpt(diffusion_time_second: float, pulses: int) -> str:
    """A GITT of a sphere with a known R^2/D as EC-Lab writes it: gapless pulses and rests, decimal comma."""
    tau, rest, step_volt, current = 600.0, 7200.0, 5e-3, 84e-6
    within = np.concatenate((np.arange(1, 50) * 0.2, np.arange(10, 601, 5.0)))
    resting = np.concatenate((within, np.arange(660, rest + 1, 60.0)))
    lines, time, volt = [], 0.0, 3.1
    for number in range(pulses + 1):
        history = np.zeros(len(resting))
        for before in range(number):  # what earlier pulses still relax
            since = resting + (number - 1 - before) * (tau + rest)
            history += step_volt * (rest_response(since, diffusion_time_second, tau) - 1)
        volts = volt + history
        lines += [_mpt_row(3, time + t, v, 0.0) for t, v in zip(resting, volts, strict=True)]
        time += rest
        if number == pulses:
            break
        history = np.zeros(len(within))
        for before in range(number):
            since = rest + within + (number - 1 - before) * (tau + rest)
            history += step_volt * (rest_response(since, diffusion_time_second, tau) - 1)
        volts = volt + history + step_volt * pulse_response(within, diffusion_time_second, tau) + 0.01
        lines += [_mpt_row(1, time + t, v, current) for t, v in zip(within, volts, strict=True)]
        time, volt = time + tau, volt + step_volt
    head = ["EC-Lab ASCII FILE", "Nb header lines : 6", "", "Galvanostatic Cycling with Potential Limitation"]
    columns = "\t".join(("mode", "Ns", "time/s", "Ewe/V", "<I>/mA", ""))
    return "".join(line + "\r\n" for line in [*head, "", columns, *lines])


def _mpt_row(mode: int, time: float, volt: float, ampere: float) -> str:
    numbers = (f"{time:.15E}", f"{volt:.9E}", f"{ampere * 1e3:.9E}")
    return "\t".join((str(mode), "0", *(number.replace(".", ",") for number in numbers)))


def test_a_gitt_measured_elsewhere_is_analysed(tmp_path: Path) -> None:
    path = tmp_path / "gitt.mpt"
    path.write_text(gitt_as_mpt(5000.0, 3), newline="")
    done = import_file(path, tmp_path / "data", cell=CELL)
    result = analyze_run(content(tmp_path / "data", done.uid))
    assert result.skipped == ()
    assert [pulse.direction for pulse in result.pulses] == ["charge"] * 3
    for pulse in result.pulses:
        assert pulse.diffusion_time_second == pytest.approx(5000.0, rel=0.03)
        assert pulse.charge_ah == pytest.approx(84e-6 * 600 / 3600, rel=1e-3)


def test_the_command_line_imports_and_tells_what_it_found(tmp_path: Path) -> None:
    def labctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "labctl", *arguments, "--data", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    done = labctl("import", str(FILES / "gcpl_backward.mpt"), str(FILES / "peis_point.mpt"))
    assert done.returncode == 0, done.stderr
    assert "imported-gcpl" in done.stdout
    assert "note: 1 row(s) whose time cannot be" in done.stdout
    assert {run["plan_name"] for run in json.loads(labctl("runs", "--json").stdout)} == {
        "imported-gcpl",
        "imported-peis",
    }
    again = labctl("import", str(FILES / "peis_point.mpt"))
    assert again.returncode == 2
    assert "is imported already" in again.stderr
