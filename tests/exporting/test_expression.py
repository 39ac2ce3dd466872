"""One expression, three engines: what `formats.selection` selects, DuckDB and Spark select by Ibis.

The libraries are the extra `hilum[spark]`, Spark needs Java; where they are absent, this is skipped.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from hilum.errors import ConfigError, DataError
from hilum.formats.missing import special
from hilum.formats.selection import Selection
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.model.selection import Condition, condition
from hilum.sdk.tables import schema

ABSENT = [name for name in ("ibis", "duckdb", "pyspark") if importlib.util.find_spec(name) is None]
if ABSENT:
    pytest.skip(f"{', '.join(ABSENT)} absent (pip install 'hilum[spark]')", allow_module_level=True)

from hilum.exporting import expression  # noqa: E402 - it needs what may be absent

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:pyspark"),  # of pandas, which is not used here
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets to the JVM are py4j's
    pytest.mark.slow,
]

DATASET = Dataset(
    "D",
    (
        Variable("ROW", DataType.INTEGER), Variable("T"), Variable("N", DataType.DOUBLE),
        Variable("I", DataType.INTEGER), Variable("D", DataType.DECIMAL), Variable("B", DataType.BOOLEAN),
        Variable("DTC", DataType.DATE), Variable("DT", DataType.DATE, target=DataType.INTEGER),
        Variable("odd name, with \"marks\" and `ticks`"),
    ),
)  # fmt: skip
ODD = DATASET.names[-1]
ROWS: dict[str, list[Any]] = {
    "ROW": [0, 1, 2, 3, 4, 5, 6, 7],
    "T": ["a", None, "", "b'x", "back\\slash", "100%", "ünïcode 🌱", "A"],
    "N": [0.1 + 0.2, None, special("A"), special("_"), float("nan"), -1.5, 1e300, 0.3],
    "I": [1, None, 2**62 + 1, -5, 0, 2**63 - 1, -(2**63), 2],
    "D": ["1.50", None, "-0.1", "10", "1.5", "0", "12345678901234567890.5", "2"],
    "B": [True, None, False, True, False, True, None, False],
    "DTC": ["2014-01-31", None, "2014", "2014-02", "1850-05-05", "2016-02-29", "2014-01-30", ""],
    "DT": [19_754.0, None, special("B"), 0.0, -1.0, 20_000.0, 19_755.0, 19_753.0],
    ODD: ["x", None, "y", "x", "x", "z", "", "x"],
}
ASKED = [
    "T = a", "T != a", "T < b", "T >= a", "T contains '", "T contains \\", "T contains %", "T starts ü", "T missing",
    "T present", "T in a,A,b'x", "N = 0.30000000000000004", "N > 0.3", "N <= 0.3", "N missing", "N present",
    "N in 0.3,1e300", "N != -1.5", "I = 4611686018427387905", "I > 4611686018427387904", "I in 1,9223372036854775807",
    "I < 0", "I missing", "D = 1.5", "D >= 1.5", "D in 1.50,2", "D missing", "D contains .5", "B = true", "B != true",
    "B in 0", "B missing", "DTC < 2014-02", "DTC = 2014", "DT >= 2014-01-31", "DT = 2014-02-01", "DT missing",
    "DT < 0", "DT in 1960-01-01,20000",
]  # fmt: skip
Run = Callable[[Any], list[pa.RecordBatch]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    held = schema(DATASET)
    path = tmp_path_factory.mktemp("source") / "d.parquet"
    columns = [pa.array(ROWS[one.name], one.type, from_pandas=False) for one in held]
    pq.write_table(pa.table(columns, schema=held), path, row_group_size=3)
    return path


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    if shutil.which("java") is None:
        pytest.skip("java absent: Spark needs it")
    from pyspark.sql import SparkSession

    made = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    made = made.config("spark.sql.shuffle.partitions", "1").config("spark.driver.bindAddress", "127.0.0.1")
    session = made.config("spark.driver.host", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


def wanted(source: Path, asked: list[Condition], names: list[str]) -> list[tuple[Any, ...]]:
    """As an export selects."""
    (batch,) = pq.read_table(source).combine_chunks().to_batches()
    return told(batch.filter(Selection(asked, DATASET).mask(batch)).select(names))


def told(*batches: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Rows that can be compared and sorted: floats as their bits, so that a letter of a NaN counts."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        columns = [_bits(one) if pa.types.is_floating(one.type) else one for one in batch.columns]
        found += zip(*(one.to_pylist() for one in columns), strict=True)
    return sorted(found, key=repr)


def _bits(column: pa.Array) -> pa.Array:
    bits = pa.Array.from_buffers(pa.int64(), len(column), [None, column.buffers()[1]], offset=column.offset)
    return pc.if_else(column.is_valid(), bits, None)


def test_duckdb_selects_the_same(source: Path) -> None:
    for text in ASKED:
        asked = [condition(text)]
        made = expression.expression(DATASET, None, asked)
        assert told(*expression.by_duckdb(made, source)) == wanted(source, asked, list(DATASET.names)), text


def test_spark_selects_the_same(source: Path, session: Any) -> None:
    for text in ASKED:
        asked = [condition(text)]
        made = expression.expression(DATASET, None, asked)
        found = expression.by_spark(made, str(source), session)
        assert told(*found) == wanted(source, asked, list(DATASET.names)), text


def test_variables_stand_in_their_order(source: Path, session: Any) -> None:
    names = [ODD, "ROW", "N"]
    asked = [condition("T present"), condition("I present"), condition("B = false")]
    made = expression.expression(DATASET, names, asked)
    rows = wanted(source, asked, names)
    assert len(rows) == 3
    for found in (expression.by_duckdb(made, source), expression.by_spark(made, str(source), session)):
        batches = list(found)
        assert all(one.schema.names == names for one in batches)
        assert told(*batches) == rows


def test_all_rows_and_none(source: Path, session: Any) -> None:
    every = expression.expression(DATASET, None, [])
    none = expression.expression(DATASET, ["T"], [condition("ROW > 100")])
    assert len(told(*expression.by_duckdb(every, source))) == 8
    assert told(*expression.by_duckdb(none, source)) == []
    assert told(*expression.by_spark(every, str(source), session)) == wanted(source, [], list(DATASET.names))
    assert told(*expression.by_spark(none, str(source), session)) == []


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(DataError, match="no such variable"):
        expression.expression(DATASET, ["X"], [])
    with pytest.raises(ConfigError, match="has no variable X"):
        expression.expression(DATASET, None, [condition("X = 1")])
    with pytest.raises(ConfigError, match="is no integer"):
        expression.expression(DATASET, None, [condition("I = x")])
    with pytest.raises(ConfigError, match="differ in case alone"):
        expression.expression(Dataset("D", (Variable("A"), Variable("a"))), None, [])
