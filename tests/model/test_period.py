"""Words for times: whole days, weeks and months of UTC, understood only where the context says the moment."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hilum.model.export import Records
from hilum.model.period import AT, period

NOW = datetime.datetime(2026, 3, 4, 6, 30, 15, tzinfo=datetime.UTC)  # a Wednesday


def day(year: int, month: int, number: int) -> datetime.datetime:
    return datetime.datetime(year, month, number, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("word", "begin", "end"),
    [
        ("yesterday", day(2026, 3, 3), day(2026, 3, 4)),
        ("last-week", day(2026, 2, 23), day(2026, 3, 2)),
        ("last-month", day(2026, 2, 1), day(2026, 3, 1)),
        ("last-24h", NOW - datetime.timedelta(hours=24), NOW),
        ("last-7d", NOW - datetime.timedelta(days=7), NOW),
    ],
)
def test_a_word_has_two_ends(word: str, begin: datetime.datetime, end: datetime.datetime) -> None:
    assert period(word, NOW) == (begin, end)


@pytest.mark.parametrize(
    ("at", "word", "begin", "end"),
    [
        (day(2026, 1, 1), "yesterday", day(2025, 12, 31), day(2026, 1, 1)),
        (day(2026, 1, 31), "last-month", day(2025, 12, 1), day(2026, 1, 1)),
        (day(2024, 3, 31), "last-month", day(2024, 2, 1), day(2024, 3, 1)),
        (day(2026, 3, 2), "last-week", day(2026, 2, 23), day(2026, 3, 2)),  # a Monday
        (day(2026, 3, 1), "last-week", day(2026, 2, 16), day(2026, 2, 23)),  # a Sunday
    ],
)
def test_edges_of_the_calendar(
    at: datetime.datetime, word: str, begin: datetime.datetime, end: datetime.datetime
) -> None:
    assert period(word, at) == (begin, end)


def test_days_are_those_of_utc() -> None:
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    at = datetime.datetime(2026, 3, 4, 6, 30, tzinfo=tokyo)  # still the third in UTC
    assert period("yesterday", at) == (day(2026, 3, 2), day(2026, 3, 3))


@given(st.integers(631_152_000, 3_786_912_000).map(lambda at: datetime.datetime.fromtimestamp(at, datetime.UTC)))
def test_periods_follow_each_other_without_a_gap(at: datetime.datetime) -> None:
    for word in ("yesterday", "last-week", "last-month"):
        found = period(word, at)
        assert found is not None
        begin, end = found
        assert begin < end <= at
        before = period(word, begin)
        assert before is not None
        assert before[1] == begin, "what is told from its beginning ends there"


@pytest.mark.parametrize("word", ["last-0h", "last-00007d", "last-٧d", "last-7w", "Yesterday", "", "2026-01-01"])
def test_no_word(word: str) -> None:
    assert period(word, NOW) is None


def test_a_wish_understands_words_where_the_moment_is_known() -> None:
    values = {"records": "messages", "since": "last-week", "until": "last-week"}
    found = Records.model_validate(values, context={AT: NOW})
    assert (found.since, found.until) == (day(2026, 2, 23), day(2026, 3, 2))
    with pytest.raises(ValidationError, match="valid datetime"):
        Records.model_validate(values)
    with pytest.raises(ValidationError, match="neither a time nor a word"):
        Records.model_validate({**values, "since": "last-year"}, context={AT: NOW})
    exact = {**values, "since": "2026-01-01T00:00:00Z", "until": None}
    assert Records.model_validate(exact, context={AT: NOW}) == Records.model_validate(exact)
