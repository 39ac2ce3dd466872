"""Rows of JSON as columns of Arrow, each cell held to its variable's type.

Source: CDISC Dataset-JSON 1.1, "Supported Column Data Type Combinations".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats import sas_time
from hilum.model.dataset import Dataset, DataType, Variable

_REALS = (DataType.FLOAT, DataType.DOUBLE)
_STRANGE = {DataType.INTEGER: float, DataType.FLOAT: bool, DataType.DOUBLE: bool}  # Arrow would take it, changed
_INTEGERS = range(-(2**63), 2**63)
_DECIMAL = "^[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]+)?$"


def batch(rows: list[Any], dataset: Dataset, schema: pa.Schema, before: int) -> pa.RecordBatch:
    """The rows, of which `before` stand before the first one. Raises DataError with row and variable."""
    variables = dataset.variables
    if set(map(type, rows)) != {list}:
        rows = [_cells(row, dataset, number) for number, row in enumerate(rows, before + 1)]
    if set(map(len, rows)) != {len(variables)}:
        raise _wrong_width(rows, dataset, before)
    columns = zip(variables, schema.types, zip(*rows, strict=True), strict=True)
    return pa.RecordBatch.from_arrays(
        [_column(one, held, cells, before) for one, held, cells in columns], schema=schema
    )


def _cells(row: Any, dataset: Dataset, number: int) -> list[Any]:
    """A row's cells; compressed Dataset-JSON may have it as an object, by the variables' names."""
    if isinstance(row, list):
        return row
    if not isinstance(row, Mapping):
        raise DataError("a row is an array", row=number)
    if others := row.keys() - set(dataset.names):
        raise DataError(f"{len(others)} cells have no variable", row=number)
    return [row.get(name) for name in dataset.names]


def _wrong_width(rows: list[list[Any]], dataset: Dataset, before: int) -> DataError:
    width = len(dataset.variables)
    number, found = next((number, len(row)) for number, row in enumerate(rows, before + 1) if len(row) != width)
    variable = dataset.names[min(found, width - 1)]  # the first without a cell, or the last that has one
    return DataError(f"{found} cells, and {width} variables", row=number, variable=variable)


def _column(variable: Variable, held: pa.DataType, cells: Sequence[Any], before: int) -> pa.Array:
    """An empty text is no date to be counted and no decimal: it is a missing value there, and a text elsewhere."""
    if not variable.counted and variable.type is not DataType.DECIMAL:
        return _array(variable, held, cells, before)
    texts = _array(variable, pa.string(), cells, before)
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    if variable.counted:
        found, wrong = sas_time.counts(texts, variable.type)
        reason = f"it is no complete {variable.type} of ISO 8601 without a time zone"
    else:
        found = pc.replace_substring(texts, ",", "")  # between thousands
        wrong = pc.indices_nonzero(pc.invert(pc.match_substring_regex(found, _DECIMAL))).to_pylist()
        reason = "it is no decimal number"
    if wrong:
        raise DataError(reason, row=before + wrong[0] + 1, variable=variable.name)
    return found


def _array(variable: Variable, held: pa.DataType, cells: Sequence[Any], before: int) -> pa.Array:
    """The cells as Arrow takes them, and one by one where it does not or would take too much."""
    real, strange = variable.type in _REALS, _STRANGE.get(variable.type)
    if strange is None or strange not in set(map(type, cells)):
        try:
            found = pa.array(cells, held)
            if not real or pc.all(pc.is_finite(found)).as_py() is not False:
                return found
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            pass
    for number, cell in enumerate(cells, before + 1):
        if reason := _fault(cell, variable.type):
            raise DataError(reason, row=number, variable=variable.name)
    return pa.array([None if cell is None else float(cell) if real else int(cell) for cell in cells], held)


def _fault(cell: Any, kind: DataType) -> str:
    """Why the cell is no value of this type; empty where it is one."""
    if cell is None:
        return ""
    if kind is DataType.BOOLEAN:
        right = isinstance(cell, bool)
    elif kind in _REALS:
        right = isinstance(cell, int | float) and not isinstance(cell, bool)
        if right and not _finite(cell):
            return "it is beyond the numbers that a double holds"
    elif kind is DataType.INTEGER:
        right = isinstance(cell, int | float) and not isinstance(cell, bool) and _finite(cell) and cell == int(cell)
        if right and int(cell) not in _INTEGERS:
            return "it is beyond the integers of 64 bits"
    else:
        right = isinstance(cell, str)
        if right and not _encodes(cell):
            return "it has half of a surrogate pair, which is no character"
    return "" if right else f"{_NAMES.get(type(cell), 'an array')} is no {kind}"


_NAMES = {bool: "a boolean", int: "a number", float: "a number", str: "a text", dict: "an object"}


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _encodes(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)
