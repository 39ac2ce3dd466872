"""IBM System/360 hexadecimal floats of 8 bytes, as SAS transport files hold numbers, to and from IEEE doubles.

A sign, 7 bits of exponent (of 16, from -64) and 56 bits of fraction. A double of this range has an exact IBM float, and
comes back unchanged; of an IBM float with more than 53 significant bits the nearest double is given. SAS keeps a
shorter number as the first 2 to 7 bytes. A missing value has no fraction and `.`, `_` or a letter as its first byte.
Source: SAS TS-140, "Numeric data fields" and "Missing values".
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hilum.formats import missing

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Bits: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

LARGEST = float(np.nextafter(2.0**252, 0.0))  # 7.237e75
SMALLEST = 2.0**-260  # 5.398e-79, the smallest that keeps all its digits
MISSING = np.uint64(ord(".") << 56)

_FRACTION = np.uint64((1 << 56) - 1)
_SCALE = np.array([(-1.0 if byte & 0x80 else 1.0) * 2.0 ** (4 * ((byte & 0x7F) - 64) - 56) for byte in range(256)])
_WITHOUT_FRACTION = np.zeros(256)
for _letter in missing.LETTERS:
    _WITHOUT_FRACTION[ord(_letter)] = missing.special(_letter)


def decode(bits: Bits) -> tuple[Floats, Flags]:
    """The doubles, special missing values as `formats.missing` has them, and which rows are missing (`.`)."""
    first = (bits >> np.uint64(56)).astype(np.uint8)
    fraction = bits & _FRACTION
    values = fraction.view(np.int64).astype(np.float64)
    values *= _SCALE[first]
    bare = fraction == 0
    if bare.any():
        values[bare] = _WITHOUT_FRACTION[first[bare]]
    return values, bare & (first == ord("."))


def encode(values: Floats) -> tuple[Bits, Rows]:
    """The IBM floats, and the rows whose value has none (`reason` says why); these are missing."""
    raw = values.view(np.uint64)
    power = raw >> np.uint64(52)
    power &= np.uint64(0x7FF)
    power -= np.uint64(763)  # the power of 2 of the first digit's lowest bit, from the smallest; wraps below it
    odd = np.flatnonzero(power > 511)
    bits: Bits = raw & np.uint64((1 << 52) - 1)
    bits |= np.uint64(1 << 52)
    bits <<= power & np.uint64(3)
    power >>= np.uint64(2)
    power <<= np.uint64(56)
    bits |= power
    bits |= raw & np.uint64(1 << 63)
    if not odd.size:
        return bits, odd
    rest = values[odd]
    nan = np.isnan(rest)
    letters = np.zeros(len(rest), np.uint8)
    letters[nan] = missing.letters(rest[nan])
    special = nan & (letters < 255)
    bits[odd] = np.where(special, letters.astype(np.uint64) << np.uint64(56), np.where(rest == 0, 0, MISSING))
    return bits, odd[~special & (rest != 0)]


def reason(value: float) -> str:
    """Why the value has no IBM float."""
    if np.isnan(value):
        return "is not a number, and no missing value of SAS either"
    if abs(value) > LARGEST:
        return "is beyond the largest number of SAS transport, 7.237e75"
    return "is closer to zero than the smallest number of SAS transport, 5.398e-79"


def longer(bits: Bits, length: int) -> Rows:
    """The rows whose number loses digits where it is cut to its first `length` bytes."""
    if length >= 8:
        return np.empty(0, np.intp)
    return np.flatnonzero(bits & np.uint64((1 << (64 - 8 * length)) - 1))
