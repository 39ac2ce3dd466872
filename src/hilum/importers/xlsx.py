"""Excel (XLSX, XLSM): each sheet is a table, named after it; its first row names the variables.

A column of numbers, of booleans or of dates has that type; what is mixed is text, and so is what Excel holds as text,
unless all of a column are ISO 8601 dates or times. Excel keeps 15 digits of a number and knows no empty text: an empty
cell is a missing value. A whole sheet is in memory while it is read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from hilum.errors import DataError, FormatError
from hilum.formats import inference
from hilum.formats.inference import Cell, Kind, Mixed
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import Importer, Table, schema

_ROWS = 8_192
_EXACT = 2**53  # from here on a float does not tell one integer from the next


class Options(Config):
    """What of the workbook is to be read."""

    sheets: tuple[str, ...] = Field((), description="Names of the sheets to read; none: all of them.")
    header_row: int = Field(1, ge=1, description="The row that names the variables, from 1.")
    first_row: int | None = Field(None, ge=2, description="The first row of values; none: the one after the names.")
    types: dict[str, DataType] = Field(
        default_factory=dict, description="Types by variable; those that are not here are found out."
    )


class XlsxImporter(Importer[Options]):
    names = ("xlsx",)
    suffixes = (".xlsx", ".xlsm")
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        path.stat()  # what is wrong with the disk is the disk's error
        try:
            book = CalamineWorkbook.from_path(path)
        except PasswordError:
            raise FormatError("the workbook is protected by a password") from None
        except (CalamineError, OSError):
            raise FormatError("this is no XLSX workbook, or a broken one") from None
        there = [one.name for one in book.sheets_metadata if one.typ is SheetTypeEnum.WorkSheet]
        if strangers := set(self.config.sheets) - set(there):
            raise FormatError(f"there is no sheet {min(strangers)!r}")
        unknown = set(self.config.types)
        for name in there:
            if not self.config.sheets or name in self.config.sheets:
                for table in self._table(book, name):
                    unknown -= set(table.dataset.names)
                    yield table
        if unknown:
            raise DataError("types names a variable that no sheet has", variable=min(unknown))

    def _table(self, book: CalamineWorkbook, name: str) -> Iterator[Table]:
        try:
            sheet = _Sheet(book.get_sheet_by_name(name), self.config)
        except CalamineError:
            raise FormatError(f"sheet {name!r} is broken") from None
        if not sheet.names:
            return  # nothing is on it
        seen = {name: Mixed() for name in sheet.names}
        for _, columns in sheet.groups():
            for one, column in zip(seen.values(), columns, strict=True):
                one.see(column)
        types = {name: self.config.types.get(name, one.type) for name, one in seen.items()}
        dataset = Dataset(name, tuple(Variable(name, kind) for name, kind in types.items()))
        yield Table(dataset, _batches(sheet, dataset))


def _batches(sheet: _Sheet, dataset: Dataset) -> Iterator[pa.RecordBatch]:
    for row, columns in sheet.groups():
        made = []
        for variable, column in zip(dataset.variables, columns, strict=True):
            texts = [None if one is None else one[0] for one in column]
            if variable.type is DataType.DATETIME:
                texts = [f"{one}T00:00:00" if one and len(one) == len("2014-01-02") else one for one in texts]
            made.append(inference.convert(pa.array(texts, pa.string()), variable.type, variable.name, row))
        yield pa.record_batch(made, schema=schema(dataset))


class _Sheet:
    """A sheet's names, and its columns some rows at a time. Raises DataError with row and column."""

    def __init__(self, sheet: CalamineSheet, config: Options) -> None:
        self._sheet = sheet
        self._above = 0 if sheet.start is None else sheet.start[0]  # rows before the first that has a cell
        self._left = 0 if sheet.start is None else sheet.start[1]
        self._first = (config.first_row or config.header_row + 1) - 1
        self.names = self._names(config.header_row - 1)

    def groups(self) -> Iterator[tuple[int, list[list[Cell]]]]:
        rows = self._values(self._first)
        row = 0
        while group := list(islice(rows, _ROWS)):
            yield row, [[_cell(value) for value in column] for column in zip(*group, strict=True)]
            row += len(group)

    def _values(self, start: int) -> Iterator[list[Any]]:
        """The rows from `start` on."""
        return islice(self._sheet.iter_rows(), max(0, start - self._above), None)

    def _names(self, row: int) -> list[str]:
        if self._sheet.start is None:
            return []
        found = next(self._values(row), None) if row >= self._above else None
        if found is None:
            raise FormatError(f"sheet {self._sheet.name!r} has no row {row + 1} that names variables")
        names = [cell[0].strip() if (cell := _cell(value)) else "" for value in found]
        for place, name in enumerate(names):
            if not name:
                raise DataError(f"column {place + self._left + 1} of sheet {self._sheet.name!r} has no name")
            if names.index(name) < place:
                raise DataError(f"two columns of sheet {self._sheet.name!r} have this name", variable=name)
        return names


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return inference.text_cell(value) if value else None
    if isinstance(value, bool):
        return ("true" if value else "false"), Kind.BOOLEAN
    if isinstance(value, float):
        return (str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)), Kind.NUMBER
    if isinstance(value, int):
        return str(value), Kind.NUMBER
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        hours, minutes = divmod(int(minutes), 60)
        return f"{hours:02}:{minutes:02}:{seconds:02.0f}", Kind.CLOCK
    if isinstance(value, datetime.time):
        return value.isoformat(), Kind.CLOCK
    return value.isoformat(), Kind.MOMENT if isinstance(value, datetime.datetime) else Kind.DAY


importer = XlsxImporter
