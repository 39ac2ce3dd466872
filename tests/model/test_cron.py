"""Cron expressions of five fields, in UTC."""

from __future__ import annotations

import datetime

import pytest

from hilum import clock
from hilum.model import cron

NOW = datetime.datetime(2026, 3, 4, 6, 0, tzinfo=datetime.UTC)  # a Wednesday


def test_the_next_time_is_a_later_one() -> None:
    assert clock.from_micros(cron.following("0 6 * * *", NOW)) == NOW + datetime.timedelta(days=1)
    assert clock.from_micros(cron.following("0 6 * * MON", NOW)) == NOW + datetime.timedelta(days=5)
    just = NOW - datetime.timedelta(microseconds=1)
    assert clock.from_micros(cron.following("0 6 * * *", just)) == NOW


@pytest.mark.parametrize("later", [0, 1, 59_999_999, 60_000_000, 86_399_999_999])
def test_the_newest_time_has_come(later: int) -> None:
    assert cron.newest("0 6 * * *", NOW + datetime.timedelta(microseconds=later)) == NOW


def test_an_expression_is_single_spaced() -> None:
    assert cron.check(" 0  6 * * mon-fri ") == "0 6 * * mon-fri"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "five fields"), ("@daily", "five fields"), ("0 0 6 * * *", "five fields"), ("61 * * * *", "Bad minute"),
        ("0 6 * * funday", "Bad day-of-week"), ("0 0 30 2 *", "Bad day-of-month"), ("0 0 0 1 *", "Bad day-of-month"),
        ("٣ * * * *", "Bad minute"),
    ],
)  # fmt: skip
def test_what_is_none_is_told(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cron.check(expression)
