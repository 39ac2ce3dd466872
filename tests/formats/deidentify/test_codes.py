"""Codes for identifiers: pseudonyms that are stable and keyed, numbers that say nothing, days to move by."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.formats.deidentify import Action, Codes, Kind, Profile
from hilum.formats.deidentify.codes import LENGTH, NUMBER

Make = Callable[..., Profile]


@pytest.mark.ledger_part("S1-24", "pseudonyms: keyed HMAC, stable for the project's key, different for any other")
@given(identifier=st.text(min_size=1).filter(str.strip))
def test_pseudonyms_are_stable_and_depend_on_the_key(profile: Make, identifier: str) -> None:
    one, again = (Codes(profile(Kind.PSEUDONYMISE, export=export)) for export in ("one", "two"))
    other = Codes(profile(Kind.PSEUDONYMISE, key=b"another key of 32 bytes in length"))
    code = one.of("subject", identifier)
    assert code == again.of("subject", identifier) == one.of("subject", f" {identifier} ")
    assert code != other.of("subject", identifier)
    assert code != one.of("site", identifier)
    assert len(code) == one.length == LENGTH
    assert code.isascii()
    assert code.isalnum()


def test_pseudonyms_do_not_collide(profile: Make) -> None:
    codes = Codes(profile(Kind.PSEUDONYMISE))
    assert len({codes.of("subject", str(number)) for number in range(20_000)}) == 20_000


def test_numbers_hold_for_one_export_and_depend_on_no_identifier(profile: Make) -> None:
    one, same, other = Codes(profile()), Codes(profile()), Codes(profile(export="export-2"))
    first = [one.of("subject", f"ABC-{number}") for number in range(5_000)]
    assert first == [same.of("subject", f"XYZ-{number}") for number in range(5_000)], "it is the order that counts"
    assert len(set(first)) == 5_000
    assert first != [other.of("subject", f"ABC-{number}") for number in range(5_000)]
    assert one.of("subject", "ABC-7") == first[7]
    assert {len(code) for code in first} == {NUMBER} == {one.length}
    ascending = sum(left < right for left, right in itertools.pairwise(first))
    assert 2_300 < ascending < 2_700, "they have no order"


def test_numbers_of_another_key_are_others(profile: Make) -> None:
    one, other = Codes(profile()), Codes(profile(key=b"another key of 32 bytes in length"))
    assert [one.of("site", str(n)) for n in range(50)] != [other.of("site", str(n)) for n in range(50)]


@given(subject=st.text(min_size=1).filter(str.strip))
def test_days_are_the_subjects_own(profile: Make, subject: str) -> None:
    one = Codes(profile(Kind.DATE_SHIFT))
    assert -364 <= one.days(subject) <= -1
    assert one.days(subject) == Codes(profile(Kind.DATE_SHIFT, export="two")).days(f"{subject} ")


def test_days_are_spread(profile: Make) -> None:
    one = Codes(profile(Kind.DATE_SHIFT))
    days = [one.days(str(number)) for number in range(5_000)]
    assert set(days) == set(range(-364, 0))
    other = Codes(profile(Kind.DATE_SHIFT, key=b"another key of 32 bytes in length"))
    assert days != [other.days(str(number)) for number in range(5_000)]


@pytest.mark.parametrize(
    ("about", "where"),
    [
        ({"key": b"short"}, "key"),
        ({"kind": Kind.PSEUDONYMISE, "key": b""}, "key"),
        ({"kind": Kind.NONE, "key": b"", "columns": {"A": Action.HASH}}, "key"),
        ({"export": ""}, "export"),
        ({"text": Action.KEEP}, "text"),
        ({"sparse": frozenset({"1234"})}, "sparse"),
        ({"sparse": frozenset({"١٢٣"})}, "sparse"),
    ],
)
def test_profiles_that_contradict_themselves_are_refused(profile: Make, about: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        profile(**about)
    assert refused.value.where == where


def test_a_profile_keeps_its_key_to_itself(profile: Make) -> None:
    assert "key of the tests" not in repr(profile())
    assert profile(Kind.NONE, key=b"").key == b""
