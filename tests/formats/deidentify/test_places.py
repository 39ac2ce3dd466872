"""ZIP codes of three digits, and none where few people live."""

from __future__ import annotations

import pytest

from hilum.formats.deidentify import places


@pytest.mark.parametrize(
    ("code", "area"),
    [
        ("02139", "021"),
        ("02139-4307", "021"),
        (" 021394307 ", "021"),
        ("US-02139", "021"),
        ("021", "021"),
        ("03601", "000"),  # Census of 2000 and 2010
        ("83001", "000"),  # of 2000 alone
        ("75398", "000"),  # of 2010 alone
        ("09012", "000"),  # the armed forces
        ("96350", "000"),
        ("00000", "000"),
        ("80331", "803"),
        ("D-80331", None),
        ("SW1A 1AA", None),
        ("K1A 0B1", None),
        ("0213", None),
        ("٠٢١٣٩", None),
        ("", None),
    ],
)
def test_zip3(code: str, area: str | None) -> None:
    assert places.zip3(code) == area


def test_the_lists_are_those_of_the_census() -> None:
    assert len(places.CENSUS_2000) == 17
    assert len(places.CENSUS_2010) == 18
    assert {places.zip3(f"{area}01") for area in places.CENSUS_2000 | places.CENSUS_2010} == {"000"}


def test_what_a_later_census_adds_counts() -> None:
    assert places.zip3("02139", frozenset({"021"})) == "000"


def test_countries() -> None:
    assert all(places.in_united_states(name) for name in ("US", "usa ", "U.S.A.", "United States", "840"))
    assert not any(places.in_united_states(name) for name in ("DE", "DEU", "", "CAN"))
