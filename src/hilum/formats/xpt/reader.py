"""Rows of a transport file, as Arrow record batches.

Version 5 does not say how many rows there are, and fills up the last card with blanks: where all of a row is blank and
fits into that card, it cannot be told from the filling, and is left out, as SAS does. Blank text is "", not null.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from hilum.errors import DataError, FormatError
from hilum.formats.xpt import header, ibm_float, layout, text
from hilum.formats.xpt.header import CARD, NUMBER, Member, Namestr
from hilum.model.dataset import Dataset

_PIECE = CARD * 16_384  # bytes read at once
_AT_ONCE = 16 * 1024 * 1024  # bytes of rows in a batch, whose text grows in Arrow

Rows = np.ndarray[Any, Any]


def read(path: Path, fallback: str, size: int) -> Iterator[tuple[Dataset, Iterator[pa.RecordBatch]]]:
    """The file's data sets, their rows in batches of `size` rows at most.

    Text is UTF-8 where all of the data set is, otherwise in the encoding `fallback`. Raises FormatError where it is no
    transport file, DataError where it ends within a row or has what its encoding does not.
    """
    with path.open("rb") as file:
        version = header.read_library(file)
        while (member := header.read_member(file, version)) is not None:
            found = _Survey(member)
            end = found.run(file)
            encoding = "utf-8" if found.utf8 else fallback
            try:
                described = layout.dataset(member, encoding)
            except UnicodeDecodeError:
                raise FormatError(f"its header is not in {encoding}; say which encoding it has") from None
            extra = {key: value for key, value in described.extra.items() if key != "xpt.encoding" or not found.ascii}
            yield dataclasses.replace(described, extra=extra), _batches(path, member, found.rows, encoding, size)
            file.seek(end)


class _Survey:
    """A first look at all rows: where they end, how many there are, and whether their text is ASCII or UTF-8."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.width = member.width
        _check_positions(member)
        self.texts = [one for one in member.variables if one.kind != NUMBER]
        words = [member.name, member.label, *(part for one in member.variables for part in (one.name, one.label))]
        self.ascii = all(word.isascii() for word in words)
        self.utf8 = self.ascii or text.is_utf8(pa.array(words, pa.binary()))
        self.rows = 0

    def run(self, file: BinaryIO) -> int:
        """Where the next header begins. Raises DataError where the last row is cut off."""
        size = 0
        rest = b""
        for piece in self._pieces(file):
            size += len(piece)
            data = rest + piece
            rows = len(data) // self.width if self.width else 0
            self._look(np.frombuffer(data, np.uint8, rows * self.width).reshape(rows, self.width))
            rest = data[rows * self.width :]
        end = self.member.start + size
        self.rows = self._counted(size) if self.member.rows is not None else self._count(file, size)
        return end

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        version = self.member.version
        mark = version.starts(version.member)
        left = None if self.member.rows is None else -(-self.member.rows * self.width // CARD) * CARD
        most = max(_PIECE, -(-self.width // CARD) * CARD)
        while piece := file.read(most if left is None else min(left, most)):
            at = _aligned(piece, mark) if left is None else -1
            yield piece if at < 0 else piece[:at]
            if at >= 0:
                return
            left = None if left is None else left - len(piece)

    def _look(self, rows: Rows) -> None:
        if not len(rows):
            return
        used = np.bitwise_or.reduce(rows, axis=0)
        for one in self.texts:
            span = slice(one.position, one.position + one.length)
            if (used[span] & 0x80).any():
                self.ascii = False
                self.utf8 = self.utf8 and text.is_utf8(text.raw(rows[:, span], one.length))

    def _counted(self, size: int) -> int:
        rows = self.member.rows or 0
        if size < rows * self.width:
            raise DataError("the file ends within this row", row=size // self.width + 1)
        return rows

    def _count(self, file: BinaryIO, size: int) -> int:
        """The rows that are there for sure, and those after them up to the last one that is not blank."""
        if not self.width:
            return 0
        if size % CARD and size % self.width == 0:  # not filled up to a whole card
            return size // self.width
        rows = least = max(0, (size - CARD) // self.width + 1)
        file.seek(self.member.start + least * self.width)
        rest = file.read(max(0, size - least * self.width))
        for number in range(1, len(rest) // self.width + 1):
            if rest[(number - 1) * self.width : number * self.width].strip(b" "):
                rows = least + number
        if rows * self.width > size or rest[(rows - least) * self.width :].strip(b" \0"):
            raise DataError("the file ends within this row", row=size // self.width + 1)
        return rows


def _check_positions(member: Member) -> None:
    at = 0
    for one in sorted(member.variables, key=lambda one: one.position):
        if one.position != at:
            raise FormatError("variables overlap, or leave a gap", segment="NAMESTR")
        at += one.length


def _aligned(piece: bytes, mark: bytes) -> int:
    """Where a card begins with `mark`, -1 where none does."""
    at = piece.find(mark)
    while at > 0 and at % CARD:
        at = piece.find(mark, at + 1)
    return at


def _batches(path: Path, member: Member, rows: int, encoding: str, size: int) -> Iterator[pa.RecordBatch]:
    shape = record(member.variables)
    most = max(1, min(size, _AT_ONCE // max(1, member.width)))
    with path.open("rb") as file:
        file.seek(member.start)
        for done in range(0, rows, most):
            data = file.read(min(most, rows - done) * member.width)
            if len(data) < min(most, rows - done) * member.width:
                raise DataError("the file became shorter while it was read", row=done + 1)
            part = np.frombuffer(data, shape)
            columns = [_column(part[str(at)], one, encoding, done) for at, one in enumerate(member.variables)]
            names = [one.name.decode(encoding) for one in member.variables]
            yield pa.RecordBatch.from_arrays(columns, names=names)


def record(variables: tuple[Namestr, ...]) -> np.dtype[Any]:
    """A row, for numpy; a variable's field is called by its place from 0."""
    return np.dtype(
        {
            "names": [str(place) for place in range(len(variables))],
            "formats": [_field(one) for one in variables],
            "offsets": [one.position for one in variables],
            "itemsize": sum(one.length for one in variables),
        }
    )


def _field(one: Namestr) -> Any:
    if one.kind != NUMBER:
        return (np.void, one.length)
    return ">u8" if one.length == 8 else (np.uint8, (one.length,))


def _column(values: Rows, one: Namestr, encoding: str, done: int) -> pa.Array:
    if one.kind == NUMBER:
        return _numbers(values, one.length)
    raw = text.raw(values, one.length)
    try:
        return text.decode(raw, encoding)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        row = next(row for row in range(len(raw)) if not _decodes(raw[row].as_py(), encoding))
        name = one.name.decode(encoding)
        raise DataError(f"is not in {encoding}; say which encoding it has", row=done + row + 1, variable=name) from None


def _decodes(value: bytes, encoding: str) -> bool:
    try:
        value.rstrip(text.PADDING.encode()).decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _numbers(values: Rows, length: int) -> pa.Array:
    if length < 8:
        whole = np.zeros((len(values), 8), np.uint8)
        whole[:, :length] = values
        values = whole.view(">u8")[:, 0]
    numbers, missing = ibm_float.decode(values.astype(np.uint64))
    return pa.array(numbers, mask=missing, from_pandas=False)
