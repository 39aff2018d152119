"""The Modbus link on a bad line: no answer of another question, none damaged, no hang; refusals in words."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU, ReadHoldingRegistersRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from devices.transport.line_query import NoAnswerError
from devices.transport.modbus import Frames, ModbusLink, RtuFrames, TcpFrames
from labctl.errors import DeviceError, InstrumentError, TransportError
from tests.devices.eurotherm.eurotherm_host import BadLink, LittleBench, Mangle, bad_link, little_bench

TRUTH = {12: 3000, 107: 0x0213, 111: 2500, 122: 0xE320, 525: 1}  # registers that never change
TIMEOUT = 0.1


@pytest.fixture(scope="module")
def bench() -> Iterator[LittleBench]:
    with little_bench() as made:
        yield made


@contextmanager
def opened(address: str, protocol: str = "rtu", timeout_second: float = TIMEOUT) -> Iterator[ModbusLink]:
    link = ModbusLink(
        address, protocol=protocol, timeout_second=timeout_second, gap_second=0.0, four_reads_too=True
    )
    link.open()
    try:
        yield link
    finally:
        link.close()


@pytest.fixture(params=["rtu", "tcp"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def lines(bench: LittleBench) -> Iterator[dict[str, tuple[BadLink, ModbusLink]]]:
    """An open link of each kind; they survive what the tests do to them."""
    with bad_link(bench) as one, bad_link(bench) as other:
        with opened(one.address, "rtu") as rtu, opened(other.address, "tcp") as tcp:
            yield {"rtu": (one, rtu), "tcp": (other, tcp)}


@pytest.fixture
def line(lines: dict[str, tuple[BadLink, ModbusLink]], protocol: str) -> tuple[BadLink, ModbusLink]:
    wire, link = lines[protocol]
    wire.mangle = lambda data: [(0.0, data)]
    for _ in range(10):
        try:
            assert link.read(12) == (TRUTH[12],)
            break
        except NoAnswerError:  # what the last test has left behind
            continue
    return wire, link


@pytest.fixture
def wire(bench: LittleBench) -> Iterator[BadLink]:
    with bad_link(bench) as made:
        yield made


def once(damage: Mangle) -> Mangle:
    """Do it to the next piece only."""
    seen = []

    def mangle(data: bytes) -> list[tuple[float, bytes]]:
        seen.append(data)
        return damage(data) if len(seen) == 1 else [(0.0, data)]

    return mangle


def test_a_register_that_is_not_there_is_refused_in_words(line: tuple[BadLink, ModbusLink]) -> None:
    _, link = line
    with pytest.raises(InstrumentError, match=r"register 999: refused, illegal data address") as caught:
        link.read(999)
    assert caught.value.code == 2
    with pytest.raises(InstrumentError, match=r"writing 9999 to register 24: refused, illegal data value"):
        link.write(24, 9999)
    assert link.read(12) == (3000,)


def test_a_late_answer_is_not_taken_for_the_next_question(line: tuple[BadLink, ModbusLink]) -> None:
    wire, link = line
    wire.mangle = once(lambda data: [(2.5 * TIMEOUT, data)])
    with pytest.raises(NoAnswerError):
        link.read(12)
    answers = []
    deadline = time.monotonic() + 3.0
    while len(answers) < 3 and time.monotonic() < deadline:
        try:
            answers.append(link.read(107))
        except NoAnswerError:
            continue
    assert answers == [(0x0213,)] * 3


def test_an_answer_that_comes_twice_is_not_taken_for_the_next_question(
    line: tuple[BadLink, ModbusLink],
) -> None:
    wire, link = line
    wire.mangle = lambda data: [(0.0, data), (0.01, data)]
    for register in [12, 107, 111, 122] * 3:
        try:
            assert link.read(register) == (TRUTH[register],)
        except NoAnswerError:
            continue


DAMAGES: dict[str, Mangle] = {
    "garbage before": lambda data: [(0.0, b"\xfe\x17\x00\x03" + data)],
    "garbled": lambda data: [(0.0, data[:-3] + bytes([data[-3] ^ 0x40]) + data[-2:])],
    "truncated": lambda data: [(0.0, data[:-2])],
    "lost": lambda data: [],
    "split": lambda data: [(0.005, data[i : i + 1]) for i in range(len(data))],
    "two at once": lambda data: [(0.0, data + data)],
}
HARMLESS = {("rtu", "split"), ("tcp", "split"), ("tcp", "two at once")}
UNSEEN = {("tcp", "garbled")}  # Modbus TCP has no checksum of its own


@pytest.mark.parametrize(
    ("protocol", "damage"), [(p, d) for p in ("rtu", "tcp") for d in DAMAGES if (p, d) not in UNSEEN]
)
def test_a_damaged_answer_is_not_taken_and_the_next_one_is_right(
    line: tuple[BadLink, ModbusLink], protocol: str, damage: str
) -> None:
    wire, link = line
    wire.mangle = once(DAMAGES[damage])
    if (protocol, damage) in HARMLESS:
        assert link.read(107) == (TRUTH[107],)
    else:
        with pytest.raises(TransportError):
            link.read(107)
        if protocol == "tcp":  # its driver opens the connection again
            link.close()
            link.open()
    assert link.read(111) == (2500,)


def test_no_wrong_value_in_hundreds_of_bad_answers_and_every_call_returns_in_time(
    wire: BadLink,
) -> None:
    assert good_share(wire, rounds=100) > 0.1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_wrong_value_in_ten_thousand_bad_answers(wire: BadLink) -> None:
    assert good_share(wire, rounds=10_000) > 0.1


def good_share(wire: BadLink, rounds: int) -> float:
    """Reads over a very bad RTU line; the share that came through, all of them right."""
    chance, timeout, good = random.Random(7), 0.03, 0

    def mangle(data: bytes) -> list[tuple[float, bytes]]:
        kind = chance.choice(["good"] * 20 + ["garbage", "flip", "cut", "lost", "late", "twice", "split"])
        spot = chance.randrange(len(data))
        pieces = {
            "good": [(0.0, data)],
            "garbage": [(0.0, chance.randbytes(spot + 1) + data)],
            "flip": [(0.0, data[:spot] + bytes([data[spot] ^ (1 << spot % 8)]) + data[spot + 1 :])],
            "cut": [(0.0, data[:spot])],
            "lost": [],
            "late": [(1.5 * timeout, data)],
            "twice": [(0.0, data), (0.0, data)],
            "split": [(0.0, data[:spot]), (0.002, data[spot:])],
        }
        return [(delay, piece) for delay, piece in pieces[kind] if piece]

    with opened(wire.address, timeout_second=timeout) as link:
        wire.mangle = mangle
        for _ in range(rounds):
            register, began = chance.choice(list(TRUTH)), time.monotonic()
            try:
                assert link.read(register) == (TRUTH[register],)
                good += 1
            except NoAnswerError:
                pass
            assert time.monotonic() - began < 2.0
    return good / rounds


def question(register: int, count: int, number: int) -> ReadHoldingRegistersRequest:
    return ReadHoldingRegistersRequest(dev_id=1, address=register, count=count, transaction_id=number)


def answer_bytes(protocol: str, values: list[int], number: int, unit: int = 1) -> bytes:
    framer = (FramerRTU if protocol == "rtu" else FramerSocket)(DecodePDU(is_server=True))
    return framer.buildFrame(ReadHoldingRegistersResponse(unit, number, registers=values))


def taken(frames: Frames, data: bytes, request: ModbusPDU) -> list[int] | None:
    try:
        answer = frames.take(bytearray(data), request)
    except TransportError:
        return None
    return None if answer is None else list(answer.registers)


@given(
    values=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=5),
    spoil=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 30),
    rubbish=st.binary(max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_whatever_becomes_of_an_rtu_frame_only_the_true_values_are_taken(
    values: list[int], spoil: list[tuple[int, int]], cut: int, rubbish: bytes
) -> None:
    whole = answer_bytes("rtu", values, 0)
    frame = bytearray(whole)
    for place, byte in spoil:
        frame[place % len(frame)] = byte
    data = rubbish + bytes(frame[: len(frame) - cut % len(frame)])
    got = taken(RtuFrames(), data, question(1, len(values), 0))
    assert got is None or (got == values and data == whole)


@given(data=st.binary(max_size=40), count=st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_no_answer_and_no_crash(data: bytes, count: int) -> None:
    assert taken(RtuFrames(), data, question(1, count, 0)) is None
    taken(TcpFrames(), data, question(1, count, 77))


def test_ten_thousand_mangled_frames_yield_no_wrong_value() -> None:
    chance, rtu = random.Random(3), RtuFrames()
    for _ in range(10_000):
        values = [chance.randrange(0x10000) for _ in range(chance.randint(1, 5))]
        whole = answer_bytes("rtu", values, 0)
        frame = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
        data = bytes(frame[: chance.randint(1, len(frame))])
        got = taken(rtu, data, question(1, len(values), 0))
        assert got is None or data == whole


@pytest.mark.parametrize(
    ("asked", "values", "number", "unit"),
    [(2, [5], 9, 1), (1, [5, 6], 9, 1), (1, [5], 8, 1), (1, [5], 9, 2)],
)
def test_a_tcp_answer_of_another_size_number_or_unit_is_not_taken(
    asked: int, values: list[int], number: int, unit: int
) -> None:
    frames, request = TcpFrames(), question(1, asked, 9)
    data = answer_bytes("tcp", values, number, unit)
    got = taken(frames, data, request)
    assert got is None or len(got) != asked
    assert taken(frames, answer_bytes("tcp", [7] * asked, 9), request) == [7] * asked


def test_tcp_answers_to_older_questions_are_passed_over() -> None:
    late = answer_bytes("tcp", [5], 8)
    assert taken(TcpFrames(), late + late + answer_bytes("tcp", [7], 9), question(1, 1, 9)) == [7]


def test_a_line_that_never_falls_silent_is_an_error_in_time(bench: LittleBench) -> None:
    with bad_link(bench) as wire:
        wire.mangle = lambda data: [(0.0, b"\x55" * 400) for _ in range(3000)]
        with opened(wire.address) as link:
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(DeviceError):
                    link.read(12)
                assert time.monotonic() - began < 2.0


def test_the_gap_before_the_next_question_is_kept(bench: LittleBench) -> None:
    link = ModbusLink(bench.address, timeout_second=1.0, gap_second=0.03)
    link.open()
    link.read(12)
    began = time.monotonic()
    for _ in range(4):
        link.read(12)
    assert time.monotonic() - began >= 0.11
    link.close()
