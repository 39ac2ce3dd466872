"""Rows as delimited text (RFC 4180) that a spreadsheet shows and does not run.

Every text is in quotes, an empty one too (`""`); a missing value is an empty cell. Where `guard` is on, a text that a
spreadsheet would run as a formula (it begins with = + - @, a tab or a carriage return, and is no number) gets an
apostrophe before it; so does one that begins with apostrophes and then such a character. That makes it reversible:
`unguarded` takes one apostrophe from every cell that begins with apostrophes and such a character, and gives exactly
the text that was written.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from hilum.formats import cells
from hilum.model.dataset import Dataset, Variable

_FORMULA = r"^'*[=+\-@\t\r]"
_GUARDED = r"^'('*[=+\-@\t\r])"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_AT_ONCE = 8_192  # rows that Arrow turns into text at a time
_STARTS = b"=+-@\t\r'"


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    """`letters`: special missing values as `.A`, otherwise as empty cells."""

    delimiter: str = ","
    ending: str = "\r\n"
    bom: bool = False
    header: bool = True
    guard: bool = True
    letters: bool = True


class Writer:
    """Writes batches of a data set to `file`, in UTF-8. What a count of SAS cannot say as a date is refused."""

    def __init__(self, file: BinaryIO, dataset: Dataset, dialect: Dialect, refuse: cells.Refuse) -> None:
        self._file = file
        self._dataset = dataset
        self._dialect = dialect
        self._refuse = refuse
        self._row = 0
        self._how = arrow_csv.WriteOptions(
            include_header=False, delimiter=dialect.delimiter, eol=dialect.ending, batch_size=_AT_ONCE
        )
        if dialect.bom:
            file.write(b"\xef\xbb\xbf")
        if dialect.header:
            names = pa.array(dataset.names, pa.string())
            names = guarded(names) if dialect.guard else names
            self._put([pa.array([name]) for name in names.to_pylist()])

    def write(self, batch: pa.RecordBatch) -> None:
        pairs = zip(self._dataset.variables, batch.columns, strict=True)
        self._put([self._prepared(variable, column) for variable, column in pairs])
        self._row += batch.num_rows

    def close(self) -> None:
        self._file.close()

    def _prepared(self, variable: Variable, column: pa.Array) -> pa.Array:
        if pa.types.is_string(column.type):
            return guarded(column) if self._dialect.guard else column
        if variable.counted or (pa.types.is_floating(column.type) and cells.special(column) is not None):
            return cells.text(column, variable, self._refuse, self._row, letters=self._dialect.letters)
        return column

    def _put(self, columns: list[pa.Array]) -> None:
        """Arrow quotes every text, and nothing else: so an empty text is told from a missing value."""
        rows = pa.record_batch(columns, names=[str(place) for place in range(len(columns))])
        text = pa.BufferOutputStream()
        arrow_csv.write_csv(rows, text, self._how)
        self._file.write(memoryview(text.getvalue()))


def guarded(column: pa.Array) -> pa.Array:
    """Texts that a spreadsheet would run get an apostrophe before them."""
    where = cells.beginning(column, _STARTS)
    if where is None:
        return column
    part = column.filter(pa.array(where))
    runs = pc.and_not(pc.match_substring_regex(part, _FORMULA), pc.match_substring_regex(part, _NUMBER))
    return cells.changed(column, where, pc.if_else(runs, pc.binary_join_element_wise("'", part, ""), part))


def unguarded(column: pa.Array) -> pa.Array:
    """What was written before `guarded`."""
    if cells.beginning(column, b"'") is None:
        return column
    return pc.replace_substring_regex(column, _GUARDED, r"\1")


def first_problem(text: io.TextIOBase, delimiter: str) -> tuple[int, int] | None:
    """Row and column (from 1; row 0 is the header) of the first cell with a character that could not be decoded.

    `text` is to be opened with `errors="surrogateescape"`, or with `replace` where the encoding knows no such.
    """
    for number, row in enumerate(csv.reader(text, delimiter=delimiter)):
        for place, cell in enumerate(row, 1):
            if undecoded(cell):
                return number, place
    return None


def undecoded(text: str) -> bool:
    """Does it stand for bytes that were none of the encoding's?"""
    return any("\udc80" <= character <= "\udcff" or character == "\ufffd" for character in text)


def unclosed(text: io.TextIOBase, delimiter: str) -> int | None:
    """The row (from 1; row 0 is the header) with a quote that nothing ends; None where every quote ends."""
    row = 0
    try:
        for _ in csv.reader(text, delimiter=delimiter, strict=True):
            row += 1
    except csv.Error as error:
        return row if "end of data" in str(error) else None
    return None
