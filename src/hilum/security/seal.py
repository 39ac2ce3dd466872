"""Seals what is stored: zstd, then AES-256-GCM under a key of this process run.

Sealed = version (1) | master key number (1) | run salt (12) | counter (6) | ciphertext and tag.
Each run derives its own key (HKDF-SHA256, RFC 5869) from the master and a random salt and counts its
nonces, so that no nonce repeats under a key: not after 2^32 messages, not after a restore.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import secrets
import threading
from collections.abc import Callable, Sequence

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.errors import StoreError
from hilum.security.keyring import Keyring

_VERSION = 1
_HEADER = 20
_MAX_PLAIN = 1 << 30


class Sealer:
    """Seals and opens. Safe to use from several threads."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        salt = secrets.token_bytes(12)
        self._prefix = bytes((_VERSION, keys.current)) + salt
        self._cipher = _derive(keys.masters[keys.current], salt)
        self._count = itertools.count(1)
        self._local = threading.local()

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Seal `plain` for one place (table and row): moved elsewhere, it no longer opens."""
        return self._encrypt(self._zstd()[0].compress(plain), place)

    def seal_all(self, plain: Sequence[bytes], places: Sequence[bytes]) -> list[bytes]:
        """`seal` for several: packing gives the interpreter up, here once for all of them."""
        if len(plain) < 2:
            return [self.seal(*one) for one in zip(plain, places, strict=True)]
        packed = self._zstd()[0].multi_compress_to_buffer(list(plain))
        return [self._encrypt(packed[at].tobytes(), place) for at, place in enumerate(places)]

    def _encrypt(self, packed: bytes, place: bytes) -> bytes:
        counter = next(self._count).to_bytes(6, "big")
        nonce = b"\0\0\0\0\0\0" + counter
        return self._prefix + counter + self._cipher.encrypt(nonce, packed, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Raises StoreError where the bytes were changed, moved, or sealed under a key that is not here."""
        master = self._keys.masters.get(sealed[1]) if len(sealed) > _HEADER and sealed[0] == _VERSION else None
        if master is None:
            raise StoreError("sealed under a key that this data folder does not have")
        cipher = self._cipher if sealed[:14] == self._prefix else _derive(master, bytes(sealed[2:14]))
        try:
            packed = cipher.decrypt(b"\0\0\0\0\0\0" + sealed[14:_HEADER], bytes(sealed[_HEADER:]), place)
            return self._zstd()[1].decompress(packed, max_output_size=_MAX_PLAIN)
        except InvalidTag:
            raise StoreError("the stored bytes were changed or moved") from None

    def _zstd(self) -> tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]:
        pair: tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor] | None
        pair = getattr(self._local, "pair", None)
        if pair is None:
            pair = self._local.pair = (zstandard.ZstdCompressor(level=1), zstandard.ZstdDecompressor())
        return pair


@functools.lru_cache(maxsize=256)
def _derive(master: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), 32, salt, b"hilum body").derive(master))


class KeyedHash:
    """64-bit keyed hashes of searchable values, so that the index shows nobody what was searched for."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._begun: dict[str, hashlib.blake2b] = {}  # the key is taken in once for each kind

    def __call__(self, kind: str, value: bytes) -> int:
        """A signed 64-bit number, as both databases store it."""
        begun = self._begun.get(kind)
        if begun is None:
            begun = self._begun[kind] = self._begin(kind)
        return _end(begun, value)

    def prefixed(self, kind: str, prefix: bytes) -> Callable[[bytes], int]:
        """Hashes many values that begin alike: `prefixed(kind, a)(b)` is `self(kind, a + b)`."""
        begun = self._begin(kind)
        begun.update(prefix)
        return functools.partial(_end, begun)

    def digest(self, kind: str, value: bytes) -> bytes:
        """32 bytes, for what is compared whole and never looked for."""
        return hashlib.blake2b(value, digest_size=32, key=self._key, person=kind.encode()[:16]).digest()

    def _begin(self, kind: str) -> hashlib.blake2b:
        return hashlib.blake2b(digest_size=8, key=self._key, person=kind.encode()[:16])


def _end(begun: hashlib.blake2b, value: bytes) -> int:
    one = begun.copy()
    one.update(value)
    return int.from_bytes(one.digest(), "big", signed=True)
