"""Stations, their files, and how faults in any file are told."""

from pathlib import Path

import pytest

from labctl.errors import ConfigurationError
from labctl.records.cell import load_cell
from labctl.records.station import Station, load_station, packaged_config, resolve_data_directory

CONFIG = Path(__file__).parents[3] / "config"
SIMULATED = "name: s\nsimulate: {}\ndevices:\n  cycler:\n    driver: palmsens\n"
REAL = "name: s\ndevices:\n  cycler:\n    driver: palmsens\n    address: /dev/ttyACM0\n"


@pytest.fixture
def station_file(tmp_path):
    def write(text):
        path = tmp_path / "station.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def refused(station_file):
    """Load a station from a text that is wrong; the message without the file's name."""

    def load(text):
        path = station_file(text)
        with pytest.raises(ConfigurationError) as caught:
            load_station(path)
        assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
        return str(caught.value).replace(f"{path}: ", "")

    return load


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("*.yaml")), ids=lambda p: p.name)
def test_every_file_in_config_loads(path):
    record = load_cell(path) if path.parent.name == "cells" else load_station(path)
    assert record


def test_the_simulated_station_says_how_it_is_simulated():
    station = load_station(packaged_config("sim.yaml"))
    assert station.simulate is not None
    assert (station.simulate.seed, station.simulate.speed, station.simulate.stoichiometry) == (1, "max", 0.90)
    assert station.simulate.pressure_pa == pytest.approx(50e6)
    assert station.devices["cycler"].address is None
    dumped = station.model_dump(mode="json")
    assert Station.model_validate(dumped).model_dump(mode="json") == dumped


def test_a_simulate_block_has_defaults(station_file):
    station = load_station(station_file(SIMULATED))
    assert station.simulate is not None
    assert (station.simulate.seed, station.simulate.speed, station.simulate.temperature_celsius) == (
        1,
        "max",
        25,
    )
    assert (station.simulate.ageing, station.simulate.spread) == (True, 0.0)


def test_the_example_of_a_real_bench_has_an_address_and_is_not_simulated():
    station = load_station(packaged_config("bench.example.yaml"))
    assert station.simulate is None
    assert station.devices["cycler"].address is not None


def test_a_station_knows_its_file(station_file):
    path = station_file(SIMULATED)
    assert load_station(path).path == path.resolve()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REAL + "  balance:\n    driver: b\n", "devices.balance.address: is missing; a real station"),
        (SIMULATED + "    address: COM3\n", "devices.cycler.address: 'COM3' is not allowed on a simulated"),
        (REAL + "    shared: true\n", "devices.cycler.shared: hardware shared by several cells needs a"),
        (REAL.replace("cycler", "meter"), "devices: the role 'cycler' is missing"),
        (REAL.replace("palmsens", "os:system"), "devices.cycler.driver = 'os:system': must be the name"),
        (REAL.replace("/dev/ttyACM0", "spy:///dev/x?file=/tmp/y"), "devices.cycler.address = 'spy:///dev/x?f"),
        (REAL.replace("/dev/ttyACM0", "''"), "devices.cycler.address = '': must be a serial port"),
        (REAL.replace("address", "adress"), "devices.cycler.adress = '/dev/ttyACM0': is not"),
        (REAL.replace("name: s", "name: a/b"), "name = 'a/b': must begin with a letter"),
        (
            REAL + "store: {uri: localhost, api_key_file: key}\n",
            "store.uri = 'localhost': must be http://host:port",
        ),
        (
            REAL + "store: {uri: 'http://me:key@host', api_key_file: key}\n",
            "store.uri = 'http://me:key@host': must be",
        ),
        (REAL + "limits: {voltage_max_volt: .nan}\n", "limits.voltage_max_volt = nan: must be"),
        (REAL + "limits: {voltage_min_volt: 3, voltage_max_volt: 2}\n", "limits: voltage_min_volt 3 V must"),
        (SIMULATED.replace("{}", "{speed: 0}"), "simulate.speed = 0: must be 'max' or a number > 0"),
        (SIMULATED.replace("{}", "{speed: fast}"), "simulate.speed = 'fast': must be 'max' or a number > 0"),
        (SIMULATED.replace("{}", "{speed: .inf}"), "simulate.speed = inf: must be 'max' or a number > 0"),
        (SIMULATED.replace("{}", "{seed: true}"), "simulate.seed = True: must be a whole number"),
        (SIMULATED.replace("{}", "{stoichiometry: 90}"), "simulate.stoichiometry = 90: must be less than 1"),
        (SIMULATED.replace("{}", "{ageing: 1}"), "simulate.ageing = 1: must be a valid boolean"),
        (SIMULATED.replace("{}", "{spread: 0.5}"), "simulate.spread = 0.5: must be less than or equal to"),
        (SIMULATED.replace("{}", "{pressure_pa: 5e7}"), "simulate.pressure_pa = 50000000.0: is not a known"),
        ("name: s\n", "devices: is missing; it is required"),
        ("- 1\n", "content: must be 'field: value' lines"),
        ("", "content: must be 'field: value' lines"),
        ("name: [s\n", "line 2, column 1: is not YAML"),
        (REAL + "name: t\n", "line 6, column 1: the field 'name' is given twice"),
        ("1: 2\n", "line 1, column 1: the key 1 must be text"),
        ("a: {b: 15,3}\n", "line 1, column 11: the key 3 must be text; a number is written with a"),
        (
            SIMULATED.replace("{}", "{spread: '0,1'}"),
            "simulate.spread = '0,1': must be a plain number; with a decimal point: 0.1",
        ),
        ("? [a]\n: 2\n", "line 1, column 3: the key ['a'] must be text"),
        ("name: !!python/object/apply:os.getcwd []\n", "line 1, column 7: YAML tags (!...) are not"),
        ("name: !!timestamp 2024-99-99\n", "YAML: cannot be read"),
        ("a: &x [1]\nb: *x\n", "line 2, column 4: aliases (*name) are not allowed here"),
        ("a: " + "[" * 30 + "]" * 30, "line 1, column 23: is nested deeper than 20"),
        ("a: " + "[" * 100_000, "line 1, column 23: is nested deeper than 20"),
        ("# " + "x" * 1_000_000, "file: is larger than 1000000 bytes"),
        (b"name: \xff\n", "byte 6: is not UTF-8 text"),
        (b"name: a\x00b\n", "YAML: cannot be read: "),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_wrong_station_is_refused_in_one_line(refused, text, message):
    found = refused(text)
    assert found.startswith(message)
    assert "\n" not in found


