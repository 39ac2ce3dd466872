"""Rows as JSON objects (RFC 8259), one a line, written whole columns at a time.

Numbers are the shortest text that reads back as the same number; a decimal is a string, as its digits are to be kept;
dates and times are ISO 8601 strings; a missing value is null, a special missing value of SAS the string `.A`.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.formats import cells
from hilum.model.dataset import Dataset, Variable

_ESCAPED = b'"\\' + bytes(range(32))


class Rows:
    """Makes bytes of batches. `before` and `after` stand around every object."""

    def __init__(
        self, dataset: Dataset, refuse: cells.Refuse, *, before: str = "", after: str = "", letters: bool
    ) -> None:
        self._dataset = dataset
        self._refuse = refuse
        self._letters = letters
        names = [json.dumps(name, ensure_ascii=False) for name in dataset.names]
        starts = [f"{before}{{{names[0]}:", *(f",{name}:" for name in names[1:])] if names else [f"{before}{{"]
        self._starts = [pa.scalar(start) for start in starts]
        self._end = pa.scalar(f"}}{after}")
        self._row = 0

    def bytes(self, batch: pa.RecordBatch) -> memoryview:
        """Raises DataError, through `refuse`, where a number is none (NaN, infinity): JSON has none of these."""
        pieces: list[pa.Array | pa.Scalar] = []
        for start, variable, column in zip(self._starts, self._dataset.variables, batch.columns, strict=True):
            pieces += [start, pc.fill_null(self._values(variable, column), "null")]
        self._row += batch.num_rows
        return cells.lines([*pieces, self._end])

    def _values(self, variable: Variable, column: pa.Array) -> pa.Array:
        if pa.types.is_floating(column.type) and not variable.counted:
            column = self._finite(variable, column)
        text = cells.text(column, variable, self._refuse, self._row, letters=self._letters)
        if pa.types.is_string(column.type) or variable.counted:
            return quoted(text)
        if pa.types.is_floating(column.type) and (codes := cells.special(column)) is not None:
            where = cells.missing_mask(codes)
            return cells.changed(text, where, quoted(text.filter(pa.array(where))))
        return text

    def _finite(self, variable: Variable, column: pa.Array) -> pa.Array:
        values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False)
        bad = ~np.isfinite(values)
        if not bad.any():
            return column
        if (codes := cells.special(column)) is not None:
            bad &= ~cells.missing_mask(codes)
        for place in np.flatnonzero(bad):
            self._refuse(self._row + int(place) + 1, variable.name, values[place], "JSON has no NaN and no infinity")
        return pc.if_else(pa.array(bad), pa.scalar(None, pa.float64()), column)


def quoted(column: pa.Array) -> pa.Array:
    """Texts as JSON strings."""
    found = pc.binary_join_element_wise('"', column, '"', "")
    where = cells.holding(column, _ESCAPED)
    if where is None:
        return found
    part = [text if text is None else json.dumps(text, ensure_ascii=False) for text in _list(column, where)]
    return cells.changed(found, where, pa.array(part, pa.string()))


def _list(column: pa.Array, where: cells.Mask) -> list[str | None]:
    found: list[str | None] = column.filter(pa.array(where)).to_pylist()
    return found
