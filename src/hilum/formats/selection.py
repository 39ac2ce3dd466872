"""Conditions on the rows of a table, a batch at a time.

A missing value, one of SAS's special ones as well, meets `missing` alone.
Numbers compare as numbers, so does a decimal (as a 64-bit float); text, and dates that are ISO 8601 text, compare by
their characters, so that `2014` is before `2014-05`; what SAS counts is compared with the count of the text given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import ConfigError
from hilum.formats import sas_time
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.model.selection import Comparison, Condition

_C = Comparison
_ORDERED = {
    _C.EQUAL: pc.equal, _C.UNEQUAL: pc.not_equal, _C.LESS: pc.less, _C.AT_MOST: pc.less_equal, _C.MORE: pc.greater,
    _C.AT_LEAST: pc.greater_equal,
}  # fmt: skip
_WORDS = {_C.CONTAINS: pc.match_substring, _C.STARTS: pc.starts_with}
_NONE = pa.scalar(False)  # of no values: nothing is among them
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Selection:
    """Conditions, ready to be asked. Raises ConfigError where one does not fit the data set's variables."""

    def __init__(self, conditions: Sequence[Condition], dataset: Dataset) -> None:
        known = {one.name: one for one in dataset.variables}
        self.tests: list[tuple[Variable, Comparison, Any]] = []
        """What is asked of which variable, and what it is compared with, as its column holds that."""
        for number, one in enumerate(conditions):
            where = f"where[{number}]"
            if one.variable not in known:
                raise ConfigError(f"{dataset.name} has no variable {one.variable}", where=where)
            self.tests.append((known[one.variable], one.op, _operand(known[one.variable], one, where)))

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that are asked about, once each."""
        return tuple(dict.fromkeys(variable.name for variable, _, _ in self.tests))

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows of a batch, which has at least `names`, are meant."""
        found = pa.repeat(True, batch.num_rows)
        for variable, op, value in self.tests:
            found = pc.and_(found, _holds(batch.column(variable.name), variable, op, value))
        return found


def _holds(column: pa.Array, variable: Variable, op: Comparison, value: Any) -> pa.BooleanArray:
    there = column.is_valid()
    if pa.types.is_floating(column.type):
        there = pc.and_(there, pc.invert(pc.fill_null(pc.is_nan(column), True)))
    if op in (_C.MISSING, _C.PRESENT):
        return there if op is _C.PRESENT else pc.invert(there)
    if variable.type is DataType.DECIMAL and op not in _WORDS:
        column = pc.cast(column, pa.float64())
    if op in _WORDS:
        met = _WORDS[op](column, value)
    elif op is _C.AMONG:
        met = functools.reduce(pc.or_, (pc.equal(column, pa.scalar(one, column.type)) for one in value), _NONE)
    else:
        met = _ORDERED[op](column, pa.scalar(value, column.type))
    return pc.and_(there, pc.fill_null(met, False))


def _operand(variable: Variable, one: Condition, where: str) -> Any:
    """What the variable's column is compared with, as the column holds it."""
    if one.value is None:
        return None
    if one.op in _WORDS:
        if variable.numeric or not isinstance(one.value, str):
            raise ConfigError(f"{one.op} needs text, {variable.name} is {variable.type}", where=where)
        return one.value
    if isinstance(one.value, list):
        return [_held(variable, each, where) for each in one.value]
    return _held(variable, one.value, where)


def _held(variable: Variable, value: Any, where: str) -> Any:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        if variable.counted:
            return _count(variable, text)
        if variable.type is DataType.BOOLEAN:
            return _TRUTHS[text.lower()]
        if variable.type is DataType.INTEGER:
            return pa.scalar(int(text), pa.int64()).as_py()
        if variable.numeric or variable.type is DataType.DECIMAL:
            return _finite(float(text))
    except (ValueError, KeyError, OverflowError, pa.ArrowInvalid):
        raise ConfigError(f"{text!r} is no {variable.type}, as {variable.name} is", where=where) from None
    return text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number


def _count(variable: Variable, text: str) -> float:
    found, unfit = sas_time.counts(pa.array([text]), variable.type)
    if unfit:
        return _finite(float(text))  # SAS's own count
    count: float = found[0].as_py()
    return count
