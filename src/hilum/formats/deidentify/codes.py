"""Codes that stand for identifiers, and the days that a subject's dates move by.

**Pseudonyms** (pseudonymise, date-shift): HMAC-SHA256 of the identifier with the project's key, the first 80 bits in
base32. The same for every export of the project; without the key nobody can tell or test whom one means. Among n
identifiers two share one with odds of about n^2 / 2^81: 4 in 10^13 for a million.

**Numbers** (safe-harbor): 45 CFR 164.514(c) allows a code that is "not derived from or related to information about the
individual". An HMAC of an identifier is derived from it, whoever has the key; so that is not what is given. The first
identifier that an export meets is number 0, the next one 1, and so on; a permutation keyed for this one export turns
that into a number without an order. It depends on when somebody came up in the export, and on nothing that is known
of them. Tables and messages of one export that share a `Codes` share its numbers; no other export does.
"""

from __future__ import annotations

import base64
import hmac

from hilum.errors import DataError
from hilum.formats.deidentify.profile import Kind, Profile

LENGTH = 16  # characters of a pseudonym
NUMBER = 7  # characters of a number: a letter and 30 bits in base32
_HALF = 15  # bits
_MASK = (1 << _HALF) - 1
_ROUNDS = 8
_DAYS = 364
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

SUBJECT, SITE, STAFF, RECORD = "subject", "site", "staff", "record"
_LETTERS = {SUBJECT: "S", SITE: "C", STAFF: "P", RECORD: "R"}


class Codes:
    """Of one export. Identifiers of one kind (`space`) have codes of their own."""

    def __init__(self, profile: Profile) -> None:
        self._numbered = profile.kind is Kind.SAFE_HARBOR
        self._code_key = _derived(profile.key, "code", profile.export if self._numbered else "")
        self._shift_key = _derived(profile.key, "shift", "")
        self._known: dict[tuple[str, str], str] = {}
        self._met: dict[str, int] = {}

    @property
    def length(self) -> int:
        """Characters of each code, all ASCII."""
        return NUMBER if self._numbered else LENGTH

    def of(self, space: str, identifier: str) -> str:
        """The code of an identifier; blanks around it do not count. Raises DataError beyond 2^30 of a space."""
        identifier = identifier.strip()
        if not self._numbered:
            return self._pseudonym(space, identifier)
        found = self._known.get((space, identifier))
        if found is None:
            place = self._met.get(space, 0)
            if place >> 2 * _HALF:
                raise DataError("an export has numbers for 2^30 identifiers")
            self._met[space] = place + 1
            found = self._known[space, identifier] = _LETTERS.get(space, "R") + _spelled(self._permuted(space, place))
        return found

    def days(self, subject: str) -> int:
        """The days that a subject's dates move by: -364 to -1, always the same for the project."""
        digest = hmac.digest(self._shift_key, subject.strip().encode("utf-8", "surrogatepass"), "sha256")
        return -1 - int.from_bytes(digest[:8]) % _DAYS

    def _pseudonym(self, space: str, identifier: str) -> str:
        text = f"{space}\0{identifier}".encode("utf-8", "surrogatepass")
        return base64.b32encode(hmac.digest(self._code_key, text, "sha256")[: LENGTH * 5 // 8]).decode()

    def _permuted(self, space: str, place: int) -> int:
        """A Feistel network: every place has one number, every number one place."""
        left, right = place >> _HALF, place & _MASK
        for step in range(_ROUNDS):
            digest = hmac.digest(self._code_key, f"{space}\0{step}\0{right}".encode(), "sha256")
            left, right = right, left ^ (int.from_bytes(digest[:4]) & _MASK)
        return left << _HALF | right


def _derived(key: bytes, purpose: str, export: str) -> bytes:
    """A key for one purpose, so that none says anything of another."""
    return hmac.digest(key or b"\0", f"hilum deidentify {purpose}\0{export}".encode(), "sha256")


def _spelled(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(25, -1, -5))
