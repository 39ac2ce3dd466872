"""What is sealed for a place opens there and nowhere else, under its own key and no other."""

from __future__ import annotations

import dataclasses
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import StoreError
from hilum.security import envelope
from hilum.security.envelope import LIMIT, DataKey, Place

ROW = uuid.UUID("019ab000-0000-7000-8000-000000000001")
PLACE = Place(1, "credential", ROW)
KEY = DataKey.new(1, 3)


@given(st.binary(max_size=5_000))
def test_what_is_sealed_opens(plain: bytes) -> None:
    sealed = KEY.seal(plain, PLACE)
    assert KEY.open(sealed, PLACE) == plain
    assert len(plain) < 8 or plain not in sealed
    assert len(sealed) == len(plain) + 33


def test_the_format_and_the_key_stand_in_front() -> None:
    sealed = KEY.seal(b"x", PLACE)
    assert sealed[0] == 1
    assert envelope.number(sealed) == 3
    for wrong in (b"", b"\2" + sealed[1:], sealed[:20]):
        with pytest.raises(StoreError, match="not sealed by this version"):
            envelope.number(wrong)


@pytest.mark.ledger_part("S0-33", "what is moved to another row, column, table or organization does not open")
@pytest.mark.parametrize(
    "elsewhere",
    [
        dataclasses.replace(PLACE, row=uuid.UUID(int=ROW.int + 1)),
        dataclasses.replace(PLACE, column="other"),
        dataclasses.replace(PLACE, table="certificate"),
        dataclasses.replace(PLACE, organization=2),
    ],
)
def test_what_was_moved_does_not_open(elsewhere: Place) -> None:
    sealed = KEY.seal(b"geheim", PLACE)
    with pytest.raises(StoreError, match="changed or moved"):
        KEY.open(sealed, elsewhere)


def test_a_key_number_is_part_of_what_is_sealed() -> None:
    """The same key under another number, and the number in the header changed to fit: neither opens."""
    sealed = KEY.seal(b"geheim", PLACE)
    renumbered = DataKey(1, 4, KEY.secret)
    with pytest.raises(StoreError, match="sealed under data key 3, not 4"):
        renumbered.open(sealed, PLACE)
    with pytest.raises(StoreError, match="changed or moved"):
        renumbered.open(sealed[:1] + (4).to_bytes(4, "big") + sealed[5:], PLACE)


@given(st.integers(0, 38), st.integers(1, 255))
def test_any_changed_byte_is_found(position: int, change: int) -> None:
    sealed = bytearray(KEY.seal(b"geheim", PLACE))
    sealed[position] ^= change
    with pytest.raises(StoreError):
        KEY.open(bytes(sealed), PLACE)


def test_nonces_are_random_and_bounded() -> None:
    nonces = {KEY.seal(b"", PLACE)[5:17] for _ in range(2_000)}
    assert len(nonces) == 2_000
    assert LIMIT * 16 == 2**32


def test_a_key_seals_for_its_own_organization_alone_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="own organization"):
        KEY.seal(b"x", dataclasses.replace(PLACE, organization=2))
    assert "secret" not in repr(KEY)
