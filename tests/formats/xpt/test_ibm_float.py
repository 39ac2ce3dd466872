"""IBM floats: known bytes, exact both ways, and what has none."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import missing
from hilum.formats.xpt import ibm_float

KNOWN = {
    1.0: 0x4110000000000000,
    -118.625: 0xC276A00000000000,
    0.1: 0x401999999999999A,
    100.0: 0x4264000000000000,
    -1e10: 0xC92540BE40000000,
    ibm_float.LARGEST: 0x7FFFFFFFFFFFFFF8,
    ibm_float.SMALLEST: 0x0010000000000000,
}
IN_RANGE = st.floats(ibm_float.SMALLEST, ibm_float.LARGEST) | st.floats(-ibm_float.LARGEST, -ibm_float.SMALLEST)


def encoded(*values: float) -> tuple[list[int], list[int]]:
    bits, refused = ibm_float.encode(np.array(values, np.float64))
    return bits.tolist(), refused.tolist()


def decoded(*bits: int) -> tuple[Any, Any]:
    return ibm_float.decode(np.array(bits, np.uint64))


def exact(bits: int) -> Fraction:
    """The value as TS-140 defines it."""
    sign = -1 if bits >> 63 else 1
    return sign * Fraction(bits & ((1 << 56) - 1), 1 << 56) * Fraction(16) ** ((bits >> 56 & 0x7F) - 64)


@pytest.mark.parametrize("value", KNOWN)
def test_known_bytes(value: float) -> None:
    assert encoded(value) == ([KNOWN[value]], [])
    assert decoded(KNOWN[value])[0].tolist() == [value]


@given(st.lists(IN_RANGE, min_size=1))
def test_a_double_of_the_range_is_exact(values: list[float]) -> None:
    bits, refused = encoded(*values)
    assert not refused
    assert [exact(one) for one in bits] == [Fraction(value) for value in values]
    assert decoded(*bits)[0].tolist() == values


@given(st.integers(0, (1 << 64) - 1))
def test_any_bits_give_the_nearest_double(bits: int) -> None:
    (value,), (absent,) = decoded(bits)
    if bits & ((1 << 56) - 1):
        assert not absent
        assert value == float(exact(bits))


def test_zero_has_no_bit() -> None:
    assert encoded(0.0, -0.0) == ([0, 0], [])
    assert decoded(0, 1 << 63, 0x42 << 56 | 1 << 63)[0].tolist() == [0.0, 0.0, 0.0]


def test_missing_values_are_their_letter() -> None:
    values = [missing.special(letter) for letter in missing.LETTERS]
    bits, refused = encoded(*values)
    assert bits == [ord(letter) << 56 for letter in missing.LETTERS]
    assert not refused
    found, absent = decoded(*bits, ord(".") << 56)
    assert [missing.letter(value) for value in found[:-1]] == list(missing.LETTERS)
    assert absent.tolist() == [False] * len(values) + [True]


def test_a_fraction_makes_a_letter_a_number() -> None:
    assert decoded(0x4110000000000000)[0].tolist() == [1.0]
    assert decoded(0x2E10000000000000)[1].tolist() == [False]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nextafter(ibm_float.LARGEST, math.inf), "largest"),
        (-1e76, "largest"),
        (math.inf, "largest"),
        (math.nextafter(ibm_float.SMALLEST, 0), "smallest"),
        (-5e-324, "smallest"),
        (math.nan, "not a number"),
    ],
)
def test_what_has_no_ibm_float(value: float, why: str) -> None:
    assert encoded(1.0, value, 0.0) == ([KNOWN[1.0], ord(".") << 56, 0], [1])
    assert why in ibm_float.reason(value)


@pytest.mark.parametrize(("value", "bytes_needed"), [(1.0, 2), (65_535.0, 3), (65_536.0, 2), (0.1, 8), (2.0**52, 2)])
def test_how_many_bytes_a_number_needs(value: float, bytes_needed: int) -> None:
    bits = np.array(encoded(value)[0], np.uint64)
    assert next(length for length in range(2, 9) if not ibm_float.longer(bits, length).size) == bytes_needed
