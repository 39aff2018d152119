"""The wire format against the vendor's published samples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.palmsens.methodscript import error_text, literal, parse_package, parse_value
from labctl.errors import TransportError

PREFIX = {"": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}


def literal_value(text: str) -> float:
    digits = text.rstrip("munpfa")
    return int(digits) * PREFIX[text[len(digits) :]]


def test_the_published_impedance_package_gives_frequency_and_signed_impedance() -> None:
    frequency, real, imaginary = parse_package("PdcDF5DFF4u;cc896D904m,10,287;cd82DB1A8u,10,287")
    assert (frequency.kind, frequency.value) == ("dc", pytest.approx(99.999732, rel=1e-12))
    assert (real.kind, real.value, real.status, real.range_index) == ("cc", 9885.956, 0, 0x87)
    assert (imaginary.kind, imaginary.value) == ("cd", 2.9946)


def test_the_published_scan_package_gives_potential_and_current() -> None:
    potential, current = parse_package("Pda7F85F3Fu;ba48D503Dp,10,288")
    assert potential.value == pytest.approx(-0.499905, abs=1e-9)
    assert current.value == pytest.approx((0x48D503D - 2**27) * 1e-12)
    assert current.range_index == 0x88


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("837C2B0u", 3.65432),
        ("80F4240n", 1e-3),
        ("7F0BDC0n", -1e-3),
        ("80F4240 ", 1e6),
        ("8989680n", 0.01),
        ("8000000 ", 0.0),
        ("8000007i", 7.0),
    ],
)
def test_values_decode_to_the_nearest_double(text: str, value: float) -> None:
    assert parse_value(text) == value


def test_not_a_number_stays_not_a_number() -> None:
    assert math.isnan(parse_value("     nan"))


@pytest.mark.parametrize(
    "line",
    ["", "P", "Pab", "Pab837C2B0", "Pab837C2Bu", "Pab837c2b0u", "PAB837C2B0u", "Pab837C2B0u;", "Pab837C2B0ux",
     "Pab837C2B0u,1", "Pab837C2B0u,1Z", "Pab837C2B0u,,", "xPab837C2B0u", "Pab837C2B0u;ba80F42"],
)  # fmt: skip
def test_a_damaged_package_is_refused_and_never_guessed(line: str) -> None:
    with pytest.raises(TransportError):
        parse_package(line)


@given(st.text(max_size=60))
def test_garbage_never_raises_anything_but_a_transport_error(text: str) -> None:
    try:
        parse_package("P" + text)
    except TransportError:
        return


def test_overload_bits_are_kept() -> None:
    (value,) = parse_package("Pba80F4240n,12,218")
    assert value.status == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.3, "4300m"),
        (-1e-4, "-100u"),
        (84e-6, "84u"),
        (600.0, "600"),
        (58.5, "58500m"),
        (0.0, "0"),
        (1e-9, "1n"),
    ],
)
def test_literals_are_integers_with_a_prefix(value: float, text: str) -> None:
    assert literal(value) == text


@given(st.floats(min_value=1e-11, max_value=9e7) | st.floats(min_value=-9e7, max_value=-1e-11))
def test_literals_are_true_to_half_a_millionth_for_any_value_a_cell_needs(value: float) -> None:
    text = literal(value)
    assert "." not in text
    assert "e" not in text
    assert literal_value(text) == pytest.approx(value, rel=5.1e-7, abs=1e-18)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9, 1e-25])
def test_what_cannot_be_written_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        literal(value)


def test_errors_are_told_in_words_with_their_number() -> None:
    assert error_text(0x0032) == "critical cell overload, measurement aborted (error 0032)"
    assert "0F0F" in error_text(0x0F0F)
