"""Passwords: hashed by Argon2id, verified in the same time for nobody, refused where they are guessed first."""

from __future__ import annotations

import argon2
import pytest

from hilum.errors import ConfigError
from hilum.security.passwords import Cost, Passwords, check

FAST = Cost(time=1, memory=8, lanes=1)
GOOD = "correct horse battery"


def test_a_hash_is_argon2id_with_its_own_salt() -> None:
    passwords = Passwords(FAST)
    first, second = passwords.hash(GOOD), passwords.hash(GOOD)
    assert first.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert first != second
    assert GOOD not in first
    assert passwords.verify(first, GOOD)
    assert passwords.verify(second, GOOD)
    assert not passwords.verify(first, "correct horse batterz")


def test_the_default_cost_is_what_the_guides_ask_for() -> None:
    """OWASP: 46 MiB and one pass, or more."""
    cost = Cost()
    assert cost.memory >= 46 * 1024
    assert cost.time >= 1


def test_nobody_verifies_against_no_hash_or_a_broken_one() -> None:
    passwords = Passwords(FAST)
    assert not passwords.verify(None, GOOD)
    assert argon2.extract_parameters(passwords._nobody) == argon2.extract_parameters(passwords.hash(GOOD))
    assert not passwords.verify("", GOOD)
    assert not passwords.verify("$argon2id$broken", GOOD)


def test_a_hash_by_other_parameters_still_holds_and_is_outdated() -> None:
    old = Passwords(FAST).hash(GOOD)
    stronger = Passwords(Cost(time=2, memory=16, lanes=1))
    assert stronger.verify(old, GOOD)
    assert stronger.outdated(old)
    assert not stronger.outdated(stronger.hash(GOOD))


def test_one_password_typed_in_two_ways_is_one() -> None:
    passwords = Passwords(FAST)
    composed, decomposed = "Müllers Kaffeetasse", "Mu\u0308llers Kaffeetasse"
    assert passwords.verify(passwords.hash(composed), decomposed)


@pytest.mark.parametrize(
    "password", [GOOD, "Tq7 vanilla-Hund", "Zug fährt um 8 nach Wien", "🐎🔋📎🦉🌳🐝🪁🧭🎺🧩🐙 horse"]
)
def test_what_is_long_and_own_is_taken(password: str) -> None:
    check(password, name="Ada Lovelace", email="ada@example.org")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("eleven char", "12 characters or more"),
        ("x" * 257, "256 characters or fewer"),
        ("ada@example.org", "more than the name"),
        ("AdaLovelace1815", "more than the name"),
        ("lovelace-example-1", "more than the name"),
        ("aaaaaaaaaaaaaa", "first that are guessed"),
        ("password1234", "first that are guessed"),
        ("P@ssw0rd2026!", "first that are guessed"),
        ("Willkommen2026", "first that are guessed"),
        ("qwertyuiop123", "first that are guessed"),
        ("123456789012", "first that are guessed"),
        ("abcdefghijklmnop", "first that are guessed"),
        ("AdminAdmin123", "first that are guessed"),
        ("SommerSommer26", "first that are guessed"),
    ],
)
def test_what_is_short_or_guessed_first_is_refused(password: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(password, name="Ada Lovelace", email="ada@example.org")
    assert why in str(refused.value)
    assert password not in str(refused.value)
    assert refused.value.where == "password"
