"""The lab-wide store as documented: a real PostgreSQL, Tiled's own server, two stations at once, two keys."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from tiled.client import from_uri
from tiled.queries import Key

from labctl.records.station import packaged_config
from labctl.runs.listing import list_runs
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.server.service import service_status, stop_service
from tests.helpers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CELL = str(packaged_config("cells/lic-ncm.yaml"))
DATABASES = ("tiled_catalogue", "tiled_tables", "tiled_people")
READING = ["read:metadata", "read:data"]
WRITING = [*READING, "create:node", "write:metadata", "write:data"]
PASSWORD = secrets.token_hex(8)


def program(name: str) -> str:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"PostgreSQL is not installed ({name} not found)")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL cluster of its own, with the three databases; `postgresql://user@host:port`."""
    initdb, server, createdb = program("initdb"), program("postgres"), program("createdb")
    # PostgreSQL does not run as root, and pytest's directories are closed to others.
    owner = {"user": "postgres"} if os.getuid() == 0 else {}
    place, port = Path(tempfile.mkdtemp(prefix="labctl-pg-")), str(free_port())
    if owner:
        try:
            shutil.chown(place, "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user `postgres`")
    quiet: dict[str, Any] = {"check": True, "capture_output": True, "cwd": "/"}
    subprocess.run([initdb, "-D", place / "data", "-A", "trust", "-U", "tiled"], **quiet, **owner)
    command = [server, "-D", place / "data", "-p", port, "-k", place, "-c", "listen_addresses=127.0.0.1"]
    with (place / "log").open("wb") as log:
        cluster = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **owner)
    access = ["-h", "127.0.0.1", "-p", port, "-U", "tiled"]
    try:
        wait_until(lambda: subprocess.run([createdb, *access, DATABASES[0]]).returncode == 0, 60)
        for name in DATABASES[1:]:
            subprocess.run([createdb, *access, name], check=True)
        yield f"postgresql://tiled@127.0.0.1:{port}"
    finally:
        cluster.terminate()
        cluster.wait(60)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`tiled serve config` with the documented configuration; its address."""
    port, log = free_port(), tmp_path_factory.mktemp("tiled") / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILED_")}
    environment |= {"LAB_DATABASE": database, "LAB_ADMIN_PASSWORD": PASSWORD, "LAB_SECRET_KEY": "s" * 64}
    example = packaged_config("sim.yaml").with_name("tiled-lab.example.yml")
    tiled = [str(Path(sys.executable).with_name("tiled")), "serve", "config", str(example)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*tiled, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=output,
        )
    uri = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{uri}/healthz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, 120)
        yield f"{uri}/api/v1"
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def key(server: str) -> Callable[[list[str]], str]:
    """Makes API keys, as `tiled login` and `tiled api_key create` do."""

    def make(scopes: list[str]) -> str:
        [provider] = httpx.get(f"{server}/").json()["authentication"]["providers"]
        form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
        token = httpx.post(provider["links"]["auth_endpoint"], data=form).json()["access_token"]
        answer = httpx.post(
            f"{server}/auth/apikey",
            json={"scopes": scopes, "expires_in": None},
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.raise_for_status().json()["secret"]

    return make


def start_station(folder: Path, name: str, server: str, key: str) -> subprocess.Popen[str]:
    """A real `labctl run` of a simulated station that ships to the server."""
    folder.mkdir()
    (folder / "lab.key").write_text(key)
    (folder / "lab.key").chmod(0o600)
    station = yaml.safe_load(packaged_config("sim.yaml").read_text())
    station |= {"name": name, "data": "data", "store": {"uri": server, "api_key_file": "lab.key"}}
    (folder / "station.yaml").write_text(yaml.safe_dump(station))
    command = [sys.executable, "-m", "labctl", "run", "gitt", "--station", "station.yaml", "--cell", CELL]
    command += ["--fresh", "--set", "pulses=2", "--set", "first_rest_second=10", "--set", "direction=charge"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, **pipes)


def test_two_stations_ship_at_once_and_everybody_reads_equal_rows(
    server: str, key: Callable[[list[str]], str], tmp_path: Path
) -> None:
    writing, reading = key(WRITING), key(READING)
    names = ("press-1", "press-2")
    started = [start_station(tmp_path / name, name, server, writing) for name in names]
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    try:
        for name in names:
            data = tmp_path / name / "data"
            [run] = list_runs(data)
            with Store(data) as store:
                assert store.wait_until_shipped(run.uid, 120), service_status(data)
                found = verify_run(store, run.uid)
                assert found.differences == ()
                assert found.rows["timeseries"] == run.points > 100
                assert {other.station for other in store.runs()} >= {name}
            assert service_status(data)["refused"] == {}
    finally:
        for name in names:
            stop_service(tmp_path / name / "data")
    with Store(data) as store:
        assert {run.station for run in store.runs()} == set(names), "all stations' runs are listed"
    client = from_uri(server, api_key=reading)
    for name in names:
        found = client.search(Key("start.station.name") == name)
        [run] = found.values()
        voltage = run["timeseries"].read()["voltage_volt"].values
        [local] = list_runs(tmp_path / name / "data")
        with Store(tmp_path / name / "data") as store:
            np.testing.assert_array_equal(
                store.read(local.uid, "timeseries", "journal")["voltage_volt"], voltage
            )
        documents = [document for document, _ in run.documents()]
        assert (documents[0], documents[-1]) == ("start", "stop")
    with pytest.raises(httpx.HTTPStatusError, match="Not enough permissions"):
        client.create_container("mine")
    client.context.close()


def test_the_database_refuses_rows_that_are_sent_twice(
    server: str, key: Callable[[list[str]], str], tmp_path: Path, run_writer: Any
) -> None:
    from labctl.store.connection import plain_container
    from labctl.store.ship.run_shipper import RunShipper

    run = run_writer(tmp_path)
    run.stream(keys={"only_here": {"source": "t", "dtype": "number", "shape": [], "object_name": "c"}})
    run.page(2500, only_here=np.arange(2500.0))
    run.stop()
    client = from_uri(server, api_key=key(WRITING))
    shipper = RunShipper(plain_container(client), run.directory, tmp_path / "refused")
    while shipper.state != "complete":
        shipper.advance(100, 0.0)
    table = plain_container(client)[run.uid].base["timeseries"].base["internal"]
    rows = table.read()
    assert rows["seq_num"].to_list() == list(range(1, 2501))
    with pytest.raises(httpx.HTTPStatusError):
        table.append_partition(0, rows)
    assert len(table.read(["seq_num"])) == 2500
    client.context.close()
