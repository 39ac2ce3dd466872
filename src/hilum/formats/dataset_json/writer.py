"""Dataset-JSON written in any of its three forms, a batch at a time.

Each column becomes text at once, and the columns are joined to lines in Arrow's own memory. The compressed form is
gzip without a time, as CDISC's examples are; its specification says a bare stream of zlib, and its authors mean to keep
gzip (issue 43 of cdisc-org/DataExchange-DatasetJson).
Source: CDISC Dataset-JSON 1.1, "Row Data", "Dataset-JSON as NDJSON", "Compressed Dataset-JSON"; RFC 8259.
"""

from __future__ import annotations

import enum
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hilum.formats import missing, sas_time
from hilum.model.dataset import Dataset, DataType, Variable

Refuse = Callable[[int, str, object, str], None]
"""Told of a value without a form: row (from 1), variable, value, reason. Where it returns, the value is missing."""

_PIECE = 1 << 25  # bytes of values that become text at once, so that memory has a bound and no array is too long
_LEVEL = 6  # zlib's: 9 takes almost three times as long to save half a per cent
_GZIP = zlib.MAX_WBITS | 16
_BACKSLASH = ord("\\")


class Form(enum.StrEnum):
    """The forms of Dataset-JSON, by their suffix."""

    JSON = "json"
    NDJSON = "ndjson"
    DSJC = "dsjc"


class Writer:
    """A data set that is being written to a stream, which stays open. `words` stand before the rows."""

    def __init__(
        self, stream: BinaryIO, form: Form, dataset: Dataset, words: Mapping[str, Any], refuse: Refuse
    ) -> None:
        self.rows = 0
        self._stream, self._dataset, self._refuse = stream, dataset, refuse
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if form is Form.DSJC else None
        self._within = form is Form.JSON
        head = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
        self._put(head[:-1] + b',"rows":[\n' if self._within else head + b"\n")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. Raises what `refuse` raises."""
        pieces = 1 + batch.nbytes // _PIECE
        length = 1 + batch.num_rows // pieces
        for start in range(0, batch.num_rows, length):
            self._add(batch.slice(start, length))

    def close(self) -> None:
        """Write what comes last."""
        if self._within:
            self._put(b"\n]}\n" if self.rows else b"]}\n")
        if self._packer:
            self._stream.write(self._packer.flush())

    def _add(self, batch: pa.RecordBatch) -> None:
        """Join the columns and what stands between them; quotes stand there too where a column has no nulls."""
        parts: list[str | pa.StringArray] = []
        between = "["
        for variable, column in zip(self._dataset.variables, batch.columns, strict=True):
            texts, quoted = self._texts(variable, column)
            if quoted and texts.null_count:
                texts, quoted = pc.binary_join_element_wise('"', texts, '"', ""), False
            parts += [between + '"' if quoted else between, texts]
            between = '",' if quoted else ","
        parts.append(between[:-1] + ("],\n" if self._within else "]\n"))
        lines = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="null")
        text = memoryview(lines.buffers()[2])[: _end(lines)]
        if self._within:  # the last row of all has no comma
            if self.rows:
                self._put(b",\n")
            text = text[:-2]
        self._put(text)
        self.rows += batch.num_rows

    def _put(self, data: bytes | memoryview) -> None:
        self._stream.write(self._packer.compress(data) if self._packer else data)

    def _texts(self, variable: Variable, column: pa.Array) -> tuple[pa.StringArray, bool]:
        """A column's values as JSON has them, nulls left as they are, and whether quotes belong around them."""
        if variable.counted:
            texts, wrong = sas_time.iso(column, variable.type)
            self._refuse_all(variable, column, wrong, f"the count is no {variable.type} of ISO 8601")
            return texts, True
        if pa.types.is_string(column.type):
            return _escaped(column), True
        if variable.type is DataType.FLOAT or variable.type is DataType.DOUBLE:
            return self._reals(variable, column), False
        return column.cast(pa.string()), False

    def _reals(self, variable: Variable, column: pa.DoubleArray) -> pa.StringArray:
        """The fewest digits that tell the float."""
        finite = pc.is_finite(column)
        if pc.all(finite).as_py() is False:
            wrong = pc.indices_nonzero(pc.invert(finite)).to_pylist()
            self._refuse_all(variable, column, wrong, "JSON has numbers alone")
            column = pc.if_else(finite, column, None)
        texts = column.cast(pa.string())
        return pc.if_else(pc.equal(texts, "-0"), "-0.0", texts)  # without a point it is the integer 0

    def _refuse_all(self, variable: Variable, column: pa.DoubleArray, positions: list[int], reason: str) -> None:
        for position in positions:
            value = column[position].as_py()
            letter = missing.letter(value)
            said = "Dataset-JSON has no special missing values" if letter else reason
            self._refuse(self.rows + position + 1, variable.name, f".{letter}" if letter else value, said)


def _escaped(texts: pa.StringArray) -> pa.StringArray:
    """The texts with what JSON cannot have between quotes replaced; most columns have none of it."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return texts
    places = np.frombuffer(offsets, np.int32)
    raw = np.frombuffer(data, np.uint8)[places[texts.offset] : places[texts.offset + len(texts)]]
    found = np.unique(raw[(raw < ord(" ")) | (raw == ord('"')) | (raw == _BACKSLASH)]).tolist()
    for code in sorted(found, key=lambda code: code != _BACKSLASH):  # which all others bring in
        texts = pc.replace_substring(texts, chr(code), json.dumps(chr(code))[1:-1])
    return texts


def _end(texts: pa.StringArray) -> int:
    """Where the last text ends in the data."""
    return int(np.frombuffer(texts.buffers()[1], np.int32)[texts.offset + len(texts)])
