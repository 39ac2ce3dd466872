"""What type a column of text has, so that nothing of its values is lost, and the column as that type.

| every value looks like | type |
|---|---|
| `true`, `false` | boolean |
| a whole number of 64 bits: `0`, `-12`; not `007`, `+1` or `-0` | integer |
| a number whose every digit a 64-bit float holds: `1.5`, `.5`, `-2e3`, `nan`, `inf`; `.A` among such | double |
| any other number without an exponent | decimal |
| 2014-01-31, and at least one such among 2014-01 | date |
| 2014-01-31T08:30 to 2014-01-31T08:30:00.25Z | datetime |
| 08:30 to 08:30:00.25 | time |
| anything else, an empty text too, or nothing at all | string |

A zero at the end of a fraction (`1.50`) is not kept: the number is the same.
"""

from __future__ import annotations

import decimal
import enum
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats import missing
from hilum.model.dataset import CALENDAR, DataType

_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_FLOAT = r"^(-?((0|[1-9][0-9]*)(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf|-inf)$"
_LETTER = r"^\.[_A-Z]$"
_DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})?"
_FULL_DATE = f"^{_DAY}$"
_SHAPES = {
    DataType.BOOLEAN: r"^(true|false)$",
    DataType.DATE: rf"^({_DAY}|[0-9]{{4}}-(0[1-9]|1[0-2]))$",
    DataType.DATETIME: f"^{_DAY}T{_CLOCK}{_ZONE}$",
    DataType.TIME: f"^{_CLOCK}$",
}
_PARTIAL = r"^[0-9T:.Z/+-]+$"  # ISO 8601 with parts left out, as CDISC has it: --12-15, 2003---15
_NEAR = 300  # characters: a number of fewer, without an exponent, is not so small that a float holds it as nothing
_EXACT = 15  # any decimal number of so many digits is told by a 64-bit float


class Inference:
    """Sees a column batch by batch; `type` is what it is then. `numbers`: may text be numbers or booleans?"""

    def __init__(self, *, numbers: bool = True) -> None:
        self._shapes = {kind for kind in _SHAPES if numbers or kind in CALENDAR}
        self._number = self._integer = self._fits = self._float = self._decimal = numbers
        self._counted = False  # has a number been seen?
        self._full = False  # has a full date been seen?
        self._any = False

    def see(self, column: pa.Array) -> None:
        values = pc.drop_null(pc.unique(column))
        if not len(values):
            return
        self._any = True
        self._shapes = {kind for kind in self._shapes if _all(values, _SHAPES[kind])}
        if DataType.DATE in self._shapes and not self._full:
            self._full = bool(pc.any(pc.match_substring_regex(values, _FULL_DATE)).as_py())
        if self._number:
            self._see_numbers(values)

    def _see_numbers(self, values: pa.Array) -> None:
        number = pc.match_substring_regex(values, _FLOAT)
        rest = values.filter(pc.invert(number))
        if len(rest):
            self._integer = self._decimal = False
            self._number = _all(rest, _LETTER)
        values = values.filter(number)
        if not self._number or not len(values):
            return
        self._counted = True
        self._integer = self._integer and _all(values, _INTEGER)
        self._decimal = self._decimal and _all(values, _DECIMAL)
        self._fits = self._fits and (not self._integer or _fits(values))
        self._float = self._float and _told_by_floats(values)

    @property
    def type(self) -> DataType:
        if not self._any:
            return DataType.STRING
        if self._number and self._counted:
            if self._integer and self._fits:
                return DataType.INTEGER
            if self._float and not self._integer:
                return DataType.DOUBLE
            return DataType.DECIMAL if self._decimal else DataType.STRING
        for kind in _SHAPES:
            if kind in self._shapes and (kind is not DataType.DATE or self._full):
                return kind
        return DataType.STRING


def convert(column: pa.Array, kind: DataType, variable: str, row: int) -> pa.Array:
    """Text as a batch holds the type; `row` rows went before. Raises DataError for the first value that is none."""
    if kind in (DataType.STRING, DataType.URI):
        return column
    if kind is DataType.BOOLEAN:
        _demand(pc.match_substring_regex(column, _SHAPES[kind]), kind, variable, row)
        return pc.equal(column, "true")
    if kind in CALENDAR:
        _demand(pc.match_substring_regex(column, _PARTIAL), kind, variable, row)
        return column
    if kind is DataType.DECIMAL:
        _demand(pc.match_substring_regex(column, r"^[+-]?[0-9]+(\.[0-9]+)?$"), kind, variable, row)
        return column
    if kind is DataType.INTEGER:
        return _numbers(column, pa.int64(), kind, variable, row)
    return _floats(column, kind, variable, row)


