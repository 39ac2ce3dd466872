"""Envelope encryption of secrets in rows: AES-256-GCM under a data key of the organization, for one place alone.

Sealed = format (1) | data key number (4) | nonce (12) | ciphertext and tag (16 longer than the plain text).

Associated data = organization|table|row uuid|column|data key number. So what was moved to another row, column, table
or organization, or put under another key's number, does not open. Nonces are random 96-bit numbers; NIST SP 800-38D
(8.3) allows 2^32 of them a key, a data key is replaced after LIMIT.
"""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import StoreError

FORMAT = 1
LIMIT = 1 << 28
"""Seals under one data key until the next one is made: a sixteenth of what the standard allows."""

_NONCE = 12
_HEADER = 5 + _NONCE
_LENGTH = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where something sealed stands, and nowhere else."""

    organization: int
    table: str
    row: uuid.UUID
    column: str = "sealed"

    def bound(self, key: int) -> bytes:
        """The associated data. No part but the last two is free text, and those are names of our own."""
        return f"{self.organization}|{self.table}|{self.row}|{self.column}|{key}".encode()


@dataclasses.dataclass(frozen=True, slots=True)
class DataKey:
    """A key of one organization. `number` stands in front of everything that it sealed."""

    organization: int
    number: int
    secret: bytes = dataclasses.field(repr=False)

    @classmethod
    def new(cls, organization: int, number: int) -> Self:
        return cls(organization, number, secrets.token_bytes(_LENGTH))

    def seal(self, plain: bytes, place: Place) -> bytes:
        """Raises ValueError where `place` is another organization's."""
        if place.organization != self.organization:
            raise ValueError("a data key seals for its own organization alone")
        nonce = secrets.token_bytes(_NONCE)
        header = bytes((FORMAT,)) + self.number.to_bytes(4, "big") + nonce
        return header + AESGCM(self.secret).encrypt(nonce, plain, place.bound(self.number))

    def open(self, sealed: bytes, place: Place) -> bytes:
        """Raises StoreError where the bytes were changed, moved, or sealed under another key."""
        if number(sealed) != self.number:
            raise StoreError(f"sealed under data key {number(sealed)}, not {self.number}")
        try:
            return AESGCM(self.secret).decrypt(sealed[5:_HEADER], sealed[_HEADER:], place.bound(self.number))
        except InvalidTag:
            raise StoreError("the stored secret was changed or moved: it does not open") from None


def number(sealed: bytes) -> int:
    """The number of the data key that something was sealed under. Raises StoreError where it is nothing sealed."""
    if len(sealed) < _HEADER + 16 or sealed[0] != FORMAT:
        raise StoreError("not sealed by this version of Hilum")
    return int.from_bytes(sealed[1:5], "big")


class Sealing(Protocol):
    """Seals and opens secrets of organizations."""

    async def seal(self, place: Place, plain: bytes) -> tuple[bytes, int]: ...

    async def open(self, place: Place, sealed: bytes) -> bytes: ...
