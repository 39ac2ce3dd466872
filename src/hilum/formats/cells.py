"""Columns of a data set as text, and rows of text as bytes: whole columns at a time, never cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.formats import missing, sas_time
from hilum.model.dataset import Variable

Refuse = Callable[[int, str, object, str], None]
"""What is done with a value that cannot be represented: its row from 1, its variable, itself and why."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]
_LETTERS = pa.array([f".{chr(code)}" if chr(code) in missing.LETTERS else None for code in range(256)])
_NOTHING = pa.scalar(None, pa.string())
_FEW = 8  # marks that are sooner looked for one by one than all at once


def text(column: pa.Array, variable: Variable, refuse: Refuse, row: int, *, letters: bool = True) -> pa.Array:
    """The column as text, a missing value as null; `row` rows went before it.

    Numbers are the shortest text that reads back as the same number, booleans `true` and `false`, SAS's counts ISO
    8601 text; a count that has no such text is refused. A special missing value is `.A`, or null without `letters`.
    """
    if pa.types.is_string(column.type):
        return column
    if not pa.types.is_floating(column.type):
        return pc.cast(column, pa.string())
    codes = special(column)
    shown = np.zeros(len(column), np.bool_) if codes is None else missing_mask(codes)
    if variable.counted:
        plain, unfit = sas_time.iso(column, variable.type)
        for place in unfit:
            if not shown[place]:
                reason = f"this count of SAS is no {variable.type}"
                refuse(row + place + 1, variable.name, column[place].as_py(), reason)
    else:
        plain = pc.cast(column, pa.string())
    if codes is None:
        return plain
    return pc.if_else(pa.array(shown), _LETTERS.take(pa.array(codes)) if letters else _NOTHING, plain)


def special(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """The letters (`missing.letters`) of a float column, 0 where it is null; None where it has no NaN at all."""
    if not pc.any(pc.is_nan(column)).as_py():
        return None
    return missing.letters(pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False))


def missing_mask(codes: np.ndarray[Any, np.dtype[np.uint8]]) -> Mask:
    """Where a special missing value of SAS stands."""
    found: Mask = (codes != 0) & (codes != 255)
    return found


def holding(column: pa.Array, marks: bytes) -> Mask | None:
    """Which cells of a text column hold one of the ASCII characters; None where no cell does."""
    offsets, data = _bytes(column)
    table = np.zeros(256, np.bool_)
    table[list(marks)] = True
    if len(marks) <= _FEW:
        raw = data.tobytes()
        if not any(mark in raw for mark in marks):
            return None
    places = np.flatnonzero(table[data])
    if not len(places):
        return None
    found = np.zeros(len(column), np.bool_)
    found[np.searchsorted(offsets, places, "right") - 1] = True
    return found


def beginning(column: pa.Array, marks: bytes) -> Mask | None:
    """Which cells of a text column begin with one of the ASCII characters; None where no cell does."""
    offsets, data = _bytes(column)
    table = np.zeros(256, np.bool_)
    table[list(marks)] = True
    found: Mask = offsets[1:] > offsets[:-1]
    found[found] = table[data[offsets[:-1][found]]]
    return found if found.any() else None


def changed(column: pa.Array, where: Mask, values: pa.Array) -> pa.Array:
    """The column with other values, in their order, in the cells that `where` marks."""
    return pc.replace_with_mask(column, pa.array(where), values)


def lines(pieces: Sequence[pa.Array | pa.Scalar]) -> memoryview:
    """Each row's pieces one after the other, and the rows one after the other; what is null is nothing."""
    rows = pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")
    _, data = _bytes(rows)
    return data.data


def _bytes(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int32]], np.ndarray[Any, np.dtype[np.uint8]]]:
    """A text column's offsets, from 0, and its bytes, without a copy."""
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, np.int32, count=len(column) + 1, offset=4 * column.offset)
    if data is None:
        return offsets, np.zeros(0, np.uint8)
    return offsets - offsets[0], np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
