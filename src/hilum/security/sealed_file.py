"""Files that are sealed while they are written and opened while they are read, however big they are.

File = magic (8) | pieces. A piece is 64 KiB of plain text, the last one up to that, under AES-256-GCM with a tag of 16
bytes. Its nonce is its number (11 bytes) and whether it is the last one (1): the STREAM construction (Hoang,
Reyhanitabar, Rogaway and Vizar, 2015), so that pieces can neither be left out, exchanged nor cut off. The key is made
for this file alone, so no nonce is used twice. Associated data = what the file is: in another's place it does not open.
"""

from __future__ import annotations

import io
import secrets
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import StoreError

MAGIC = b"hilum\x00f1"
PIECE = 1 << 16
_TAG = 16


def new_key() -> bytes:
    """A key for one file."""
    return secrets.token_bytes(32)


class SealedWriter(io.RawIOBase):
    """What is written to it goes sealed into `file`, which stays open. It is whole once this was closed."""

    def __init__(self, file: IO[bytes], key: bytes, bound: bytes) -> None:
        self._file, self._cipher, self._bound = file, AESGCM(key), bound
        self._kept, self._number = bytearray(), 0
        file.write(MAGIC)

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._kept += content
        while len(self._kept) > PIECE:  # at least one byte stays for the last piece
            self._put(bytes(self._kept[:PIECE]), last=False)
            del self._kept[:PIECE]
        return len(content)

    def close(self) -> None:
        try:
            if not self.closed:
                self._put(bytes(self._kept), last=True)
        finally:
            super().close()

    def _put(self, plain: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), plain, self._bound))
        self._number += 1


class SealedReader(io.RawIOBase):
    """The plain text of a sealed file. Raises StoreError where it was changed, moved or cut short."""

    def __init__(self, file: IO[bytes], key: bytes, bound: bytes) -> None:
        self._file, self._cipher, self._bound = file, AESGCM(key), bound
        self._number, self._plain, self._ended = 0, b"", False
        if file.read(len(MAGIC)) != MAGIC:
            raise StoreError("it is no file that Hilum sealed, or one of a newer version")
        self._next = file.read(PIECE + _TAG)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._plain and not self._ended:
            self._plain = self._open()
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _open(self) -> bytes:
        sealed, self._next = self._next, self._file.read(PIECE + _TAG)
        self._ended = not self._next
        try:
            plain = self._cipher.decrypt(_nonce(self._number, self._ended), sealed, self._bound)
        except InvalidTag:
            raise StoreError("the file was changed, moved or cut short: it does not open") from None
        self._number += 1
        return plain


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))
