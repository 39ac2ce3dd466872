"""The rows and variables of an export as one Ibis expression, that DuckDB and Spark run on a data set's Parquet file.

What conditions mean, `formats.selection` says; the expression means the same. Rows come in no order that is promised.
Ibis writes the query; it is run by the library itself, as Ibis 12 reads Spark's results through pandas, which loses
integers beyond 2^53 and the letters of special missing values. It needs the extra `hilum[spark]`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hilum.errors import ConfigError
from hilum.exporting.data import chosen
from hilum.formats.selection import Selection
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.model.selection import Comparison, Condition
from hilum.sdk.tables import BATCH, schema

try:
    import duckdb
    import ibis
except ImportError:
    raise ConfigError("this needs more libraries: pip install 'hilum[spark]'") from None

TABLE = "export_source"
"""What the expression calls the data set's table."""

_C = Comparison
_ORDERED = {
    _C.EQUAL: operator.eq, _C.UNEQUAL: operator.ne, _C.LESS: operator.lt, _C.AT_MOST: operator.le,
    _C.MORE: operator.gt, _C.AT_LEAST: operator.ge,
}  # fmt: skip


def expression(dataset: Dataset, variables: list[str] | None, where: Sequence[Condition]) -> Any:
    """The variables in their order (None: all), of the rows that meet all conditions; of a table called TABLE.

    Raises DataError where there is no such variable, ConfigError where a condition does not fit its variable, or names
    differ in their case alone, which SQL does not tell apart.
    """
    if len({name.lower() for name in dataset.names}) < len(dataset.names):
        raise ConfigError(f"{dataset.name} has two variables whose names differ in case alone")
    wanted, selection = chosen(dataset, variables), Selection(where, dataset)
    table = ibis.table(ibis.Schema.from_pyarrow(schema(dataset)), name=TABLE)
    tests = [_holds(table[variable.name], variable, op, value) for variable, op, value in selection.tests]
    met = table.filter(functools.reduce(operator.and_, tests)) if tests else table
    return met.select(*wanted.names)


def by_duckdb(made: Any, source: Path) -> Iterator[pa.RecordBatch]:
    """Its rows, batch by batch, from a Parquet file that holds the data set's columns."""
    with duckdb.connect() as connection:
        connection.read_parquet(str(source)).create_view(TABLE)
        held = made.schema().to_pyarrow()
        for batch in connection.sql(ibis.duckdb.compile(made)).to_arrow_reader(BATCH):
            yield batch.cast(held)


def by_spark(made: Any, source: str, session: Any) -> Iterator[pa.RecordBatch]:
    """The same by a Spark session (PySpark); `source` is anything that it reads as Parquet.

    All rows that are selected are in memory at once: what Spark writes into files instead has no letters any more.
    """
    session.read.parquet(source).createOrReplaceTempView(TABLE)
    try:
        found = session.sql(ibis.pyspark.compile(made)).toArrow()
    finally:
        session.catalog.dropTempView(TABLE)
    yield from found.cast(made.schema().to_pyarrow()).to_batches(BATCH)


def _holds(column: Any, variable: Variable, op: Comparison, value: Any) -> Any:
    there = column.notnull()
    floating = column.type().is_floating()
    if floating:
        there = there & ~column.isnan().fill_null(False)
    if op in (_C.MISSING, _C.PRESENT):
        return there if op is _C.PRESENT else ~there
    if variable.type is DataType.DECIMAL and op not in (_C.CONTAINS, _C.STARTS):
        column, floating = column.cast("float64"), True
    kind = "float64" if floating else str(column.type())
    if op is _C.CONTAINS:
        met = column.contains(value)
    elif op is _C.STARTS:
        met = column.startswith(value)
    elif op is _C.AMONG:
        met = column.isin([_literal(one, kind) for one in value])
    else:
        met = _ORDERED[op](column, _literal(value, kind))
    return there & met.fill_null(False)


def _literal(value: Any, kind: str) -> Any:
    """A float is told as its text: some would read its digits as a decimal, and not come to the same float."""
    return ibis.literal(repr(value)).cast("float64") if kind == "float64" else ibis.literal(value, type=kind)
