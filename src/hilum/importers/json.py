"""NDJSON (an object a line, also .jsonl) and JSON (one array of objects): an object is a row, a member a variable.

Variables stand in the order in which they are first met; a member that is not there is a missing value, as null is.
Numbers keep all of their digits; a text stays text, unless all of a column are ISO 8601 dates or times. An array or
object as a value is refused. The file is read twice, as a type is known at its end only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
from pydantic import Field

from hilum.errors import DataError, FormatError
from hilum.formats import inference
from hilum.formats.inference import Cell, Kind, Mixed
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import Importer, Table, schema

_CHUNK = 1 << 20  # characters
_MOST = 64 << 20  # characters of an object
_ROWS = 8_192
_SPACE = " \t\r\n"


class Options(Config):
    """What is known before."""

    types: dict[str, DataType] = Field(
        default_factory=dict, description="Types by variable; those that are not here are found out."
    )


class JsonImporter(Importer[Options]):
    names = ("json", "ndjson", "jsonl")
    suffixes = (".json", ".ndjson", ".jsonl")
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        seen: dict[str, Mixed] = {}
        for _, rows in _groups(path):
            names = list(dict.fromkeys(name for row in rows for name in row))
            for name in names:
                seen.setdefault(name, Mixed()).see([row.get(name) for row in rows])
        if not seen:
            raise FormatError("there is no object that has a member")
        if strangers := self.config.types.keys() - seen.keys():
            raise DataError("types names a variable that the file has not", variable=min(strangers))
        types = {name: self.config.types.get(name, one.type) for name, one in seen.items()}
        dataset = Dataset(path.stem, tuple(Variable(name, kind) for name, kind in types.items()))
        yield Table(dataset, _batches(path, dataset))


def _batches(path: Path, dataset: Dataset) -> Iterator[pa.RecordBatch]:
    for row, rows in _groups(path):
        columns = []
        for variable in dataset.variables:
            values = [row.get(variable.name) for row in rows]
            texts = pa.array([None if one is None else one[0] for one in values], pa.string())
            columns.append(inference.convert(texts, variable.type, variable.name, row))
        yield pa.record_batch(columns, schema=schema(dataset))


def _groups(path: Path) -> Iterator[tuple[int, list[dict[str, Cell]]]]:
    """Rows, some at a time, and how many went before them."""
    with path.open(encoding="utf-8-sig") as text:
        objects, row = _objects(text), 0
        while rows := list(islice(objects, _ROWS)):
            yield row, rows
            row += len(rows)


def _objects(text: TextIO) -> Iterator[dict[str, Cell]]:
    """The objects of an array, or one after the other. Raises FormatError, DataError with row and variable."""
    decode = json.JSONDecoder(
        object_pairs_hook=_members, parse_int=_Digits, parse_float=_Digits, parse_constant=_no_constant
    ).raw_decode
    waiting, row = _Waiting(text), 0
    array = waiting.next() == "["
    if array:
        waiting.at += 1
    while (start := waiting.next()) not in ("", "]" if array else ""):
        if array and row:
            if start != ",":
                raise FormatError(f"row {row + 1}: a comma is missing")
            waiting.at += 1
            start = waiting.next()
        row += 1
        if start != "{":
            raise FormatError(f"row {row} is no object")
        yield {name: _cell(value, name, row) for name, value in waiting.value(decode, row).items()}
    if array:
        if start != "]":
            raise FormatError("the array does not end")
        waiting.at += 1
        if waiting.next():
            raise FormatError("something follows the array")


class _Waiting:
    """Text that was read and is not yet understood."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._read = ""
        self.at = 0

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.at < len(self._read):
                if self._read[self.at] not in _SPACE:
                    return self._read[self.at]
                self.at += 1
            if not self._more():
                return ""

    def value(self, decode: Any, row: int) -> dict[str, Any]:
        """The object that begins here."""
        while True:
            try:
                found, self.at = decode(self._read, self.at)
            except json.JSONDecodeError as error:
                if len(self._read) - self.at > _MOST or not self._more():
                    raise FormatError(f"row {row}: {error.msg}") from None
            except _Unfit as error:
                raise DataError(str(error), row=row, variable=error.name) from None
            except RecursionError:
                raise FormatError(f"row {row}: too deep") from None
            else:
                members: dict[str, Any] = found
                return members

    def _more(self) -> bool:
        try:
            read = self._text.read(_CHUNK)
        except UnicodeError:
            raise FormatError("a byte is no UTF-8") from None
        self._read = self._read[self.at :] + read
        self.at = 0
        return bool(read)


class _Digits(str):
    """A number as it stands there."""

    __slots__ = ()


class _Unfit(Exception):
    def __init__(self, reason: str, name: str = "") -> None:
        self.name = name
        super().__init__(reason)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Unfit("two members have this name", next(name for name in names if names.count(name) > 1))
    return found


def _no_constant(name: str) -> None:
    raise _Unfit(f"JSON has no {name}")


def _cell(value: Any, name: str, row: int) -> Cell:
    if value is None:
        return None
    if isinstance(value, _Digits):
        return value, Kind.NUMBER
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            raise DataError("half of a character (a lone surrogate)", row=row, variable=name)
        return inference.text_cell(value)
    if isinstance(value, bool):
        return ("true" if value else "false"), Kind.BOOLEAN
    raise DataError("a variable needs one value a row, not an array or object", row=row, variable=name)


importer = JsonImporter
