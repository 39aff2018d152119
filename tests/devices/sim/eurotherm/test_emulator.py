"""The emulated controller, asked by pymodbus's own clients: registers, refusals, EEPROM, control, time."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerType

from tests.devices.eurotherm.eurotherm_host import LittleBench, little_bench
from tests.helpers import wait_until

ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3


@pytest.fixture
def bench() -> Iterator[LittleBench]:
    with little_bench() as made:
        yield made


@pytest.fixture(params=["socket", "rtu"])
def client(request: pytest.FixtureRequest, bench: LittleBench) -> Iterator[ModbusTcpClient]:
    framer = FramerType(request.param)
    with ModbusTcpClient("127.0.0.1", port=bench.port, framer=framer, timeout=1, retries=0) as made:
        yield made


def read(client: ModbusTcpClient | ModbusSerialClient, address: int, count: int = 1) -> list[int]:
    return list(client.read_holding_registers(address, count=count, device_id=1).registers)


def settle(bench: LittleBench) -> None:
    """Let the controller come to rest."""
    wait_until(lambda: bench.call(bench.emulator.loop.settled))


def test_one_port_answers_modbus_tcp_and_rtu(client: ModbusTcpClient) -> None:
    assert read(client, 1, 5) == [250, 250, 0, 0, 250]
    assert read(client, 11, 2) == [0, 3000]
    assert read(client, 107) == [0x0213]


def test_the_pseudo_terminal_answers_rtu(bench: LittleBench) -> None:
    path = bench.call(bench.emulator.open_pty)
    with ModbusSerialClient(path, baudrate=9600, timeout=1, retries=0) as client:
        assert read(client, 1, 2) == [250, 250]
        assert not client.write_register(24, 300, device_id=1).isError()
    assert bench.emulator.loop.setpoints[0] == 30.0


def test_every_register_is_there_again_as_a_float(client: ModbusTcpClient) -> None:
    high, low = read(client, 0x8000 + 2 * 12, 2)
    assert struct.unpack(">f", struct.pack(">HH", high, low)) == (300.0,)


@pytest.mark.parametrize("address", [0, 10, 999, 0x8000 + 2 * 12 + 1])
def test_a_register_that_is_not_there_is_refused(client: ModbusTcpClient, address: int) -> None:
    answer = client.read_holding_registers(address, count=2, device_id=1)
    assert answer.isError()
    assert answer.exception_code == ILLEGAL_ADDRESS


@pytest.mark.parametrize(("address", "value"), [(24, 2501), (24, 0xFFFF), (276, 2), (35, 30001)])
def test_a_value_out_of_its_limits_is_refused_and_changes_nothing(
    client: ModbusTcpClient, bench: LittleBench, address: int, value: int
) -> None:
    before = read(client, address)
    answer = client.write_register(address, value, device_id=1)
    assert answer.exception_code == ILLEGAL_VALUE
    assert read(client, address) == before
    assert bench.eeprom_writes == 0


def test_what_can_only_be_read_cannot_be_written(client: ModbusTcpClient) -> None:
    assert client.write_register(5, 300, device_id=1).exception_code == ILLEGAL_ADDRESS


def test_floats_are_written_in_pairs_and_not_by_function_6(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    pair = list(struct.unpack(">HH", struct.pack(">f", 41.25)))
    assert client.write_register(0x8000 + 2 * 24, pair[0], device_id=1).exception_code == ILLEGAL_ADDRESS
    assert not client.write_registers(0x8000 + 2 * 24, pair, device_id=1).isError()
    assert bench.emulator.loop.setpoints[0] == 41.25


def test_each_write_to_eeprom_is_counted_even_of_the_same_value(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    for register, value in ((2, 300), (24, 300), (24, 300), (25, 310), (26, 320), (35, 20)):
        assert not client.write_register(register, value, device_id=1).isError()
    assert bench.emulator.eeprom_writes == {2: 1, 24: 2, 25: 1}


def test_another_unit_and_an_unknown_function_get_no_answer(bench: LittleBench) -> None:
    with ModbusTcpClient("127.0.0.1", port=bench.port, timeout=0.2, retries=0) as client:
        with pytest.raises(ModbusIOException):
            client.read_holding_registers(1, device_id=2)
        with pytest.raises(ModbusIOException):
            client.read_device_information(device_id=1)
        assert read(client, 1) == [250]


def test_a_loopback_is_echoed(client: ModbusTcpClient) -> None:
    assert client.diag_query_data(b"\x12\x34", device_id=1).message == b"\x12\x34"


def test_from_25_to_60_degrees_takes_20_to_40_minutes_and_then_time_stands_still(
    bench: LittleBench, client: ModbusTcpClient
) -> None:
    client.write_register(24, 600, device_id=1)
    settle(bench)
    assert bench.celsius() == pytest.approx(60.0, abs=0.05)
    assert 20 * 60 < bench.now() < 40 * 60
    rested = bench.now()
    for _ in range(20):
        read(client, 1)
    threading.Event().wait(0.2)
    assert bench.now() == rested
    bench.sleep(36_000.0)
    assert bench.celsius() == pytest.approx(60.0, abs=0.05)


def test_a_rate_limit_ramps_the_working_setpoint(client: ModbusTcpClient, bench: LittleBench) -> None:
    client.write_register(35, 10, device_id=1)  # 1.0 K/min
    client.write_register(24, 600, device_id=1)
    settle(bench)
    assert bench.now() >= 35 * 60.0
    assert bench.celsius() == pytest.approx(60.0, abs=0.05)


def test_a_setpoint_beyond_the_heater_ends_at_full_power_without_running_time_forever(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    client.write_register(24, 2500, device_id=1)
    settle(bench)
    assert read(client, 4) == [1000]
    assert bench.celsius() == pytest.approx(175.0, abs=0.1)
    client.write_register(24, 600, device_id=1)  # no windup: it comes down again at once
    settle(bench)
    assert bench.celsius() == pytest.approx(60.0, abs=0.05)


def test_the_remote_setpoint_holds_only_while_it_is_refreshed() -> None:
    with little_bench(remote_wall_second=0.3) as bench:
        with ModbusTcpClient("127.0.0.1", port=bench.port, timeout=1, retries=0) as client:
            client.write_register(26, 400, device_id=1)
            client.write_register(276, 1, device_id=1)
            assert read(client, 75)[0] & 1 << 14 == 0
            wait_until(lambda: bool(read(client, 75)[0] & 1 << 14), 2.0)
            settle(bench)
            assert read(client, 5) == [250]
            assert bench.celsius() == pytest.approx(25.0, abs=0.05)
            client.write_register(26, 400, device_id=1)
            assert read(client, 75)[0] & 1 << 14 == 0
        assert bench.eeprom_writes == 0


@pytest.mark.parametrize(("fault", "bit"), [("sensor_break", 5), ("over_range", 10), ("manual", 4)])
def test_a_fault_is_a_status_bit_until_it_is_cleared(
    client: ModbusTcpClient, bench: LittleBench, fault: str, bit: int
) -> None:
    bench.inject(fault)
    assert read(client, 75)[0] & 1 << bit
    bench.inject("clear")
    assert read(client, 75)[0] & 1 << bit == 0


def test_a_failed_heater_is_seen_as_soon_as_there_is_output(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    bench.inject("heater_fail")
    assert read(client, 75)[0] & 1 << 7 == 0
    client.write_register(24, 600, device_id=1)
    wait_until(lambda: bool(read(client, 75)[0] & 1 << 7))
    settle(bench)
    assert bench.celsius() == pytest.approx(25.0, abs=0.05)


def test_a_stuck_sensor_lets_the_die_run_away(client: ModbusTcpClient, bench: LittleBench) -> None:
    bench.inject("stuck_sensor")
    client.write_register(24, 600, device_id=1)
    settle(bench)
    assert read(client, 1) == [250]
    assert bench.celsius() > 150.0


def test_a_jumping_sensor_disturbs_the_reading_and_not_the_die(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    bench.inject("jumping_sensor", amplitude_kelvin=5.0)
    seen = [read(client, 1)[0] for _ in range(20)]
    assert len(set(seen)) > 5
    assert all(199 < value < 301 for value in seen)
    assert bench.celsius() == pytest.approx(25.0, abs=0.05)


def test_a_reading_that_is_no_number_is_the_smallest_integer(
    client: ModbusTcpClient, bench: LittleBench
) -> None:
    bench.inject("nan")
    assert read(client, 1) == [0x8000]


def test_after_a_reboot_setpoints_are_kept_and_the_remote_one_is_not(bench: LittleBench) -> None:
    with ModbusTcpClient("127.0.0.1", port=bench.port, timeout=1, retries=0) as client:
        client.write_register(24, 300, device_id=1)
        client.write_register(26, 400, device_id=1)
        bench.inject("reboot")
    with ModbusTcpClient("127.0.0.1", port=bench.port, timeout=1, retries=0) as client:
        assert read(client, 24) == [300]
        client.write_register(276, 1, device_id=1)
        assert read(client, 75)[0] & 1 << 14


@pytest.mark.parametrize(
    ("fault", "arguments", "words"),
    [
        ("meteor", {}, "must be one of"),
        ("jumping_sensor", {"amplitude_kelvin": -1.0}, "amplitude_kelvin"),
        ("sensor_break", {"seconds": 3}, "seconds"),
    ],
)
def test_an_impossible_fault_is_refused_in_words(
    bench: LittleBench, fault: str, arguments: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        bench.inject(fault, **arguments)


def test_the_bench_record_tells_setpoints_and_faults(client: ModbusTcpClient, bench: LittleBench) -> None:
    client.write_register(24, 300, device_id=1)
    bench.inject("sensor_break")
    kinds = [(entry["kind"], entry.get("value")) for entry in bench.record.entries()]
    assert ("setpoint", 30.0) in kinds
    assert ("fault", None) in kinds
