"""Values and literals as MethodSCRIPT instruments write them."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sim.palmsens.package_text import encode_value, parse_literal


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (99.999732, "DF5DFF4u"),  # the instrument's own samples, then their neighbours
        (9885.956, "896D904m"),
        (2.9946, "82DB1A8u"),
        (3.65432, "837C2B0u"),
        (1e-3, "80F4240n"),
        (-1e-3, "7F0BDC0n"),
        (1e6, "80F4240 "),
        (0.01, "8989680n"),
        (0.0, "8000000 "),
        (nan, "     nan"),
        (-inf, "     nan"),
        (11, "800000Bi"),
        (-1, "7FFFFFFi"),
    ],
)
def test_values_are_encoded_byte_for_byte_as_published(number: float, encoded: str) -> None:
    assert encode_value(number) == encoded


def test_the_published_voltammetry_package_is_reproduced() -> None:
    potential = (int("7F85F3F", 16) - 2**27) * 1e-6
    current = (int("48D503D", 16) - 2**27) * 1e-12
    assert f"Pda{encode_value(potential)};ba{encode_value(current)},10,288" == "Pda7F85F3Fu;ba48D503Dp,10,288"


@given(st.floats(min_value=1e-15, max_value=1e20) | st.floats(min_value=-1e20, max_value=-1e-15))
def test_the_smallest_prefix_that_fits_is_taken(number: float) -> None:
    encoded = encode_value(number)
    digits, prefix = int(encoded[:7], 16) - 2**27, "afpnum kMGTPE".index(encoded[7])
    scale = 10.0 ** (3 * prefix - 18)
    assert abs(digits) < 2**27
    assert abs(digits * scale - number) <= 0.5000001 * scale
    assert prefix == 0 or abs(number / scale * 1000) >= 2**27 - 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4300m", 4.3),
        ("-100u", -1e-4),
        ("11i", 11),
        ("0x1F", 31),
        ("0", 0.0),
        ("58500m", 58.5),
        ("1M", 1e6),
        ("100m", 0.1),
        ("3600", 3600.0),
        ("4.3", None),
        ("1e3", None),
        ("--1", None),
        ("", None),
        ("5x", None),
        ("99999999999", None),
    ],
)
def test_literals_are_integers_with_an_si_prefix(text: str, number: float | None) -> None:
    found = parse_literal(text)
    assert found == number
    assert type(found) is type(number)
