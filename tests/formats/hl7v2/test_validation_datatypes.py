"""Primitive data types, true to the calendar."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.hl7v2.datatypes import CHECKS


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("DT", "1980"), ("DT", "198012"), ("DT", "19801231"), ("DT", "20240229"),
        ("TM", "00"), ("TM", "2359"), ("TM", "235959.9999"), ("TM", "235959-0500"), ("TM", "12+0530"),
        ("DTM", "2024"), ("DTM", "202402"), ("DTM", "20240229"), ("DTM", "2024022923"),
        ("DTM", "202402292359"),
        ("DTM", "20240229235959"), ("DTM", "20240229235959.1"), ("DTM", "20240229235959.1234+1400"),
        ("DTM", "2024-0500"),
        ("NM", "0"), ("NM", "-1.50"), ("NM", "+12"), ("NM", ".5"), ("NM", "5."), ("NM", "00012"),
        ("SI", "0"), ("SI", "12"), ("SNM", "+4955"), ("SNM", "0049"),
    ],
)  # fmt: skip
def test_what_can_be_read(datatype: str, text: str) -> None:
    assert CHECKS[datatype](text) is None


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("DT", "19801399"), ("DT", "20230229"), ("DT", "1980123"), ("DT", "00000000"), ("DT", "1980-12-31"),
        ("DT", "198012311200"), ("DT", "19801301"), ("DT", "19800100"), ("DT", "99999999"), ("DT", "١٩٨٠"),
        ("TM", "24"), ("TM", "2360"), ("TM", "235960"), ("TM", "1"), ("TM", "11:30"), ("TM", "12+9900"),
        ("DTM", "20240230"), ("DTM", "2024022924"), ("DTM", "202402292360"), ("DTM", "20240229235960"),
        ("DTM", "20240229235959.12345"), ("DTM", "2024022923595"), ("DTM", "20240229+0560"), ("DTM", "now"),
        ("NM", "1e5"), ("NM", "1,5"), ("NM", "-"), ("NM", "."), ("NM", ">5"), ("NM", "1 2"),
        ("SI", "-1"), ("SI", "1.0"), ("SI", "one"), ("SNM", "555-1234"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(datatype: str, text: str) -> None:
    assert CHECKS[datatype](text)


@given(st.datetimes())
def test_every_moment_can_be_read(moment: datetime.datetime) -> None:
    text = f"{moment.year:04}{moment:%m%d%H%M%S}.{moment.microsecond // 100:04}"
    for length in (4, 6, 8, 10, 12, 14, 16, 17, 18, 19):
        assert CHECKS["DTM"](text[:length]) is None


@given(st.integers(1, 9999), st.integers(0, 99), st.integers(0, 99))
def test_a_date_is_one_of_the_calendar(year: int, month: int, day: int) -> None:
    try:
        datetime.date(year, month, day)
        real = True
    except ValueError:
        real = False
    assert (CHECKS["DT"](f"{year:04}{month:02}{day:02}") is None) is real


@given(st.text(max_size=30), st.sampled_from(sorted(CHECKS)))
def test_no_text_raises(text: str, datatype: str) -> None:
    wrong = CHECKS[datatype](text)
    assert wrong is None or wrong
