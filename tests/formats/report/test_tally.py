"""Rows counted into charts: the same figures as counting them at once."""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.formats.missing import special
from hilum.formats.report.document import Chart, ChartKind
from hilum.formats.report.tally import Choice, Tally
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import schema

DATA = Dataset(
    "D",
    (
        Variable("ID"), Variable("SEX", label="Sex"), Variable("AGE", DataType.INTEGER),
        Variable("VAL", DataType.DOUBLE), Variable("DAY", DataType.DATE),
        Variable("SAS", DataType.DATE, target=DataType.INTEGER),
    ),
)  # fmt: skip


def batch(dataset: Dataset = DATA, **columns: Sequence[Any]) -> pa.RecordBatch:
    held, count = schema(dataset), max(map(len, columns.values()), default=0)
    given = [columns.get(field.name) or [None] * count for field in held]
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(given, held, strict=True)], schema=held
    )


def counted(tally: Tally | Choice, *batches: pa.RecordBatch) -> dict[Any, dict[str, float | None]]:
    for one in batches:
        tally.add(one)
    chart = tally.chart()
    return {x: {one.name: one.values[place] for one in chart.series} for place, x in enumerate(chart.x)}


def test_texts_are_counted_the_most_first_and_what_is_missing_too() -> None:
    one, two = batch(SEX=["F", "M", "F", None]), batch(SEX=["F", "U", "M", None])
    found = counted(Tally(DATA, "SEX"), one, two)
    assert list(found.items()) == [
        ("F", {"Sex": 3}), ("M", {"Sex": 2}), ("(missing)", {"Sex": 2}), ("U", {"Sex": 1}),
    ]  # fmt: skip


def test_the_smaller_ones_become_one() -> None:
    names = [f"s{number:03}" for number in range(50) for _ in range(60 - number)]
    found = counted(Tally(DATA, "ID"), batch(ID=names))
    assert len(found) == 30
    assert found["s000"] == {"ID": 60}
    real = counted(Tally(DATA, "ID"), batch(ID=[*names, *["others"] * 70]))
    assert real["others"] == {"ID": 70}
    assert sum(one["ID"] or 0 for one in real.values()) == len(names) + 70
    assert found["others (21)"] == {"ID": sum(60 - number for number in range(29, 50))}


def test_series_sums_and_means() -> None:
    rows = batch(SEX=["F", "F", "M", "M"], ID=["a", "b", "a", "a"], VAL=[1.0, 2.5, special("A"), 4.0])
    assert counted(Tally(DATA, "SEX", series="ID"), rows) == {"F": {"a": 1, "b": 1}, "M": {"a": 2, "b": 0}}
    assert counted(Tally(DATA, "SEX", "VAL", measure="sum"), rows) == {"F": {"Sex": 3.5}, "M": {"Sex": 4.0}}
    assert counted(Tally(DATA, "SEX", "VAL", "ID", "mean"), rows) == {
        "F": {"a": 1.0, "b": 2.5},
        "M": {"a": 4.0, "b": None},
    }


