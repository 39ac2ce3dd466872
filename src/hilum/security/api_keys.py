"""API keys: hilum_live_<8 characters that may be seen>_<32 secret><6 of checksum>.

The prefix lets scanners of leaked secrets find one, the checksum (CRC-32 in base62) tells a mistyped key without a
look-up, the visible part finds its row. Its 190 secret bits need no slow hash: HMAC-SHA256 with a key of the hub is
stored, so that a stolen database alone can neither be searched for a key nor be given one.
"""

from __future__ import annotations

import dataclasses
import hmac
import re
import secrets
import zlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.security.keyring import Keyring

PREFIX = "hilum_live_"
PATTERN = re.compile(r"hilum_live_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
"""What a scanner of leaked secrets looks for."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclasses.dataclass(frozen=True, slots=True)
class ApiKey:
    """A key: `id` may be seen and is unique, `text` is the whole of it and shown once."""

    id: str
    text: str = dataclasses.field(repr=False)


def make() -> ApiKey:
    """A new key."""
    identifier, secret = _random(8), _random(32)
    head = f"{PREFIX}{identifier}_{secret}"
    return ApiKey(identifier, head + _checksum(head))


def parse(text: str) -> ApiKey | None:
    """None where `text` is no key, or was mistyped."""
    found = PATTERN.fullmatch(text)
    if found is None or _checksum(text[:-6]) != found[3]:
        return None
    return ApiKey(found[1], text)


class Pepper:
    """The hub's key under which API keys are digested. It does not change when master keys are rotated."""

    def __init__(self, keyring: Keyring) -> None:
        key = HKDF(hashes.SHA256(), 32, None, b"hilum api key").derive(keyring.search)
        self._key = hmac.new(key, digestmod="sha256")

    def digest(self, key: ApiKey) -> bytes:
        """HMAC-SHA256 of the whole key."""
        made = self._key.copy()  # hmac.digest would let go of the interpreter, and wait to get it back
        made.update(key.text.encode())
        return made.digest()

    def matches(self, key: ApiKey, digest: bytes) -> bool:
        """Takes the same time whatever differs."""
        return hmac.compare_digest(self.digest(key), digest)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(head: str) -> str:
    left, found = zlib.crc32(head.encode()), ""
    for _ in range(6):
        left, digit = divmod(left, 62)
        found = _ALPHABET[digit] + found
    return found
