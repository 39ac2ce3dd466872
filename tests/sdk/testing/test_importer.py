"""The importers' suite lets a good one pass, and finds each fault."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hilum.errors import FormatError
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk import config
from hilum.sdk.tables import Importer, Table, schema
from hilum.sdk.testing.importer import ImporterSuite

DATASET = Dataset("LINES", (Variable("N", DataType.INTEGER),))
COUNTER = itertools.count()


class Options(config.Config):
    """Nothing to say."""


class Numbers(Importer[Options]):
    """`N`, then a number a line. It keeps its contract."""

    names = ("numbers",)
    suffixes = (".n",)
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        data = path.read_bytes()
        if not data.startswith(b"N\n"):
            raise FormatError("does not begin with N")
        yield Table(DATASET, iter([self.batch(data)]))

    def batch(self, data: bytes) -> pa.RecordBatch:
        try:
            return pa.record_batch([pa.array([int(line) for line in data.split()[1:]], pa.int64())], schema(DATASET))
        except (ValueError, OverflowError, pa.ArrowInvalid):
            raise FormatError("a line is no number") from None


class Loose(Numbers):
    def tables(self, path: Path) -> Iterator[Table]:
        yield Table(DATASET, iter([self.batch(b"N\n1\n")]))


class Breaking(Numbers):
    def batch(self, data: bytes) -> pa.RecordBatch:
        return pa.record_batch([pa.array([int(line) for line in data.split()[1:]], pa.int64())], schema(DATASET))


class Other(Numbers):
    def batch(self, data: bytes) -> pa.RecordBatch:
        return pa.record_batch({"N": ["1"]})


class Moody(Numbers):
    def batch(self, data: bytes) -> pa.RecordBatch:
        return super().batch(b"N\n%d\n" % next(COUNTER))


class Lazy(Numbers):
    def tables(self, path: Path) -> Iterator[Table]:
        rows: list[pa.RecordBatch] = [self.batch(path.read_bytes())]
        yield Table(DATASET, (rows.pop() for _ in range(1) if rows))
        rows.clear()


class Capital(Numbers):
    suffixes = (".N",)


FAULTS: dict[str, type[Importer[Any]]] = {
    "another_format_is_told": Loose,
    "a_broken_file_is_read_or_told": Breaking,
    "batches_are_as_the_data_set_says": Other,
    "a_file_says_the_same_twice": Moody,
    "tables_can_be_listed_before_their_rows_are_read": Lazy,
    "the_catalogue_has_its_words": Capital,
}


def suite(kind: type[Importer[Any]]) -> ImporterSuite:
    module = types.ModuleType("importers")
    module.__doc__ = "A number a line."
    module.__dict__["importer"] = kind
    good = {"one.n": b"N\n" + b"".join(b"%d\n" % number for number in range(50))}
    return type("Tried", (ImporterSuite,), {"module": module, "good": lambda self: good})()  # type: ignore[no-any-return]


def run(kind: type[Importer[Any]], name: str, folder: Path) -> None:
    test = getattr(suite(kind), f"test_{name}")
    test() if name == "the_catalogue_has_its_words" else test(folder)


@pytest.mark.parametrize("name", FAULTS)
def test_a_good_importer_passes(name: str, tmp_path: Path) -> None:
    run(Numbers, name, tmp_path)


@pytest.mark.parametrize(("name", "kind"), FAULTS.items())
def test_a_faulty_one_is_found(name: str, kind: type[Importer[Any]], tmp_path: Path) -> None:
    with pytest.raises((AssertionError, ValueError, OverflowError, pytest.fail.Exception)):
        run(kind, name, tmp_path)
