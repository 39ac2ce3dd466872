"""Rows from Arrow record batches into a transport file, in slices of bounded size and without a loop over rows.

A null number is SAS's missing value `.`; a null text is blank, as SAS has no other missing text, and is read as "".
Text loses the blanks at its end. Booleans are 1 and 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats.xpt import header, ibm_float, text
from hilum.formats.xpt.header import NUMBER, Member, Namestr
from hilum.formats.xpt.ibm_float import Floats
from hilum.formats.xpt.reader import record

_AT_ONCE = 1024 * 1024  # bytes of rows that are made at once: they stay in the processor's cache
_EXACT = 1 << 53  # integers up to here are doubles

Refuse = Callable[[int, str, object, str], None]


class Writer:
    """Writes one data set. `refuse` is told a value that has no place (row, name, value, reason): it is missing."""

    def __init__(self, file: BinaryIO, member: Member, encoding: str, refuse: Refuse) -> None:
        self.file = file
        self.member = member
        self.encoding = encoding
        self.refuse = refuse
        self.rows = 0
        self.blank = 0  # rows at the end that are all blank
        self._width = member.width
        self._slice = max(1, _AT_ONCE // self._width)
        self._record = np.empty(self._slice, record(member.variables))
        self._all_text = all(one.kind != NUMBER for one in member.variables)
        file.write(header.library(member.version, member.sas, member.platform, member.created))
        file.write(header.member(member))

    def write(self, batch: pa.RecordBatch) -> None:
        """Raises what `refuse` raises."""
        for at in range(0, batch.num_rows, self._slice):
            self._write(batch.slice(at, self._slice))

    def close(self) -> None:
        """Fill up the last card. Raises DataError where another number of rows was announced."""
        if self.member.rows != self.rows:
            raise DataError(f"{self.member.rows:,} rows were announced, and {self.rows:,} written")
        self.file.write(header.padding(self.rows * self._width))
        self.file.close()

    def _write(self, part: pa.RecordBatch) -> None:
        rows = self._record[: part.num_rows]
        for place, one in enumerate(self.member.variables):
            fill = self._numbers if one.kind == NUMBER else self._text
            fill(rows[str(place)], part.column(place), one)
        data = rows.view(np.uint8)
        self.file.write(data.data)
        if self._all_text:
            used = np.flatnonzero((data.reshape(len(rows), self._width) != ord(" ")).any(axis=1))
            self.blank = len(rows) - 1 - int(used[-1]) if used.size else self.blank + len(rows)
        self.rows += len(rows)

    def _numbers(self, field: Any, column: pa.Array, one: Namestr) -> None:
        bits, refused = ibm_float.encode(_doubles(column))
        known = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
        if known is not None:
            bits[~known] = ibm_float.MISSING
            refused = refused[known[refused]]
        self._refuse_numbers(bits, refused, column, one, ibm_float.reason)
        if pa.types.is_integer(column.type):
            self._refuse_numbers(bits, _inexact(column), column, one, lambda _: "is an integer that no double has")
        cut = ibm_float.longer(bits, one.length)
        self._refuse_numbers(bits, cut, column, one, lambda _: f"needs more than the {one.length} bytes of a value")
        field[...] = bits if one.length == 8 else bits.astype(">u8").view(np.uint8).reshape(-1, 8)[:, : one.length]

    def _refuse_numbers(self, bits: Any, rows: Any, column: pa.Array, one: Namestr, why: Callable[[Any], str]) -> None:
        for row in rows.tolist():
            value = column[row].as_py()
            self._refuse(row, one, value, why(value))
            bits[row] = ibm_float.MISSING

    def _text(self, field: Any, column: pa.Array, one: Namestr) -> None:
        encoded = text.encode(column, self.encoding)
        if encoded.null_count:
            encoded = self._without(
                encoded, encoded.is_null(), column, one, f"has characters that {self.encoding} lacks"
            )
        padded = text.pad(encoded, one.length)
        if padded is None:
            long = pc.greater(pc.binary_length(encoded), one.length)
            encoded = self._without(encoded, long, column, one, f"has more than the {one.length} bytes of a value")
            padded = text.pad(encoded, one.length)
        field[...] = padded

    def _without(self, encoded: pa.Array, bad: pa.Array, column: pa.Array, one: Namestr, why: str) -> pa.Array:
        for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist():
            self._refuse(row, one, column[row].as_py(), why)
        return pc.if_else(bad, pa.scalar(b""), encoded)

    def _refuse(self, row: int, one: Namestr, value: object, reason: str) -> None:
        self.refuse(self.rows + row + 1, one.name.decode(self.encoding), value, reason)


def _doubles(column: pa.Array) -> Floats:
    """The numbers as doubles; what stands for a null is any."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    values = column.buffers()[1]
    return np.frombuffer(values, np.float64, len(column), column.offset * 8)


def _inexact(column: pa.Array) -> Any:
    """The rows of integers that a double would change."""
    large = pc.or_(pc.greater(column, _EXACT), pc.less(column, -_EXACT)).fill_null(False)
    rows = np.flatnonzero(large.to_numpy(zero_copy_only=False))
    return np.array([row for row in rows.tolist() if int(float(column[row].as_py())) != column[row].as_py()], np.intp)