def test_many_series_become_six() -> None:
    names = [f"s{number}" for number in range(9) for _ in range(20 - number)]
    found = counted(Tally(DATA, "SEX", series="ID"), batch(ID=names, SEX=["F"] * len(names)))
    assert found == {"F": {"s0": 20, "s1": 19, "s2": 18, "s3": 17, "s4": 16, "others": 15 + 14 + 13 + 12}}


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(-9, 9))), min_size=1))
def test_steps_of_numbers_hold_every_number_once(lists: list[list[int | None]]) -> None:
    tally = Tally(DATA, "AGE")
    for values in lists:
        tally.add(batch(AGE=values))
    chart, known = tally.chart(), [one for values in lists for one in values if one is not None]
    assert len(chart.x) <= 96
    assert sum(chart.known) == len(known)
    if known:
        step = int(float(chart.unit.rpartition(" ")[2].replace(",", "")))
        wanted = collections.Counter(one // step for one in known)
        counts = [int(one) for one in chart.series[0].values if one is not None]
        assert [one for one in counts if one] == [wanted[one] for one in sorted(wanted)]


@given(st.lists(st.lists(st.floats()), min_size=1))
def test_any_numbers_are_counted(lists: list[list[float]]) -> None:
    tally = Tally(DATA, "VAL")
    for values in lists:
        tally.add(batch(VAL=values))
    chart = tally.chart()
    assert len(chart.x) <= 96
    assert sum(chart.known) == sum(math.isfinite(one) for values in lists for one in values)


def test_steps_of_whole_numbers_are_whole() -> None:
    chart = Tally(DATA, "AGE").chart()
    assert chart.is_empty
    tally = Tally(DATA, "AGE")
    tally.add(batch(AGE=[1, 2, 2, 5, None]))
    chart = tally.chart()
    assert (list(chart.x), list(chart.series[0].values)) == (["1", "2", "3", "4", "5"], [1, 2, 0, 0, 1])
    assert chart.kind is ChartKind.COLUMN
    assert chart.note == "1 rows have no AGE"


def test_days_become_months_and_years_where_they_are_many() -> None:
    days = [f"20{year:02}-{month:02}-{day:02}" for year in (24, 25) for month in range(1, 13) for day in range(1, 29)]
    few = Tally(DATA, "DAY")
    few.add(batch(DAY=[*days[:5], "2024", "2024-02-31", None]))
    chart = few.chart()
    assert [f"{one:%Y-%m-%d}" for one in chart.x if not isinstance(one, str)] == days[:5]
    assert chart.note == "1 rows have no DAY; 2 rows have no whole date"
    many = Tally(DATA, "DAY")
    for place in range(0, len(days), 40):
        many.add(batch(DAY=days[place : place + 40]))
    chart = many.chart()
    assert list(chart.series[0].values) == [28] * 24
    assert f"{chart.x[0]:%Y-%m-%d}" == "2024-01-01"


def test_dates_as_sas_counts_them() -> None:
    assert [f"{x:%Y-%m-%d}" for x in counted(Tally(DATA, "SAS"), batch(SAS=[0.0, 1.0, 1.0, 0.5]))] == [
        "1960-01-01", "1960-01-02",
    ]  # fmt: skip


def chosen(dataset: Dataset, **columns: Sequence[Any]) -> Chart:
    choice = Choice(dataset)
    choice.add(batch(dataset, **columns))
    return choice.chart()


def test_what_is_shown_where_nothing_was_asked_for() -> None:
    ids = [f"subject {number}" for number in range(40)]
    assert chosen(DATA, ID=ids, SEX=["F", "M"] * 20).title == "Rows by Sex"
    coded = Dataset("D", (*DATA.variables[:3], Variable("ARM", code_list="CL.ARM")))
    assert chosen(coded, ID=ids, SEX=["F", "M"] * 20, ARM=["A", "B"] * 20).title == "Rows by ARM"
    assert chosen(DATA, ID=ids, AGE=list(range(40)), DAY=["2024-01-01"] * 40).title == "Rows by AGE"
    assert chosen(DATA, ID=ids, DAY=["2024-01-01", "2024-01-02"] * 20).title == "Rows by DAY"
    assert chosen(Dataset("D", DATA.variables[:1]), ID=ids).known == [40]
    assert chosen(DATA, ID=[str(n) for n in range(20_000)], SEX=["F", "M"] * 10_000).known == [10_000, 10_000]
    assert chosen(DATA).is_empty
    assert Choice(Dataset("D", ())).chart().is_empty


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"x": "NO"}, "options.x: data set D has no variable 'NO'"),
        ({"x": "SEX", "series": "NO"}, "options.series: data set D has no variable 'NO'"),
        ({"x": "SEX", "y": "ID", "measure": "sum"}, "options.y: ID is no number"),
        ({"x": "SEX", "y": "VAL"}, "options.measure: sum and mean are of a variable"),
        ({"x": "SEX", "measure": "mean"}, "options.measure: sum and mean are of a variable"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown(asked: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Tally(DATA, **asked)  # type: ignore[arg-type]  # some of its words


def test_too_many_texts() -> None:
    whole = batch(ID=[f"{n}" for n in range(10_001)], SEX=[f"{n % 9}" for n in range(10_001)])
    for series, words in ((None, "ID has more different values"), ("SEX", "ID with SEX has more different values")):
        tally = Tally(DATA, "ID", series=series)
        tally.add(whole.slice(0, 10_000))
        with pytest.raises(ConfigError, match=words):
            tally.add(whole.slice(10_000))