def test_several_faults_are_several_lines(refused):
    text = SIMULATED.replace("{}", "{speed: 0, seed: -1}") + "colour: red\n"
    assert len(refused(text).splitlines()) == 3


def test_a_hundred_faults_do_not_fill_the_screen(refused):
    text = SIMULATED + "".join(f"field{i}: 1\n" for i in range(100))
    lines = refused(text).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 90 more"


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name):
    with pytest.raises(ConfigurationError, match="file: cannot be opened"):
        load_station(tmp_path / name)


def test_numbers_and_words_are_read_as_people_mean_them(station_file):
    text = REAL + "    options: {a: 1e-3, b: on, c: 010, d: 12:30, e: 2024-01-01, f: 0x10}\n"
    options = load_station(station_file(text)).devices["cycler"].options
    assert options == {"a": 1e-3, "b": "on", "c": 10.0, "d": "12:30", "e": "2024-01-01", "f": "0x10"}


def test_the_data_directory_is_the_option_before_the_variable_before_the_station(station_file, tmp_path):
    station = load_station(station_file(REAL + "data: ../measured\n"))
    environ = {"LABCTL_DATA": str(tmp_path / "variable")}
    assert resolve_data_directory(tmp_path / "option", station, environ) == tmp_path / "option"
    assert resolve_data_directory(None, station, environ) == tmp_path / "variable"
    assert resolve_data_directory(None, station, {}) == tmp_path.parent / "measured"
    assert resolve_data_directory(None, station, {"LABCTL_DATA": ""}) == tmp_path.parent / "measured"


@pytest.mark.parametrize("name", ["sim.yaml", "bench.example.yaml", None])
def test_packaged_stations_and_none_put_data_in_the_working_directory(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    station = load_station(packaged_config(name)) if name else None
    assert resolve_data_directory(None, station, {}) == tmp_path / "labctl-data"


@pytest.mark.parametrize("name", ["nothing.yaml", "../pyproject.toml", "/etc/passwd", "README.md"])
def test_a_packaged_file_is_found_by_its_name_only(name):
    with pytest.raises(
        ConfigurationError,
        match=r"must be one of bench-keithley\.example\.yaml, bench\.example\.yaml, cells/",
    ):
        packaged_config(name)
