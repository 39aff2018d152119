"""Which model an instrument is: named in the station file, and by the instrument itself."""

from __future__ import annotations

import pytest

from devices.core.models import ModelChoice
from devices.keithley.driver import Keithley2450
from devices.keithley.models import MODELS
from devices.palmsens.driver import PalmSens
from labctl.errors import ConfigurationError, DeviceError, InstrumentError


def test_every_driver_refuses_an_unknown_model_with_those_it_knows() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^Keithley2450: model = '2400': allowed are 2450, 2460, 2461$"
    ):
        Keithley2450("TCPIP::h::5025::SOCKET", name="c", model="2400")
    with pytest.raises(ConfigurationError, match=r"^PalmSens: model = 'EmStat3': allowed are EmStat4 HR, .+"):
        PalmSens("/dev/ttyACM0", name="c", model="EmStat3")


def test_a_number_in_a_station_file_is_a_model_too() -> None:
    assert ModelChoice("Keithley2450", MODELS, 2461).known is MODELS["2461"]


def test_the_model_that_answers_counts_once_it_is_known() -> None:
    choice = ModelChoice("Keithley2450", MODELS)
    with pytest.raises(DeviceError, match=r"^smu: not connected$"):
        choice.require("smu")
    choice.take(MODELS["2460"], "GPIB0::18", "2460")
    assert choice.require("smu") is MODELS["2460"]


def test_an_unsupported_or_unexpected_model_is_refused_and_not_taken() -> None:
    choice = ModelChoice("Keithley2450", MODELS, "2450")
    with pytest.raises(
        InstrumentError, match=r"^GPIB0::18: model '2400' is not supported; supported are 2450, 2460, 2461$"
    ):
        choice.take(MODELS.get("2400"), "GPIB0::18", "2400")
    with pytest.raises(
        InstrumentError, match=r"^GPIB0::18: the station expects Keithley 2450, but Keithley 2461 answers$"
    ):
        choice.take(MODELS["2461"], "GPIB0::18", "2461")
    assert choice.known is MODELS["2450"]
