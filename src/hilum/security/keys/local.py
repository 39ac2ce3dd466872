"""Wrapping under a key that this process holds: format (1) | nonce (12) | ciphertext and tag, AES-256-GCM.

The wrapping key is derived (HKDF-SHA256, RFC 5869), so that a master that seals other things too is used for one
purpose at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.errors import ConfigError, StoreError
from hilum.security.keys.provider import Wrapped

_FORMAT = 1
_NONCE = 12


class LocalKeys:
    """Keys by id, of which one is current."""

    def __init__(self, name: str, keys: Mapping[str, bytes], current: str) -> None:
        self._name = name
        self._current = current
        self._ciphers = {identifier: _cipher(key) for identifier, key in keys.items()}

    @property
    def name(self) -> str:
        return self._name

    @property
    def current(self) -> str:
        return self._current

    def knows(self, identifier: str) -> bool:
        return identifier in self._ciphers

    def wrap(self, key: bytes, bound: bytes) -> Wrapped:
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self._current].encrypt(nonce, key, self._bound(self._current, bound))
        return Wrapped(self._name, self._current, bytes((_FORMAT,)) + nonce + sealed)

    def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        cipher = self._ciphers.get(wrapped.wrapped_by)
        if cipher is None:
            raise ConfigError(f"the key provider {self._name!r} has no key {wrapped.wrapped_by!r}")
        text = wrapped.wrapped
        if len(text) <= _NONCE or text[0] != _FORMAT:
            raise StoreError("a data key was not wrapped by this version of Hilum")
        try:
            return cipher.decrypt(text[1 : 1 + _NONCE], text[1 + _NONCE :], self._bound(wrapped.wrapped_by, bound))
        except InvalidTag:
            raise StoreError(f"a data key does not unwrap under {wrapped.wrapped_by!r}: changed or moved") from None

    def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped:
        return self.wrap(self.unwrap(wrapped, bound), bound)

    def _bound(self, identifier: str, bound: bytes) -> bytes:
        return bound + f"|{self._name}|{identifier}".encode()


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), 32, None, b"hilum data keys").derive(key))
