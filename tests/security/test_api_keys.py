"""API keys: told from other text without a look-up, digested under the hub's own key."""

from __future__ import annotations

import functools
import re
import string
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.security.api_keys import PATTERN, PREFIX, ApiKey, Pepper, make, parse
from hilum.security.keyring import Keyring

ALPHABET = string.digits + string.ascii_letters


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "hub.key")[0]


@pytest.mark.ledger_part("S4-103", "a pattern by which scanners find a leaked key")
def test_a_key_has_the_form_that_scanners_look_for() -> None:
    key = make()
    assert re.fullmatch(r"hilum_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}", key.text)
    assert key.text.startswith(f"{PREFIX}{key.id}_")
    assert PATTERN.search(f'{{"authorization": "Bearer {key.text}"}}')
    assert parse(key.text) == key


def test_keys_differ() -> None:
    made = [make() for _ in range(1_000)]
    assert len({one.id for one in made}) == len({one.text for one in made}) == 1_000


def test_a_key_is_not_shown_by_accident() -> None:
    key = make()
    assert key.text not in repr(key)


def test_the_checksum_is_the_crc_in_base62() -> None:
    """So that keys of an earlier release still hold, and a scanner can check what it found."""
    head = "hilum_live_00000000_" + "0" * 32
    assert parse(f"{head}1zEfeg") == ApiKey("00000000", f"{head}1zEfeg")
    text = make().text
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = functools.reduce(lambda total, one: total * 62 + digits.index(one), text[-6:], 0)
    assert number == zlib.crc32(text[:-6].encode())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mistyped_key_is_recognised(data: st.DataObject) -> None:
    text = make().text
    at = data.draw(st.integers(len(PREFIX), len(text) - 1))
    other = data.draw(st.sampled_from([one for one in ALPHABET if one != text[at]]))
    assert parse(text[:at] + other + text[at + 1 :]) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_two_letters_that_changed_places_are_recognised(data: st.DataObject) -> None:
    text = make().text
    at = data.draw(st.integers(len(PREFIX), len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert parse(swapped) is None or swapped == text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert parse(text) is None
    assert parse(PREFIX + text) is None


def test_nothing_may_be_around_it() -> None:
    text = make().text
    assert [parse(one) for one in (text.upper(), f"{text}\n", f" {text}", text[:-1], f"{text}0")] == [None] * 5


def test_a_digest_holds_for_its_key_under_its_hub(keyring: Keyring, tmp_path: Path) -> None:
    key, pepper = make(), Pepper(keyring)
    digest = pepper.digest(key)
    assert len(digest) == 32
    assert pepper.matches(key, digest)
    assert Pepper(keyring).matches(key, digest), "also after a restart"
    assert not pepper.matches(make(), digest)
    assert not pepper.matches(ApiKey(key.id, make().text), digest), "the visible part alone is worth nothing"
    other, _ = Keyring.create(tmp_path / "other.key")
    assert not Pepper(other).matches(key, digest)
