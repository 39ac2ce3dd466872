"""Seals the statement that a person signs: canonical JSON (RFC 8785) under Ed25519 (RFC 8032).

The statement names itself, its organization, signer, time, meaning and operation, and the record with its version and
digest. So neither it nor a copy of its row holds for any other record (21 CFR 11.70), and an edit breaks the seal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.security.canonical import canonical

FORMAT = "hilum-signature-1"
_DOMAIN = b"hilum signature 1\n"  # what this key seals can be taken for nothing else


def digest(record: Any) -> str:
    """SHA-256 of a record's canonical JSON, in hexadecimal. Raises ValueError for what has no canonical text."""
    return hashlib.sha256(canonical(record)).hexdigest()


def key_id(public: bytes) -> str:
    """Tells keys apart: the first 64 bits of the SHA-256 of a public key (32 bytes)."""
    return hashlib.sha256(public).hexdigest()[:16]


class Signer:
    """Holds the hub's key for signatures, and for nothing else."""

    def __init__(self, seed: bytes) -> None:
        """`seed` (32 bytes) is the key ring's secret of evidence; the key is derived from it."""
        derived = HKDF(hashes.SHA256(), 32, None, b"hilum signatures").derive(seed)
        self._key = Ed25519PrivateKey.from_private_bytes(derived)
        self.public = self._key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def seal(self, statement: Mapping[str, Any]) -> tuple[str, bytes]:
        """The statement's text, with format and key named in it, and the seal over it."""
        text = canonical({**statement, "format": FORMAT, "key": self.key_id})
        return text.decode(), self._key.sign(_DOMAIN + text)


def broken(public: bytes, text: str, seal: bytes, row: Mapping[str, Any]) -> str:
    """Why a statement does not hold, or "". `row` is what its surroundings say of it: each must stand in it as well."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(seal, _DOMAIN + text.encode())
        statement = json.loads(text)
    except (InvalidSignature, ValueError):
        return "the seal does not fit: the signature was edited, or made with another key"
    if not isinstance(statement, dict) or statement.get("format") != FORMAT:
        return "not a signature"
    for name, value in row.items():
        if statement.get(name) != value:
            return f"it was moved here: it says another {name}"
    return ""
