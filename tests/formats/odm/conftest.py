"""Tables as ODM-XML and back."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hilum.formats.odm import V1, V2, Reader, Version, Writer
from hilum.model.dataset import Dataset
from hilum.sdk.tables import BATCH, schema

CREATED = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


class _Kept(io.BytesIO):
    """A file that is there after it was closed."""

    data: bytes | None = None

    def close(self) -> None:
        self.data = self.getvalue()
        super().close()


def _write(
    dataset: Dataset,
    *batches: pa.RecordBatch,
    version: Version = V1,
    refused: list[tuple[int, str, str]] | None = None,
    **options: Any,
) -> bytes:
    def refuse(row: int, variable: str, value: object, reason: str) -> None:
        assert refused is not None, (row, variable, value, reason)
        refused.append((row, variable, reason))

    file = _Kept()
    writer = Writer(lambda: file, version, dataset, CREATED, refuse, **options)
    for batch in batches:
        writer.write(batch)
    writer.close()
    assert writer.rows == sum(batch.num_rows for batch in batches)
    assert file.data is not None, "the writer closes its file"
    return file.data


def _batch(dataset: Dataset, *rows: tuple[Any, ...]) -> pa.RecordBatch:
    held = schema(dataset)
    columns = list(zip(*rows, strict=True)) or [()] * len(held)
    arrays = [pa.array(cells, one, from_pandas=False) for cells, one in zip(columns, held.types, strict=True)]
    return pa.record_batch(arrays, schema=held)


@pytest.fixture(scope="session")
def write() -> Callable[..., bytes]:
    """The file of a data set and its batches; `refused` collects what cannot be written."""
    return _write


@pytest.fixture(scope="session")
def batch() -> Callable[..., pa.RecordBatch]:
    """Rows of a data set."""
    return _batch


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[tuple[Dataset, pa.Table]]]:
    """The tables of a file."""
    path = tmp_path_factory.mktemp("odm") / "odm.xml"

    def tables(data: bytes, language: str = "en", most: int = BATCH) -> list[tuple[Dataset, pa.Table]]:
        Path(path).write_bytes(data)
        found = list(Reader(path, schema, most, language).tables())
        return [(dataset, pa.Table.from_batches(batches, schema(dataset))) for dataset, batches in found]

    return tables


@pytest.fixture(params=[V1, V2], ids=lambda one: one.number)
def version(request: pytest.FixtureRequest) -> Version:
    found: Version = request.param
    return found
