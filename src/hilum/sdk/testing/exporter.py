"""What every Exporter keeps: the same export gives the same bytes, and nothing is left out without a word."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from hilum.errors import DataError
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Export, Exporter, Importer, Unrepresentable, schema
from hilum.sdk.testing.base import Suite

CREATED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

SAMPLE = Dataset(
    "SAMPLE",
    (
        Variable("ID", label="A text", length=8, key=1),
        Variable("COUNT", DataType.INTEGER, label="A whole number"),
        Variable("SIZE", DataType.DOUBLE, label="A number", format="8.2"),
        Variable("DAY", DataType.DATE, label="A day as SAS counts it", format="DATE9.", target=DataType.INTEGER),
        Variable("BEGUN", DataType.DATETIME, label="A time, as much of it as is known", length=19),
        Variable("OK", DataType.BOOLEAN, label="Yes or no"),
    ),
    label="One of each",
)
ROWS: Mapping[str, Sequence[Any]] = {
    "ID": ["a", "b b", None, ""],
    "COUNT": [1, None, -3, 2**40],
    "SIZE": [0.1, -1e10, None, 0.0],
    "DAY": [None, 0.0, 23_000.0, -1.0],
    "BEGUN": ["2026-01-02T03:04:05", "2026-01", "2026", None],
    "OK": [True, False, None, True],
}


class Kept(io.BytesIO):
    """A file in memory that is still there after it was closed."""

    data: bytes | None = None

    def close(self) -> None:
        if not self.closed:
            self.data = self.getvalue()
        super().close()


def rows(dataset: Dataset, values: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    """A batch as an exporter gets it."""
    held = schema(dataset)
    return pa.record_batch([pa.array(values[name], held.field(name).type) for name in dataset.names], schema=held)


def write(
    kind: type[Exporter[Any]],
    dataset: Dataset,
    batches: Sequence[pa.RecordBatch],
    options: Mapping[str, Any] | None = None,
    *,
    aside: list[Unrepresentable] | None = None,
    warnings: list[str] | None = None,
) -> dict[str, bytes]:
    """The files that an export gives; `aside` and `warnings` are filled."""
    files: dict[str, Kept] = {}

    def begin(name: str) -> Kept:
        assert name not in files, f"{name} was begun twice"
        files[name] = Kept()
        return files[name]

    count = sum(batch.num_rows for batch in batches)
    said = [] if warnings is None else warnings
    export = Export(begin, count, CREATED, said.append, None if aside is None else aside.append)
    used = kind(kind.Config.model_validate(options or {}), dataset, export)
    for batch in batches:
        used.write(batch)
    used.close()
    assert all(one.data is not None for one in files.values()), "an exporter closes its files"
    return {name: one.data or b"" for name, one in files.items()}


class ExporterSuite(Suite):
    """Hooks: `module`; `options`, all tried; `refused`, what it cannot represent; `importer`, where there is one."""

    module: ClassVar[ModuleType]
    options: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    refused: ClassVar[Sequence[tuple[Variable, Any]]] = ()
    importer: ClassVar[type[Importer[Any]] | None] = None
    null_text: ClassVar[str | None] = None  # what a null text is read as
    dataset: ClassVar[Dataset] = SAMPLE
    values: ClassVar[Mapping[str, Sequence[Any]]] = ROWS

    @property
    def kind(self) -> type[Exporter[Any]]:
        found = self.module.__dict__.get("exporter")
        assert isinstance(found, type), f"{self.module.__name__} declares no `exporter`"
        assert issubclass(found, Exporter)
        return found

    def files(self, options: Mapping[str, Any], *batches: pa.RecordBatch) -> dict[str, bytes]:
        return write(self.kind, self.dataset, batches or [rows(self.dataset, self.values)], options)

    def test_the_catalogue_has_its_words(self) -> None:
        assert (self.module.__doc__ or "").splitlines()[0].strip()
        assert self.kind.names
        assert all(name == name.lower() for name in self.kind.names)
        assert self.kind.suffix.startswith(".")
        assert "/" in self.kind.media_type
        for name, field in self.kind.Config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_the_same_export_gives_the_same_bytes(self) -> None:
        for options in self.options:
            assert self.files(options) == self.files(options)

    def test_no_rows_are_a_file_too(self) -> None:
        for options in self.options:
            files = self.files(options, rows(self.dataset, self.values).slice(0, 0))
            assert files
            assert files.keys() == self.files(options).keys()

    def test_order_and_nulls_are_kept(self, tmp_path: Path) -> None:
        if self.importer is None:
            pytest.skip("this hub does not read the format")
        wanted = rows(self.dataset, self.values)
        for options in self.options:
            for name, data in self.files(options, wanted.slice(0, 1), wanted.slice(1)).items():
                path = tmp_path / name
                path.write_bytes(data)
                (table,) = self.importer(self.importer.Config()).tables(path)
                found = pa.Table.from_batches(table.batches, schema(table.dataset))
                assert found.column_names == list(self.dataset.names)
                for variable, column in zip(self.dataset.variables, wanted.columns, strict=True):
                    assert _plain(found[variable.name], None) == _plain(
                        column, None if variable.numeric else self.null_text
                    ), variable.name

    def test_what_cannot_be_represented_is_refused(self) -> None:
        for variable, value in self.refused:
            dataset = Dataset("REFUSED", (variable,))
            batch = rows(dataset, {variable.name: [None, value]})
            for options in self.options:
                with pytest.raises(DataError) as caught:
                    write(self.kind, dataset, [batch], options)
                assert (caught.value.row, caught.value.variable) == (2, variable.name)
                aside: list[Unrepresentable] = []
                assert write(self.kind, dataset, [batch], options, aside=aside)
                assert [(one.row, one.variable) for one in aside] == [(2, variable.name)], (
                    f"{value!r} was not set aside"
                )


def _plain(column: Any, null: str | None) -> list[Any]:
    """Values that can be compared, whether a format has integers and booleans or not."""
    return [null if value is None else float(value) if isinstance(value, bool | int) else value for value in
            column.to_pylist()]  # fmt: skip
