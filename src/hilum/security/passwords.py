"""Passwords: Argon2id (RFC 9106) and the rules that a new one has to keep (NIST SP 800-63B, 5.1.1.2).

Length counts, composition does not: no rule asks for a digit or a sign. Hashing takes 50 to 100 ms and tens of
megabytes on purpose; call it in a thread, a few at a time.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import secrets
import unicodedata

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from hilum.errors import ConfigError

SHORTEST, LONGEST = 12, 256  # characters


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id's parameters. `memory` in KiB. The default takes about 75 ms on a core of 2025."""

    time: int = 2
    memory: int = 47_104
    lanes: int = 1


class Passwords:
    """Hashes and verifies. Blocks: run it in a thread. Safe to use from several."""

    def __init__(self, cost: Cost | None = None) -> None:
        cost = cost or Cost()
        self._hasher = argon2.PasswordHasher(cost.time, cost.memory, cost.lanes, type=argon2.Type.ID)
        self._nobody = _phc(cost, secrets.token_bytes(16), secrets.token_bytes(32))

    def hash(self, password: str) -> str:
        """In the PHC string format, with its salt and parameters."""
        return self._hasher.hash(normal(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Takes as long where there is nothing to compare with."""
        try:
            self._hasher.verify(stored or self._nobody, normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Was it hashed with other parameters than we have now?"""
        return self._hasher.check_needs_rehash(stored)


def _phc(cost: Cost, salt: bytes, digest: bytes) -> str:
    """Reads as a hash, and costs as much to compare with, but is that of nothing that anybody knows."""
    encoded = [base64.b64encode(one).rstrip(b"=").decode() for one in (salt, digest)]
    return f"$argon2id$v=19$m={cost.memory},t={cost.time},p={cost.lanes}${encoded[0]}${encoded[1]}"


def normal(password: str) -> str:
    """One text for one password, however it was typed (NFKC; RFC 8265 has NFC, NIST either)."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, *, name: str = "", email: str = "") -> None:
    """Raises ConfigError with the rule that a new password does not keep; it never repeats the password."""
    text = normal(password)
    if len(text) < SHORTEST:
        raise ConfigError(f"a password has {SHORTEST} characters or more", where="password")
    if len(text) > LONGEST:
        raise ConfigError(f"a password has {LONGEST} characters or fewer", where="password")
    folded = text.casefold()
    local, _, domain = email.casefold().partition("@")
    words = [local, domain.partition(".")[0], *re.split(r"\W+", name.casefold())]
    bare = folded
    for word in sorted((one for one in words if len(one) > 2), key=len, reverse=True):
        bare = bare.replace(word, "")
    if email.casefold() == folded or (bare != folded and len(_distinct(bare)) < 6):
        raise ConfigError("a password is more than the name or the e-mail address", where="password")
    if len(set(folded)) < 5 or _common(folded):
        raise ConfigError("this password is among the first that are guessed", where="password")


_COMMON = (
    "password", "passwort", "passw0rd", "motdepasse", "contrasena", "letmein", "welcome", "willkommen", "qwerty",
    "qwertz", "azerty", "asdfgh", "zxcvbn", "administrator", "admin", "iloveyou", "monkey", "dragon", "football",
    "baseball", "sunshine", "princess", "superman", "batman", "trustno", "master", "shadow", "michael", "changeme",
    "secret", "geheim", "hallo", "login", "hospital", "krankenhaus", "klinik", "hilum", "abc", "test", "default",
    "summer", "winter", "spring", "autumn", "sommer", "frühling", "herbst",
)  # fmt: skip
"""Stems of what is guessed first. What is left of a password without them, digits and order must still be something."""

_RUNS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")


def _common(folded: str) -> bool:
    bare = folded.translate(str.maketrans("@$0!", "asoi"))
    for stem in _COMMON:
        bare = bare.replace(stem, "")
    for run in _RUNS:
        for end in range(len(run), 3, -1):
            for start in range(len(run) - end + 1):
                bare = bare.replace(run[start : start + end], "").replace(run[start : start + end][::-1], "")
    return len(_distinct(bare)) < 4


def _distinct(text: str) -> str:
    """Letters that are left, digits and signs not counted: a year behind a word makes no password."""
    return "".join(sorted({one for one in text if one.isalpha()}))