def _floats(column: pa.Array, kind: DataType, variable: str, row: int) -> pa.Array:
    letter = pc.match_substring_regex(column, _LETTER)
    if not pc.any(letter).as_py():
        return _numbers(column, pa.float64(), kind, variable, row)
    plain = _numbers(pc.if_else(letter, pa.scalar(None, pa.string()), column), pa.float64(), kind, variable, row)
    values = plain.to_pylist()
    for place, text in enumerate(column.to_pylist()):
        if text is not None and letter[place].as_py():
            values[place] = missing.special(text[1])
    return pa.array(values, pa.float64(), from_pandas=False)


def _numbers(column: pa.Array, held: pa.DataType, kind: DataType, variable: str, row: int) -> pa.Array:
    try:
        return pc.cast(column, held)
    except pa.ArrowInvalid:
        for place in range(len(column)):  # only to say which row it is
            try:
                pc.cast(column[place], held)
            except pa.ArrowInvalid:
                raise DataError(f"this is no {kind}", row=row + place + 1, variable=variable) from None
        raise


def _demand(right: pa.Array, kind: DataType, variable: str, row: int) -> None:
    place = pc.index(right, False).as_py()
    if place >= 0:
        raise DataError(f"this is no {kind}", row=row + place + 1, variable=variable)


def _all(values: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _fits(values: pa.Array) -> bool:
    try:
        pc.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _told_by_floats(values: pa.Array) -> bool:
    """Does a float's shortest text say the same number, for each of these?"""
    floats = pc.cast(values, pa.float64())
    same = pc.equal(pc.cast(floats, pa.string()), values)
    values, floats = values.filter(pc.invert(same)), floats.filter(pc.invert(same))
    digits = pc.utf8_length(pc.replace_substring_regex(values, r"^-?[0.]*|\.|[eE].*$", ""))
    plain = pc.and_(pc.invert(pc.match_substring_regex(values, "[eE]")), pc.less(pc.utf8_length(values), _NEAR))
    rest = pc.invert(pc.and_(plain, pc.less_equal(digits, _EXACT)))
    return all(
        decimal.Decimal(text) == decimal.Decimal(repr(value))
        for text, value in zip(values.filter(rest).to_pylist(), floats.filter(rest).to_pylist(), strict=True)
    )


class Kind(enum.Enum):
    """What a file that has types of its own, cell by cell, says of a value."""

    TEXT = "text"
    LETTER = "letter"  # a text that may be a special missing value among numbers
    NUMBER = "number"
    BOOLEAN = "boolean"
    DAY = "day"
    MOMENT = "moment"
    CLOCK = "clock"


_WORDS = {Kind.TEXT, Kind.DAY, Kind.MOMENT, Kind.CLOCK}

Cell = tuple[str, Kind] | None
"""A value as text, and its kind; nothing where it is missing."""


def text_cell(text: str) -> Cell:
    """A text's cell."""
    return text, Kind.LETTER if len(text) == 2 and text[0] == "." and text[1] in missing.LETTERS else Kind.TEXT


class Mixed:
    """The type of a column whose values have kinds, batch by batch. Numbers beside other text are text."""

    def __init__(self) -> None:
        self._kinds: set[Kind] = set()
        self._numbers = Inference()
        self._calendar = Inference(numbers=False)

    def see(self, column: Sequence[Cell]) -> None:
        kinds = {one[1] for one in column if one is not None}
        texts = pa.array([None if one is None else one[0] for one in column], pa.string())
        self._kinds |= kinds
        if self._kinds <= {Kind.LETTER, Kind.NUMBER}:
            self._numbers.see(texts)
        if self._kinds <= _WORDS:
            self._calendar.see(texts)

    @property
    def type(self) -> DataType:
        if self._kinds == {Kind.BOOLEAN}:
            return DataType.BOOLEAN
        if self._kinds == {Kind.DAY, Kind.MOMENT}:
            return DataType.DATETIME  # Excel shows midnight as a day
        if Kind.NUMBER in self._kinds and self._kinds <= {Kind.LETTER, Kind.NUMBER}:
            return self._numbers.type
        return self._calendar.type if self._kinds <= _WORDS else DataType.STRING
