"""How long classes are kept: years go by the calendar, and below its least nothing is kept."""

from __future__ import annotations

import datetime

import pytest

from hilum import clock
from hilum.errors import ConfigError
from hilum.model.organization import Settings
from hilum.model.retention import CLASSES, DAY, years_before


def stamp(text: str) -> int:
    return int(datetime.datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "count", "before"),
    [
        ("2033-11-25T10:00:00", 7, "2026-11-25T10:00:00"),
        ("2027-03-01T00:00:00", 1, "2026-03-01T00:00:00"),
        ("2032-02-29T12:00:00", 7, "2025-02-28T12:00:00"),
        ("2107-01-01T00:00:00", 8, "2099-01-01T00:00:00"),
    ],
)
def test_years_are_the_calendars(now: str, count: int, before: str) -> None:
    assert years_before(stamp(now), count) == stamp(before)
    assert years_before(stamp(now) + 1, count) == stamp(before) + 1


def test_settings_say_what_is_usual() -> None:
    usual = {one.setting: one.usual for one in CLASSES.values() if one.setting}
    assert {name: getattr(Settings(), name) for name in usual} == usual


def test_less_than_the_least_is_refused_with_its_reason() -> None:
    kept = CLASSES["diagnostics"]
    kept.check(3)
    with pytest.raises(ConfigError, match="at least 3 years, not 2: they are for troubleshooting"):
        kept.check(2)
    with pytest.raises(ValueError, match="greater than or equal to 3"):
        Settings(diagnostic_years=2)


def test_days_are_days() -> None:
    now = clock.micros()
    assert CLASSES["execution_bodies"].cutoff(now, 90) == now - 90 * DAY
