"""SAS's special missing values, `._` and `.A` to `.Z`, inside of a 64-bit float.

A plain missing value `.` is a null. A special one is a quiet NaN whose lowest byte is its letter (ASCII), so that it
passes Arrow, Parquet and numpy unharmed. A NaN without a letter is no missing value of SAS: it is not a number.
Source: SAS 9.4 Language Reference, "Missing Values".
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

LETTERS = "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_QUIET = 0x7FF8_0000_0000_0000


def special(letter: str) -> float:
    """The float of `letter`. Raises ValueError where SAS knows no such missing value."""
    if len(letter) != 1 or letter not in LETTERS:
        raise ValueError(f"SAS has no missing value .{letter}")
    found: float = struct.unpack("<d", struct.pack("<Q", _QUIET | ord(letter)))[0]
    return found


def letter(value: float) -> str:
    """The letter of a special missing value, empty where `value` is none."""
    if value == value:
        return ""
    found = chr(int(struct.unpack("<Q", struct.pack("<d", value))[0] & 0xFF))
    return found if found in LETTERS else ""


def letters(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The letter (ASCII code) of each value, 0 for numbers; 255 for a NaN that is no missing value."""
    low = (values.view(np.uint64) & 0xFF).astype(np.uint8)
    known = np.isin(low, np.frombuffer(LETTERS.encode(), np.uint8))
    return np.where(np.isnan(values), np.where(known, low, 255), 0).astype(np.uint8)
