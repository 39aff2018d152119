"""A data directory whose runs go to a server elsewhere: here the service of another data directory."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiled.config import parse_configs

from labctl.commands.runs import show_run, show_runs
from labctl.errors import ConfigurationError, StoreError
from labctl.records.station import load_station, packaged_config
from labctl.runs.query import RunQuery
from labctl.store.client.store import Store
from labctl.store.client.verify import verify_run
from labctl.store.lab_store import lab_store_named_by, use_lab_store
from labctl.store.server.service import (
    ensure_service,
    service_status,
    start_service_in_background,
    stop_service,
)
from tests.helpers import wait_until
from tests.labctl.store.fault_proxy import FaultProxy


def station_file(folder: Path, uri: str, key: str, name: str = "station") -> Path:
    """A simulated station that ships to `uri`, with its key beside it."""
    (folder / "lab.key").write_text(f"{key}\n")
    (folder / "lab.key").chmod(0o600)
    station = yaml.safe_load(packaged_config("sim.yaml").read_text())
    station |= {"name": name, "store": {"uri": uri, "api_key_file": "lab.key"}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(station))
    return path


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def proxies() -> Iterator[Callable[..., FaultProxy]]:
    made: list[FaultProxy] = []

    def make(target: int, port: int) -> FaultProxy:
        made.append(FaultProxy(target, port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def test_runs_go_to_the_lab_wide_store_once_it_answers(
    served: Store, tmp_path: Path, run_writer: Any, free_port: int, proxies: Callable[..., FaultProxy]
) -> None:
    lab = ensure_service(served.data_directory)
    station = load_station(station_file(tmp_path, f"http://127.0.0.1:{free_port}/api/v1", lab.api_key))
    data = tmp_path / "data"
    earlier = run_writer(data, plan_name="earlier")
    earlier.stop()
    began = time.monotonic()
    start_service_in_background(data, station)
    assert time.monotonic() - began < 5, "a measurement does not wait for a server that is down"
    run = run_writer(data, plan_name="elsewhere", cell={"id": "lab-1"})
    run.stream()
    run.page(1000)
    wait_until(
        lambda: "refused" in service_status(data)["error"] or "Connect" in service_status(data)["error"]
    )
    status = service_status(data)
    assert (status["running"], status["lab_wide"], status["uri"]) == (
        True,
        True,
        f"http://127.0.0.1:{free_port}/api/v1",
    )
    with Store(data) as store:
        assert [r.plan_name for r in store.runs()] == ["elsewhere", "earlier"]
        with pytest.raises(StoreError, match="does not answer"):
            store.client  # noqa: B018
        proxies(int(lab.uri.split(":")[2].split("/")[0]), free_port)
        run.page(500)
        run.stop()
        assert store.wait_until_shipped(run.uid, 60)
        assert store.wait_until_shipped(earlier.uid, 20)
        assert served.client[run.uid].metadata["labctl"]["rows"] == {"timeseries": 1500}
        assert verify_run(store, run.uid).rows == {"timeseries": 1500}
        assert [found.uid for found in store.runs(limit=50)].count(run.uid) == 1
    assert not (data / "store" / "catalogue.db").exists(), "no server of its own"
    assert service_status(data)["error"] == ""
    stop_service(data)


def test_runs_of_other_stations_are_listed_found_and_read(
    served: Store, tmp_path: Path, writer: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lab = ensure_service(served.data_directory)
    run = writer(plan_name="of_another_station", cell={"id": "other-7"}, tags=["pressed again"])
    run.stream()
    run.page(7)
    run.stop()
    assert served.wait_until_shipped(run.uid, 20)
    data = tmp_path / "reading only"
    data.mkdir()
    use_lab_store(data, lab_store_named_by(load_station(station_file(tmp_path, lab.uri, lab.api_key))))
    show_runs(data, limit=5, as_json=False, query=RunQuery(cell="other-7"))
    listed = capsys.readouterr().out
    assert run.uid[:8] in listed
    assert "in the store only" in " ".join(listed.split())  # a narrow terminal folds it
    show_run(run.uid[:10], data, as_json=False)
    shown = capsys.readouterr().out
    assert "removed; read from the document store" in shown
    assert "pressed again" in shown


def refusal(data: Path, station: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        use_lab_store(data, lab_store_named_by(load_station(station)))
    return str(caught.value)


def test_a_key_that_is_not_there_or_not_private_is_refused_by_name(tmp_path: Path) -> None:
    station = station_file(tmp_path, "https://lab.example/api/v1", "abc")
    key = tmp_path / "lab.key"
    key.chmod(0o644)
    assert "api_key_file" in refusal(tmp_path, station)
    assert "chmod 600" in refusal(tmp_path, station)
    key.chmod(0o600)
    for content in ("", "two words", "größe"):
        key.write_text(content)
        assert str(key) in refusal(tmp_path, station)
    key.unlink()
    assert "cannot be read" in refusal(tmp_path, station)


def test_one_data_directory_has_one_store(tmp_path: Path) -> None:
    one = station_file(tmp_path, "https://one.example/api/v1", "abc", "one")
    use_lab_store(tmp_path / "data", lab_store_named_by(load_station(one)))
    use_lab_store(tmp_path / "data", lab_store_named_by(load_station(one)))
    use_lab_store(tmp_path / "data", None)
    other = station_file(tmp_path, "https://other.example/api/v1", "abc", "other")
    assert "go to https://one.example/api/v1; take another data directory" in refusal(
        tmp_path / "data", other
    )
    note = tmp_path / "data" / "store" / "lab-store.json"
    assert note.stat().st_mode & 0o777 == 0o600
    assert b"abc" not in note.read_bytes()
    note.write_bytes(b"{")
    assert "lab-store.json: content: is damaged" in refusal(tmp_path / "data", one)


def test_the_example_of_a_server_configuration_is_one_that_tiled_accepts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = packaged_config("sim.yaml").with_name("tiled-lab.example.yml")
    settings = {
        "LAB_DATABASE": "postgresql://a:b@127.0.0.1:5432",
        "LAB_ADMIN_PASSWORD": "p",
        "LAB_SECRET_KEY": "s",
    }
    for name, value in settings.items():
        assert f"${{{name}}}" in example.read_text()
        monkeypatch.setenv(name, value)
    [tree] = parse_configs(example).trees
    assert tree.args["uri"] == "postgresql://a:b@127.0.0.1:5432/tiled_catalogue"
    assert os.environ["LAB_DATABASE"]
