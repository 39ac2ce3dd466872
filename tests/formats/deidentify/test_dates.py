"""Years of dates however they are written, ages, and dates that move."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.deidentify import dates

OLDEST = 1936
DAYS = st.integers(-364, -1)


def test_years_of_all_writings(ways: Callable[[datetime.date], list[str]]) -> None:
    written = ways(datetime.date(1959, 3, 12))
    assert [dates.year(way, OLDEST) for way in written[:-2]] == ["1959"] * 10
    assert [dates.year(way, OLDEST) for way in written[-2:]] == [None, None], "two digits are no year"
    assert {dates.year(way, OLDEST) for way in ways(datetime.date(1936, 12, 31))[:-2]} == {"90+"}


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2014", "2014"),
        ("2014-05", "2014"),
        ("2014---15", "2014"),
        ("201405120830+0200", "2014"),
        ("12. März 2014", "2014"),
        ("1937", "1937"),
        ("1936", "90+"),
        ("--05-12", None),
        ("T08:30", None),
        ("9999-12-31", None),
        ("between 1959 and 1960", None),
        ("12345678901", None),
        ("", None),
        ("UNK", None),
    ],
)
def test_year(text: str, year: str | None) -> None:
    assert dates.year(text, OLDEST) == year


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("89", "89"),
        ("89.5", "89.5"),
        ("90", "90+"),
        ("103", "90+"),
        (">=90 years", "90+"),
        (">89", ">89"),
        ("85-94", "85+"),
        ("85-89", "85-89"),
        ("Adolescents (12-17 years)", "Adolescents (12-17 years)"),
        ("97 Jahre", "90+"),
        ("", ""),
        ("lives with Jane Doe", None),
        ("Jane, 44", None),
    ],
)
def test_ages(text: str, shown: str | None) -> None:
    assert dates.age(text) == shown


@pytest.mark.parametrize(
    ("text", "shifted"),
    [
        ("2014-05-12", "2014-04-02"),
        ("2014-05-12T08:30:00.25+02:00", "2014-04-02T08:30:00.25+02:00"),
        ("2014-05-12 08:30", "2014-04-02 08:30"),
        ("2014-05", "2014-04"),  # as May 15
        ("2014", "2014"),  # as July 1
        ("2014---15", "2014"),
        ("20140512", "20140402"),
        ("201405120830", "201404020830"),
        ("12.05.2014", "02.04.2014"),
        ("12MAY2014", "02APR2014"),
        ("12-May-2014", "02-Apr-2014"),
        ("2014-05-12/2014-05-14", "2014-04-02/2014-04-04"),
        ("2014-05-12/P3D", "2014-04-02/P3D"),
        ("05/12/2014", None),
        ("2014-02-30", None),
        ("2014-W05", None),
        ("--05-12", None),
        ("0001-01-01", None),
        ("T08:30", None),
        ("soon", None),
        ("", None),
    ],
)
def test_shifted(text: str, shifted: str | None) -> None:
    assert dates.shifted(text, -40) == shifted


@given(first=st.dates(datetime.date(1900, 1, 1)), second=st.dates(datetime.date(1900, 1, 1)), days=DAYS)
def test_intervals_stay(first: datetime.date, second: datetime.date, days: int) -> None:
    for written in ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y"):
        one, two = (dates.shifted(format(day, written), days) for day in (first, second))
        assert one is not None
        assert two is not None
        moved = [datetime.datetime.strptime(text, written).date() for text in (one, two)]  # noqa: DTZ007 - a day has no zone
        assert moved[1] - moved[0] == second - first
        assert moved[0] == first + datetime.timedelta(days)


@given(day=st.dates(datetime.date(1900, 1, 1)), days=DAYS)
def test_partial_dates_move_as_their_middle(day: datetime.date, days: int) -> None:
    month, year = dates.shifted(f"{day:%Y-%m}", days), dates.shifted(f"{day:%Y}", days)
    assert month == f"{day.replace(day=15) + datetime.timedelta(days):%Y-%m}"
    assert year == f"{day.replace(month=7, day=1) + datetime.timedelta(days):%Y}"


@given(st.text(max_size=40), DAYS)
def test_any_text_is_a_date_or_none(text: str, days: int) -> None:
    year, moved = dates.year(text, OLDEST), dates.shifted(text, days)
    assert year is None or year == "90+" or (len(year) == 4 and int(year) > OLDEST)
    assert moved is None or any(char.isdigit() for char in moved)
