"""What every Importer keeps: batches as the data set says, and a broken file is an error that can be told."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from hilum.errors import DataError, FormatError
from hilum.model.dataset import Dataset
from hilum.sdk.tables import BATCH, Importer, schema
from hilum.sdk.testing.base import Suite


class ImporterSuite(Suite):
    """Hooks: `module`; `options`, all tried; `good`, files of the format by name; `bad`, bytes that are none of it."""

    module: ClassVar[ModuleType]
    options: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    bad: ClassVar[Sequence[bytes]] = (b"", b"\0", b"not what it claims to be", bytes(range(256)) * 4)
    broken: ClassVar[int] = 200  # how many broken copies of a file are tried

    def good(self) -> Mapping[str, bytes]:
        raise NotImplementedError

    @property
    def kind(self) -> type[Importer[Any]]:
        found = self.module.__dict__.get("importer")
        assert isinstance(found, type), f"{self.module.__name__} declares no `importer`"
        assert issubclass(found, Importer)
        return found

    def read(self, path: Path, options: Mapping[str, Any]) -> list[tuple[Dataset, list[pa.RecordBatch]]]:
        used = self.kind(self.kind.Config.model_validate(options))
        return [(table.dataset, list(table.batches)) for table in used.tables(path)]

    def test_the_catalogue_has_its_words(self) -> None:
        assert (self.module.__doc__ or "").splitlines()[0].strip()
        assert self.kind.names
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in self.kind.suffixes)
        for name, field in self.kind.Config.model_fields.items():
            assert field.description, f"{name} has no description"

    def test_batches_are_as_the_data_set_says(self, tmp_path: Path) -> None:
        for path, options in self._tried(tmp_path):
            tables = self.read(path, options)
            assert tables
            for dataset, batches in tables:
                for batch in batches:
                    assert batch.schema.equals(schema(dataset)), f"{path.name}: {batch.schema} is not as announced"
                    assert 0 < batch.num_rows <= BATCH
                    batch.validate(full=True)

    def test_a_file_says_the_same_twice(self, tmp_path: Path) -> None:
        for path, options in self._tried(tmp_path):
            assert repr(self.read(path, options)) == repr(self.read(path, options))

    def test_tables_can_be_listed_before_their_rows_are_read(self, tmp_path: Path) -> None:
        for path, options in self._tried(tmp_path):
            used = self.kind(self.kind.Config.model_validate(options))
            tables = list(used.tables(path))
            counts = [sum(batch.num_rows for batch in table.batches) for table in tables]
            assert counts == [sum(batch.num_rows for batch in batches) for _, batches in self.read(path, options)]

    def test_another_format_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / f"bad{self.kind.suffixes[0]}"
        for data in self.bad:
            path.write_bytes(data)
            for options in self.options:
                with pytest.raises(FormatError):
                    self.read(path, options)

    def test_a_broken_file_is_read_or_told(self, tmp_path: Path) -> None:
        chance = random.Random(1)  # the same every time: what fails once can be looked at
        for name, data in self.good().items():
            path = tmp_path / name
            for _ in range(self.broken):
                path.write_bytes(_broken(data, chance))
                for options in self.options:
                    with contextlib.suppress(FormatError, DataError):  # anything else fails
                        self.read(path, options)

    def _tried(self, folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        for name, data in self.good().items():
            path = folder / name
            path.write_bytes(data)
            for options in self.options:
                yield path, options


def _broken(data: bytes, chance: random.Random) -> bytes:
    """A copy that is cut, or has bytes changed, most of them near its beginning, where headers are."""
    if chance.random() < 0.2:
        return data[: chance.randrange(len(data))]
    copy = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        reach = len(copy) if chance.random() < 0.3 else min(len(copy), 2_000)
        copy[chance.randrange(reach)] = chance.randrange(256)
    return bytes(copy)
