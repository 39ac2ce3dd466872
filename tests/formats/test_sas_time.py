"""SAS's counts and ISO 8601 text: the same moment both ways, and neither a guess nor a loss."""

from __future__ import annotations

import datetime
import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import sas_time
from hilum.formats.missing import special
from hilum.model.dataset import DataType

EPOCH = datetime.datetime.fromisoformat("1960-01-01")
DATE, DATETIME, TIME = DataType.DATE, DataType.DATETIME, DataType.TIME


def floats(*values: float | None) -> pa.DoubleArray:
    return pa.array(values, pa.float64())


def texts(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


@pytest.mark.parametrize(
    ("kind", "count", "text"),
    [
        (DATE, 0.0, "1960-01-01"),
        (DATE, -1.0, "1959-12-31"),
        (DATE, 19_725.0, "2014-01-02"),
        (DATE, 15_034.0, "2001-02-28"),
        (DATE, 14_669.0, "2000-02-29"),
        (DATE, -138_061.0, "1582-01-01"),
        (DATE, 2_936_549.0, "9999-12-31"),
        (DATETIME, 0.0, "1960-01-01T00:00:00"),
        (DATETIME, -0.25, "1959-12-31T23:59:59.75"),
        (DATETIME, 1_704_277_230.5, "2014-01-02T10:20:30.5"),
        (TIME, 0.0, "00:00:00"),
        (TIME, 86_399.999, "23:59:59.999"),
        (TIME, 0.1 + 0.2, "00:00:00.30000000000000004"),
        (TIME, 1e-7, "00:00:00.0000001"),
    ],
)
def test_a_count_and_its_text(kind: DataType, count: float, text: str) -> None:
    assert sas_time.iso(floats(count), kind)[0].to_pylist() == [text]
    assert sas_time.counts(texts(text), kind)[0].to_pylist() == [count]


@settings(deadline=None)
@given(st.lists(st.none() | st.datetimes(min_value=EPOCH.replace(year=1582)), max_size=20))
def test_what_the_standard_library_says_is_said(moments: list[datetime.datetime | None]) -> None:
    days = floats(*(None if one is None else float((one.date() - EPOCH.date()).days) for one in moments))
    seconds = floats(
        *(None if one is None else (one.replace(microsecond=0) - EPOCH).total_seconds() for one in moments)
    )
    dates, none = sas_time.iso(days, DATE)
    assert dates.to_pylist() == [one and one.date().isoformat() for one in moments]
    assert none == []
    datetimes, none = sas_time.iso(seconds, DATETIME)
    assert datetimes.to_pylist() == [one and one.replace(microsecond=0).isoformat() for one in moments]
    assert none == []
    assert sas_time.counts(dates, DATE) == (days, [])
    assert sas_time.counts(datetimes, DATETIME) == (seconds, [])


@settings(deadline=None)
@given(st.lists(st.floats(-138_061 * 86_400, 2_936_550 * 86_400, exclude_max=True), max_size=10))
def test_no_fraction_is_lost(seconds: list[float]) -> None:
    found, none = sas_time.iso(floats(*seconds), DATETIME)
    assert none == []
    assert sas_time.counts(found, DATETIME) == (floats(*(one + 0.0 for one in seconds)), [])


@settings(deadline=None)
@given(st.lists(st.floats(0, 86_400, exclude_max=True), max_size=10))
def test_no_fraction_of_a_time_is_lost(seconds: list[float]) -> None:
    found, none = sas_time.iso(floats(*seconds), TIME)
    assert none == []
    assert sas_time.counts(found, TIME) == (floats(*(one + 0.0 for one in seconds)), [])


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (DATE, 1.5),
        (DATE, -138_062.0),
        (DATE, 2_936_550.0),
        (DATE, math.nan),
        pytest.param(DATE, special("A"), id="special missing"),
        (DATE, math.inf),
        (DATETIME, 2_936_550.0 * 86_400),
        (DATETIME, -math.inf),
        (TIME, 86_400.0),
        (TIME, -1.0),
    ],
)
def test_a_count_without_a_text_is_null_and_told(kind: DataType, count: float) -> None:
    found, wrong = sas_time.iso(floats(None, 0.0, count), kind)
    assert found.is_null().to_pylist() == [True, False, True]
    assert wrong == [2]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (DATE, ""),
        (DATE, "2014"),
        (DATE, "2014-01"),
        (DATE, "2014-02-29"),
        (DATE, "1900-02-29"),
        (DATE, "2014-04-31"),
        (DATE, "2014-13-01"),
        (DATE, "2014-01-00"),
        (DATE, "1581-12-31"),
        (DATE, "20140102"),
        (DATE, "2014-01-02T00:00:00"),
        (DATE, "2014-01-02\n"),
        (DATE, "٢٠١٤-01-02"),
        (DATETIME, "2014-01-02"),
        (DATETIME, "2014-01-02 10:20:30"),
        (DATETIME, "2014-01-02T10"),
        (DATETIME, "2014-01-02T10:20:30Z"),
        (DATETIME, "2014-01-02T10:20:30+01:00"),
        (DATETIME, "2014-02-30T10:20:30"),
        (DATETIME, "2014-01-02T24:00:00"),
        (DATETIME, "2014-01-02T10:20:60"),
        (TIME, "1:02:03"),
        (TIME, "10:20:30."),
        (TIME, "25:00"),
    ],
)
def test_text_that_is_no_moment_is_null_and_told(kind: DataType, text: str) -> None:
    right = {DATE: "1960-01-02", DATETIME: "1960-01-01T00:01", TIME: "00:01"}[kind]
    found, wrong = sas_time.counts(texts(text, None, right), kind)
    assert found.is_null().to_pylist() == [True, True, False]
    assert found[2].as_py() == {DATE: 1.0, DATETIME: 60.0, TIME: 60.0}[kind]
    assert wrong == [0]


def test_a_part_of_a_column_is_that_part() -> None:
    some = texts("1960-01-01T00:00:01", "1960-01-01T00:00:02.5", None, "1960-01-01T00:01").slice(1)
    found, wrong = sas_time.counts(some, DATETIME)
    assert (found.to_pylist(), wrong) == ([2.5, None, 60.0], [])
    assert sas_time.iso(floats(1.0, 2.0, None, 3.0).slice(1), DATE)[0].to_pylist() == ["1960-01-03", None, "1960-01-04"]


@pytest.mark.parametrize("kind", [DATE, DATETIME, TIME])
def test_nothing_is_nothing(kind: DataType) -> None:
    assert sas_time.iso(floats(), kind) == (texts(), [])
    assert sas_time.counts(texts(), kind) == (floats(), [])
