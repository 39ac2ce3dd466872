"""Excel (XLSX): a sheet of the rows, more where they exceed 1,048,576, and one that describes the variables.

Numbers, booleans and dates are Excel's own; text is text, also where it begins with `=`. What Excel would not show as
it is, is text too: integers and decimals of more than 15 digits, dates before 1900 or with parts left out, datetimes
with a time zone, without seconds or with fractions of them, times, and special missing values of SAS (`.A`). A text
longer than 32,767 characters, a NaN and an infinity are refused. An empty text and a missing value are both an empty
cell.

The rows wait in a sealed temporary file, as the library takes them only all at once; memory has a bound. While it
works, the library keeps sheets and workbook in the clear, in temporary files without a name that go with the process.
"""

from __future__ import annotations

import datetime
import itertools
import re
import tempfile
import weakref
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field
from rustpy_xlsxwriter import FastExcel, Format

from hilum.errors import DataError
from hilum.formats import cells, workbook
from hilum.model.dataset import CALENDAR, Dataset, DataType, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter

_DIGITS = 15  # Excel keeps no more of a number
_DATE = re.compile(r"(19|[2-9][0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(_DATE.pattern + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_FORMATS = {DataType.DATE: "yyyy-mm-dd", DataType.DATETIME: "yyyy-mm-dd hh:mm:ss"}
_ABOUT = ("name", "type", "label", "length", "format", "informat", "target", "key", "oid", "code_list", "role")


class Options(Config):
    """What the workbook shows beside the rows."""

    labels: Literal["none", "row", "note"] = Field(
        "none", description="The variables' labels: none, as a second row, or as a note at each name."
    )
    variables: bool = Field(True, description="A last sheet, variables, with what is known of each.")


class XlsxExporter(Exporter[Options]):
    names = ("xlsx",)
    suffix = ".xlsx"
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        if len(dataset.variables) > workbook.COLUMNS:
            raise DataError(f"a sheet of Excel has {workbook.COLUMNS} columns at most")
        self._file = export.open(f"{dataset.name}{self.suffix}")
        self._waiting = _Waiting()
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.put(batch)
        self._rows += batch.num_rows

    def close(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._save(file)
            self._waiting.close()
            workbook.stamped(file, self._file, self.export.created)
        self._file.close()

    def _save(self, file: BinaryIO) -> None:
        book, rows = FastExcel(workbook.place(file), output_format="xlsx"), self._each_row()
        room = workbook.ROWS - 1 - (self.config.labels == "row")
        for number in range(1, max(1, -(-self._rows // room)) + 1):
            self._sheet(book, number, itertools.islice(rows, room))
        if self.config.variables:
            book.sheet("variables", self._about())
        book.save()

    def _sheet(self, book: FastExcel, number: int, rows: Iterator[dict[str, Any]]) -> None:
        variables = self.dataset.variables
        if self.config.labels == "row":
            rows = itertools.chain([{one.name: one.label or None for one in variables}], rows)
        elif not self._rows:
            rows = iter([dict.fromkeys(self.dataset.names)])  # the library takes the names from a row
        notes = {one.name: one.label for one in variables if one.label} if self.config.labels == "note" else None
        formats = {one.name: Format().set_num_format(_FORMATS[one.type]) for one in variables if one.type in _FORMATS}
        book.sheet(workbook.sheet_name(self.dataset.name, number), rows, column_formats=formats or None, notes=notes)

    def _about(self) -> list[dict[str, Any]]:
        return [{word: _plain(getattr(one, word)) for word in _ABOUT} for one in self.dataset.variables]

    def _each_row(self) -> Iterator[dict[str, Any]]:
        names, row = self.dataset.names, 0
        for batch in self._waiting.batches():
            pairs = zip(self.dataset.variables, batch.columns, strict=True)
            columns = [self._values(variable, column, row) for variable, column in pairs]
            yield from (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
            row += batch.num_rows

    def _values(self, variable: Variable, column: pa.Array, row: int) -> list[Any]:
        """Each value as what its cell is to show."""
        if variable.type is DataType.BOOLEAN:
            return list(column.to_pylist())
        if variable.type is DataType.INTEGER:
            return [_whole(one) for one in column.to_pylist()]
        if pa.types.is_floating(column.type) and not variable.counted:
            return self._floats(variable, column, row)
        text = cells.text(column, variable, self.export.refuse, row)
        if variable.type in CALENDAR or variable.type is DataType.DECIMAL:
            shown = _decimal if variable.type is DataType.DECIMAL else _moment
            encoded = text.dictionary_encode()
            values = [shown(one) for one in encoded.dictionary.to_pylist()]
            return [None if place is None else values[place] for place in encoded.indices.to_pylist()]
        return self._texts(variable, text, row)

    def _texts(self, variable: Variable, column: pa.Array, row: int) -> list[Any]:
        found: list[Any] = column.to_pylist()
        long = pc.greater(pc.utf8_length(column), workbook.TEXT // 2)
        for place in pc.indices_nonzero(long).to_pylist():
            if len(found[place].encode("utf-16-le")) // 2 > workbook.TEXT:
                reason = f"a cell of Excel has {workbook.TEXT} characters at most"
                self.export.refuse(row + place + 1, variable.name, found[place], reason)
                found[place] = None
        return found

    def _floats(self, variable: Variable, column: pa.Array, row: int) -> list[Any]:
        found: list[Any] = column.to_pylist()
        odd = pc.indices_nonzero(pc.invert(pc.is_finite(column))).to_pylist()
        texts = cells.text(column, variable, self.export.refuse, row).take(pa.array(odd, pa.int64())).to_pylist()
        for place, text in zip(odd, texts, strict=True):
            if text.startswith("."):
                found[place] = text
            else:
                self.export.refuse(row + place + 1, variable.name, found[place], "Excel has no NaN and no infinity")
                found[place] = None
        return found


class _Waiting:
    """Batches in a sealed file, whose key is in memory alone."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._sizes: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        self.close = weakref.finalize(self, self._file.close)  # an export that failed is not closed

    def put(self, batch: pa.RecordBatch) -> None:
        sink, how = pa.BufferOutputStream(), pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, batch.schema, options=how) as stream:
            stream.write_batch(batch)
        sealed = self._cipher.encrypt(_nonce(len(self._sizes)), sink.getvalue().to_pybytes(), None)
        self._file.write(sealed)
        self._sizes.append(len(sealed))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of them, in order. Nothing is put any more."""
        self._file.seek(0)
        for number, size in enumerate(self._sizes):
            plain = self._cipher.decrypt(_nonce(number), self._file.read(size), None)
            yield from pa.ipc.open_stream(plain)


def _nonce(number: int) -> bytes:
    """The key is of this file alone, and no two of its batches have the same number."""
    return number.to_bytes(12, "big")


def _whole(value: int | None) -> int | str | None:
    return value if value is None or abs(value) < 10**_DIGITS else str(value)


def _decimal(text: str) -> float | str:
    return float(text) if len(Decimal(text).normalize().as_tuple().digits) <= _DIGITS else text


def _moment(text: str) -> datetime.date | str:
    """A date or datetime that Excel knows, or else the text."""
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return datetime.datetime.fromisoformat(text)
    except ValueError:  # no such day
        pass
    return text


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else str(value)


exporter = XlsxExporter
