"""What the hub checks of a package's rows: keys are unique, over batches too, and no two keys are taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.exporting import checks
from hilum.exporting.means import Watch
from hilum.exporting.tables import Opened
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import schema

Key = tuple[str | None, int | None]
DATASET = Dataset("EX", (Variable("A", key=1), Variable("N", DataType.INTEGER, key=2)))
TEXTS = Dataset("EX", (Variable("A", key=1), Variable("B", key=2)))


class Held(Opened):
    """A table in memory."""

    def __init__(self, dataset: Dataset, *batches: list[Any]) -> None:
        super().__init__(dataset, sum(map(len, batches)), Path(), b"", b"")
        self._batches = batches

    def batches(self, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        held = schema(self.dataset)
        for rows in self._batches:
            columns = zip(*rows, strict=True) if rows else ((), ())
            arrays = [pa.array(column, field.type) for column, field in zip(columns, held, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=held).select(list(names))


KEYS = st.tuples(st.sampled_from(["", "a", "b", ":", "1:", None]), st.sampled_from([0, 1, None]))


@given(st.lists(st.lists(KEYS, max_size=30), max_size=4))
def test_rows_with_an_earlier_key_are_counted_and_named(batches: list[list[Key]]) -> None:
    seen: set[Key] = set()
    again = []
    for number, key in enumerate((key for batch in batches for key in batch), 1):
        if key in seen:
            again.append(number)
        seen.add(key)
    found = checks.keys(Held(DATASET, *batches), Watch())
    assert [(one.rows, one.text.split(" ")[0]) for one in found] == (
        [(tuple(again[:20]), str(len(again)))] if again else []
    )


@pytest.mark.parametrize(
    "rows",
    [
        [("x\x1fy", "z"), ("x", "y\x1fz")],
        [("a:1:b", "c"), ("a", "b:1:c")],
        [("1:x", ""), ("", "1:x")],
        [("\x00", "b"), (None, "b")],
        [("", "b"), (None, "b")],
        [("-", ""), (None, "")],
        [("é", "x"), ("e", "x")],
    ],
)
def test_two_keys_are_not_one(rows: list[Any]) -> None:
    assert not checks.keys(Held(TEXTS, rows), Watch())
    (found,) = checks.keys(Held(TEXTS, rows, rows), Watch())
    assert found.rows == (3, 4)


def test_no_key_and_no_rows() -> None:
    assert not checks.keys(Held(Dataset("X", (Variable("A"), Variable("B"))), [("a", "b")] * 2), Watch())
    assert not checks.keys(Held(TEXTS), Watch())
    assert not checks.keys(Held(TEXTS, [], []), Watch())
