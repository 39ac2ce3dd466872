"""Columns of any Arrow or Parquet file as a batch holds them (`model.dataset`), and the data set that they are.

| Arrow | type |
|---|---|
| string, large_string, string_view, null; a dictionary of these | string |
| int8 to int64, uint8 to uint64 (up to 2^63 - 1) | integer |
| float16, float32 / float64 | float / double |
| decimal | decimal: its digits as text |
| bool | boolean |
| date / timestamp / time | date / datetime / time: ISO 8601 text, without zeros at the end of a fraction |

A timestamp with a time zone ends with its offset from UTC, or Z. Anything else (lists, structs, maps, binary,
durations) is refused.
"""

from __future__ import annotations

import decimal

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats import dataset_footer
from hilum.model.dataset import Dataset, DataType, Variable

_MOST = 2**63 - 1
_ISO = (
    (r" ", "T"),
    (r"([+-][0-9]{2})([0-9]{2})$", r"\1:\2"),
    (r"\.0+(Z|[+-].*)?$", r"\1"),
    (r"(\.[0-9]*[1-9])0+(Z|[+-].*)?$", r"\1\2"),
)


def dataset(schema: pa.Schema, name: str) -> Dataset:
    """The data set of a file: as its footer says where this hub wrote it, otherwise of its columns' types.

    Raises DataError for a column that no variable can hold, and for two of one name. What the footer says of a column
    that was changed since does not count.
    """
    written = (schema.metadata or {}).get(dataset_footer.KEY)
    said = None if written is None else dataset_footer.load(written)
    known = {} if said is None else {one.name: one for one in said.variables}
    variables: dict[str, Variable] = {}
    for field in schema:
        if field.name in variables:
            raise DataError("two columns have this name", variable=field.name)
        kind, one = _kind(field), known.get(field.name)
        variables[field.name] = one if one is not None and _holds(one, kind) else Variable(field.name, kind)
    every = tuple(variables.values())
    return Dataset(name, every) if said is None else Dataset(said.name, every, said.label, said.extra)


def batch(rows: pa.RecordBatch, held: pa.Schema, row: int) -> pa.RecordBatch:
    """Rows as the schema holds them; `row` rows went before. Raises DataError for a number beyond 64 bits."""
    columns = [convert(column, name, row) for name, column in zip(held.names, rows.columns, strict=True)]
    return pa.record_batch(columns, schema=held)


def convert(column: pa.Array, variable: str, row: int) -> pa.Array:
    """A column as a batch holds it; `row` rows went before. Raises DataError for a number beyond 64 bits."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return convert(column.storage, variable, row)
    if pa.types.is_dictionary(kind):
        return convert(column.dictionary_decode(), variable, row)
    if pa.types.is_uint64(kind):
        _within(column, variable, row)
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.int64())
    if pa.types.is_floating(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_decimal(kind):
        return _digits(column)
    text = pc.cast(column, pa.string())
    if not (pa.types.is_timestamp(kind) or pa.types.is_time(kind)):
        return text
    for pattern, instead in _ISO:
        text = pc.replace_substring_regex(text, pattern, instead)
    return text


def _kind(field: pa.Field) -> DataType:
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for holds, found in _KINDS:
        if holds(kind):
            return found
    raise DataError(f"a column of {kind} is no variable: it needs one value a row", variable=field.name)


_KINDS = (
    (pa.types.is_string, DataType.STRING),
    (pa.types.is_large_string, DataType.STRING),
    (pa.types.is_string_view, DataType.STRING),
    (pa.types.is_null, DataType.STRING),
    (pa.types.is_integer, DataType.INTEGER),
    (pa.types.is_float64, DataType.DOUBLE),
    (pa.types.is_floating, DataType.FLOAT),
    (pa.types.is_decimal, DataType.DECIMAL),
    (pa.types.is_boolean, DataType.BOOLEAN),
    (pa.types.is_date, DataType.DATE),
    (pa.types.is_timestamp, DataType.DATETIME),
    (pa.types.is_time, DataType.TIME),
)


def _holds(variable: Variable, kind: DataType) -> bool:
    """Is a column of this kind what the variable's values are held in?"""
    numbers = {DataType.FLOAT: "float", DataType.DOUBLE: "float", DataType.INTEGER: "integer", DataType.BOOLEAN: "bit"}
    wanted = "float" if variable.counted else numbers.get(variable.type, "text")
    return wanted == numbers.get(kind, "text") and (kind is DataType.STRING or wanted != "text")


def _within(column: pa.Array, variable: str, row: int) -> None:
    place = pc.index(pc.greater(column, pa.scalar(_MOST, pa.uint64())), True).as_py()
    if place >= 0:
        raise DataError("this integer is beyond 64 bits with a sign", row=row + place + 1, variable=variable)


def _digits(column: pa.Array) -> pa.Array:
    text = pc.cast(column, pa.string())
    if not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    plain = [None if one is None else f"{decimal.Decimal(one):f}" for one in text.to_pylist()]
    return pa.array(plain, pa.string())
