"""What is written and read again is the same table: what is said of it, every value, the order of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import missing
from hilum.formats.odm import V1, V2
from hilum.model.dataset import CALENDAR, NUMERIC, Dataset, DataType, Variable

HELD = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=8
)
TEXT = st.one_of(HELD, st.text("\r\n\t<&>\"' .A", max_size=4))
NAME = HELD.filter(bool)
SPECIAL = st.sampled_from(missing.LETTERS).map(missing.special)
DAY = r"([0-9]{4}|-)(-([0-9]{2}|-)){0,2}"
CLOCK = r"([0-9]{2}|-)(:([0-9]{2}|-)){0,2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?"
PARTS = st.one_of(
    st.just(""), *(st.from_regex(one, fullmatch=True) for one in (DAY, CLOCK, f"{DAY}T{CLOCK}", f"{DAY}/{DAY}"))
)
TOLD = (DataType.DATE, DataType.DATETIME, DataType.TIME)
COUNTS = {
    DataType.DATE: st.integers(-138_061, 2_936_549).map(float),
    DataType.DATETIME: st.integers(-138_061 * 86_400, 2_936_549 * 86_400).map(lambda seconds: seconds / 4),
    DataType.TIME: st.floats(0, 86_399.75),
}
VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.STRING: TEXT,
    DataType.URI: TEXT,
    DataType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    DataType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda one: f"{one:f}"),
    DataType.DOUBLE: st.one_of(st.floats(allow_nan=False), SPECIAL, st.just(float("nan"))),
    DataType.BOOLEAN: st.booleans(),
}


def values(variable: Variable, finite: bool) -> st.SearchStrategy[Any]:
    if variable.counted:
        return st.one_of(COUNTS[variable.type], SPECIAL, st.none())
    if variable.type in CALENDAR:
        return st.one_of(PARTS, st.none())
    if variable.type is DataType.FLOAT:
        found = st.one_of(st.floats(allow_nan=False, allow_infinity=False), SPECIAL)
        return st.one_of(found if finite else st.one_of(found, st.floats()), st.none())
    return st.one_of(VALUES[variable.type], st.none())


@st.composite
def variables(draw: st.DrawFn, name: str) -> Variable:
    kind = draw(st.sampled_from(DataType))
    target = draw(st.sampled_from([None, DataType.INTEGER])) if kind in TOLD else None
    if kind is DataType.DECIMAL:
        target = draw(st.sampled_from([None, DataType.DECIMAL]))
    return Variable(
        name, kind, draw(TEXT), draw(st.one_of(st.none(), st.integers(0, 2_000))), draw(TEXT), draw(TEXT), target,
        None, draw(TEXT), draw(TEXT), draw(TEXT), draw(st.dictionaries(TEXT, TEXT, max_size=2)),
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, finite: bool = True) -> tuple[Dataset, list[tuple[Any, ...]]]:
    names = draw(st.lists(st.one_of(NAME, st.sampled_from(["USUBJID", "SUBJID"])), min_size=1, max_size=5, unique=True))
    every = tuple(draw(variables(name)) for name in names)
    keys = draw(st.permutations(range(1, len(every) + 1)))
    every = tuple(
        Variable(
            **{**{word: getattr(one, word) for word in one.__slots__}, "key": key if draw(st.booleans()) else None}
        )
        for one, key in zip(every, keys, strict=True)
    )
    dataset = Dataset(draw(NAME), every, draw(TEXT), draw(st.dictionaries(TEXT, TEXT, max_size=2)))
    rows = draw(st.lists(st.tuples(*(values(one, finite) for one in every)), max_size=5))
    return dataset, rows


def bits(values: list[Any]) -> list[Any]:
    """Floats as their bits, so that a NaN has its letter and zero its sign; one without a letter is any such NaN."""
    found: list[Any] = []
    for one in values:
        if isinstance(one, float) and one != one and not missing.letter(one):
            found.append("NaN")
        else:
            found.append(np.float64(one).view(np.uint64).item() if isinstance(one, float) else one)
    return found


@given(tables())
@settings(max_examples=150)
def test_any_table_comes_back(write: Any, read: Any, batch: Any, table: tuple[Dataset, list[tuple[Any, ...]]]) -> None:
    dataset, rows = table
    for version in (V1, V2):
        made = write(dataset, *(batch(dataset, row) for row in rows), version=version)
        ((found, columns),) = read(made)
        assert found == dataset
        for name, column in zip(
            dataset.names, zip(*rows, strict=True) if rows else [()] * len(dataset.names), strict=True
        ):
            assert bits(columns.column(name).to_pylist()) == bits(list(column)), name


@given(tables(finite=False))
@settings(max_examples=50)
def test_any_float_comes_back_in_2_0(
    write: Any, read: Any, batch: Any, table: tuple[Dataset, list[tuple[Any, ...]]]
) -> None:  # fmt: skip
    dataset, rows = table
    ((found, columns),) = read(write(dataset, batch(dataset, *rows), version=V2))
    assert found == dataset
    assert [bits(one.to_pylist()) for one in columns.columns] == [
        bits(list(one)) for one in zip(*rows, strict=True)
    ] or [[] for _ in dataset.names]


@given(tables())
@settings(max_examples=25)
def test_batches_do_not_show(write: Any, batch: Any, table: tuple[Dataset, list[tuple[Any, ...]]]) -> None:
    dataset, rows = table
    whole = batch(dataset, *rows)
    pieces = [whole.slice(at, 1) for at in range(whole.num_rows)]
    for version in (V1, V2):
        assert write(dataset, whole, version=version) == write(dataset, *pieces, version=version)
        assert write(dataset, whole, version=version) == write(dataset, whole, whole.slice(0, 0), version=version)


def test_many_rows_are_written_in_pieces_and_read_in_batches(write: Any, read: Any, batch: Any) -> None:
    dataset = Dataset("MANY", (Variable("USUBJID"), Variable("N", DataType.INTEGER), Variable("T")))
    rows = [(f"s{number // 7}", number, "x" * (number % 50)) for number in range(70_000)]
    for version in (V1, V2):
        data = write(dataset, batch(dataset, *rows), version=version)
        ((found, columns),) = read(data, most=1_000)
        assert found == dataset
        assert [one.to_pylist() for one in columns.columns] == [list(one) for one in zip(*rows, strict=True)]
        assert max(len(chunk) for chunk in columns.column(0).chunks) <= 1_000
        assert data.count(b"<SubjectData ") == 10_000


def test_a_text_may_be_as_long_as_readers_take(write: Any, read: Any, batch: Any) -> None:
    dataset = Dataset("LONG", (Variable("V"),))
    for version in (V1, V2):
        for letter in ("x", '"'):
            ((_, columns),) = read(write(dataset, batch(dataset, (letter * 1_600_000,)), version=version))
            assert columns.column(0).to_pylist() == [letter * 1_600_000]


@pytest.mark.parametrize("kind", sorted(NUMERIC - {DataType.INTEGER}))
def test_every_letter_comes_back(write: Any, read: Any, batch: Any, kind: DataType) -> None:
    dataset = Dataset("L", (Variable("V", kind),))
    rows = [(missing.special(letter),) for letter in missing.LETTERS]
    for version in (V1, V2):
        ((_, columns),) = read(write(dataset, batch(dataset, *rows), version=version))
        assert "".join(missing.letter(one) for one in columns.column(0).to_pylist()) == missing.LETTERS
