"""Encrypts a file for its recipients while it is read: age, OpenPGP (RFC 9580), or a ZIP with AES-256 (WinZip AE-2).

Nothing of it touches the disk in the clear. Neither format is the same twice: what is compared is the file before.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
from collections.abc import Iterable, Iterator
from typing import Any

from hilum.errors import ConfigError
from hilum.exporting import openpgp
from hilum.exporting.openpgp import Sink
from hilum.model.export import Protection

SUFFIXES = {"age": ".age", "openpgp": ".pgp", "zip": ".zip"}
MEDIA_TYPES = {"age": "application/age-encryption", "openpgp": "application/pgp-encrypted", "zip": "application/zip"}
_LEAST = 12  # characters of a password


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """The file that is to be encrypted: its name, when it was made, its bytes one after the other."""

    name: str
    created: datetime.datetime
    size: int
    pieces: Iterable[bytes]


def check(protection: Protection) -> None:
    """Raises ConfigError where a recipient is none."""
    if protection.kind == "age":
        _age_recipients(protection)
    elif protection.kind == "openpgp":
        _certificates(protection)


def encrypt(protection: Protection, password: str, plain: Plain, sink: Sink) -> None:
    """Write it, encrypted. Raises ConfigError (recipients, password), OSError."""
    if protection.kind == "age":
        import pyrage

        pyrage.encrypt_io(_Reader(plain.pieces), sink, _age_recipients(protection))
    elif protection.kind == "openpgp":
        openpgp.encrypt(protection.recipients, plain.pieces, sink)
    else:
        _zip(password, plain, sink)


def _age_recipients(protection: Protection) -> list[Any]:
    import pyrage

    found: list[Any] = []
    for number, text in enumerate(protection.recipients):
        kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            found.append(kind.from_str(text.strip()))
        except (pyrage.RecipientError, ValueError) as error:
            where = f"protect.recipients[{number}]"
            raise ConfigError(f"this is no public key of age or SSH: {error}", where=where) from None
    return found


def _certificates(protection: Protection) -> None:
    import pysequoia

    for number, text in enumerate(protection.recipients):
        where = f"protect.recipients[{number}]"
        try:
            one = pysequoia.Cert.from_bytes(text.encode())
            pysequoia.encrypt(b"", recipients=[one])  # says whether there is a key in it that may encrypt
        except Exception as error:  # the library has no error of its own
            raise ConfigError(
                f"this is no OpenPGP certificate that can be encrypted to: {error}", where=where
            ) from None


def _zip(password: str, plain: Plain, sink: Sink) -> None:
    from stream_zip import ZIP_64, stream_zip

    if len(password) < _LEAST:
        raise ConfigError(f"the password of a ZIP needs {_LEAST} characters or more", where="protect.password")
    member = (plain.name, plain.created, 0o600, ZIP_64, plain.pieces)
    for piece in stream_zip([member], password=password):
        sink.write(piece)


class _Reader(io.RawIOBase):
    """Pieces as a file that is read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count
