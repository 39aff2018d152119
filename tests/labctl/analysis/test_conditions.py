"""A number is no result without its conditions."""

import numpy as np
import pytest

from labctl.analysis.conditions import conditions_of, temperature_celsius, temperature_span_kelvin
from labctl.documents import RunTables
from labctl.records.cell import load_cell
from labctl.records.station import packaged_config


def run(environment=None, **start):
    streams = {} if environment is None else {"environment": environment}
    return RunTables(start, None, streams)


@pytest.fixture
def cell():
    return load_cell(packaged_config("cells/lic-ncm.yaml"))


def test_all_that_was_recorded_is_told(cell):
    environment = {
        "test_time_second": np.array([0.0, 60.0, 120.0]),
        "temperature_t1_celsius": np.array([25.0, np.nan, 25.6]),
        "surface_pressure_pa": np.array([50e6, 50e6, 50e6]),
    }
    asked = {"rate": "C/20", "pulses": 3, "soc_percent": [80, 50.5], "voltage_min_volt": None}
    told = conditions_of(
        run(environment, cell=cell.model_dump(mode="json"), plan_parameters=asked)
    ).describe()
    assert told == (
        "Conditions: 25 to 25.6 °C, 50 MPa, area 0.7854 cm², 8.4 mg of NCM811, 1C = 1.68 mA; "
        "rate C/20, pulses 3, soc_percent [80, 50.5]."
    )


def test_what_was_not_recorded_is_told_too(cell):
    told = conditions_of(run(cell=cell.model_dump(mode="json"))).describe()
    assert told.startswith("Conditions: temperature not recorded, 50 MPa by the cell record, area")
    assert conditions_of(run()).describe() == (
        "Conditions: temperature not recorded, stack pressure not recorded."
    )


def test_the_temperature_of_a_stretch_is_its_own_or_the_last_one_before_it():
    environment = {
        "test_time_second": np.array([0.0, 60.0, 120.0, 180.0]),
        "temperature_t1_celsius": np.array([25.0, 26.0, np.nan, 30.0]),
    }
    tables = run(environment)
    assert temperature_celsius(tables, 0, 60) == 25.5
    assert temperature_celsius(tables, 100, 130) == 26.0
    assert temperature_span_kelvin(tables, 0, 200) == 5.0
    assert np.isnan(temperature_celsius(run(), 0, 60))
