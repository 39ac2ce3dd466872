"""Parquet and Arrow: typed for everybody, and the whole data set again for this hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilum.exporters.arrow import ArrowExporter
from hilum.exporters.parquet import ParquetExporter
from hilum.importers.arrow import ArrowImporter
from hilum.importers.parquet import ParquetImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import BATCH

PAIRS = [(ParquetExporter, ParquetImporter), (ArrowExporter, ArrowImporter)]


def bits(column: pa.Array) -> list[Any]:
    """Floats by their bits, as a NaN equals nothing."""
    if not pa.types.is_floating(column.type):
        return column.to_pylist()
    raw = column.fill_null(0.0).to_numpy(zero_copy_only=False).view(np.uint64).tolist()
    return [one if there else None for one, there in zip(raw, column.is_valid().to_pylist(), strict=True)]


@pytest.mark.parametrize(("kind", "back"), PAIRS)
def test_everything_comes_back(write: Any, every: Any, tmp_path: Path, kind: Any, back: Any) -> None:
    dataset, batch = every
    path = tmp_path / f"other{kind.suffix}"
    path.write_bytes(write(kind, dataset, batch, batch.slice(2)))
    tables = list(back(back.Config()).tables(path))
    assert [one.dataset for one in tables] == [dataset]
    found = pa.Table.from_batches(tables[0].batches).combine_chunks().to_batches()[0]
    wanted = pa.Table.from_batches([batch, batch.slice(2)]).combine_chunks().to_batches()[0]
    assert [bits(column) for column in found.columns] == [bits(column) for column in wanted.columns]


@pytest.mark.parametrize(("kind", "back"), PAIRS)
def test_no_rows_keep_the_variables(write: Any, every: Any, tmp_path: Path, kind: Any, back: Any) -> None:
    path = tmp_path / f"none{kind.suffix}"
    path.write_bytes(write(kind, every[0]))
    table = next(back(back.Config()).tables(path))
    assert table.dataset == every[0]
    assert list(table.batches) == []


@pytest.mark.parametrize("kind", [ParquetExporter, ArrowExporter])
def test_the_same_rows_give_the_same_bytes(write: Any, every: Any, kind: Any) -> None:
    assert write(kind, *every) == write(kind, *every)


def test_numbers_alone_under_an_odd_name(write: Any, tmp_path: Path) -> None:
    dataset = Dataset("T", (Variable("a.b", DataType.INTEGER), Variable("c d", DataType.DOUBLE)))
    values = [pa.array([1, None, -(2**63)]), pa.array([0.1, None, -1e300])]
    path = tmp_path / "t.parquet"
    path.write_bytes(write(ParquetExporter, dataset, pa.record_batch(values, names=list(dataset.names))))
    assert duckdb.sql(f"FROM '{path}'").fetchall() == [(1, 0.1), (None, None), (-(2**63), -1e300)]


@pytest.mark.ledger_part("S1-02", "another reader finds the same types and values in Parquet")
def test_duckdb_reads_the_parquet(write: Any, every: Any, tmp_path: Path) -> None:
    dataset, batch = every
    path = tmp_path / "all.parquet"
    path.write_bytes(write(ParquetExporter, dataset, batch))
    found = duckdb.sql(f"SELECT TEXT, WHOLE, YES, DTC FROM '{path}'").fetchall()
    wanted = [batch.column(name).to_pylist() for name in ("TEXT", "WHOLE", "YES", "DTC")]
    assert found == list(zip(*wanted, strict=True))


def test_small_batches_make_large_row_groups(write: Any) -> None:
    dataset = Dataset("T", (Variable("V"),))
    batch = pa.record_batch([pa.array(["x"] * 1000)], names=["V"])
    data = write(ParquetExporter, dataset, *[batch] * 150)
    found = pq.ParquetFile(pa.BufferReader(data)).metadata
    assert found.num_rows == 150_000
    assert found.num_row_groups == 2
    assert found.row_group(0).num_rows >= 2 * BATCH - 1000
