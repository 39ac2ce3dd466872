"""Identifiers are UUIDv7 (RFC 9562) and carry their row."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.model.identifier import identify, parse, row_of

rows = st.integers(0, (1 << 42) - 1)
stamps = st.integers(0, ((1 << 48) - 1) * 1000 + 999)


@given(rows, stamps)
def test_an_identifier_carries_its_row(row: int, stamp: int) -> None:
    found = identify(row, stamp)
    assert row_of(found) == row
    assert row_of(uuid.UUID(str(found))) == row
    assert row_of(uuid.UUID(bytes=found.bytes)) == row


@given(rows, stamps)
def test_it_is_a_version_7_of_its_millisecond(row: int, stamp: int) -> None:
    found = identify(row, stamp)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == stamp // 1000


@given(rows, rows, stamps, st.integers(1, 1_000_000))
def test_later_ones_sort_behind(row: int, other: int, stamp: int, later: int) -> None:
    first, second = identify(row, stamp), identify(other, stamp + later * 1000)
    if second.int >> 80 > first.int >> 80:
        assert first < second
        assert str(first) < str(second)


def test_two_of_one_row_and_moment_differ() -> None:
    assert len({identify(5, 1_000_000) for _ in range(500)}) == 500


@given(rows, stamps)
def test_it_is_read_as_it_is_written(row: int, stamp: int) -> None:
    found = identify(row, stamp)
    assert parse(str(found)) == found
    assert parse(str(found).upper()) == found


@pytest.mark.parametrize(
    "text", ["", "17", "no uuid", "019", "z" * 36, "0190a5f0-0000-7000-8000-00000000000", "\0" * 36]
)
def test_what_is_no_identifier_is_none(text: str) -> None:
    assert parse(text) is None
