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
    """The plain text of a sealed file, from any place. Raises StoreError where it was changed, moved or cut short.

    Who reads to the end knows that nothing is missing; who reads a part knows that this part is whole.
    """

    def __init__(self, file: IO[bytes], key: bytes, bound: bytes) -> None:
        self._file, self._cipher, self._bound = file, AESGCM(key), bound
        if file.read(len(MAGIC)) != MAGIC:
            raise StoreError("it is no file that Hilum sealed, or one of a newer version")
        sealed = file.seek(0, io.SEEK_END) - len(MAGIC)
        self._last = max(-(-sealed // (PIECE + _TAG)) - 1, 0)  # the number of the last piece
        self._size = sealed - (self._last + 1) * _TAG
        self._number, self._plain, self._place = -1, b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        self._place = max(place + (0, self._place, self._size)[whence], 0)
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        number, first = divmod(self._place, PIECE)
        if number > self._last or (number == self._last and first and self._place >= self._size):
            return 0
        if number != self._number:
            self._number, self._plain = number, self._open(number)
        count = min(len(buffer), len(self._plain) - first)
        buffer[:count] = self._plain[first : first + count]
        self._place += count
        return count

    def _open(self, number: int) -> bytes:
        self._file.seek(len(MAGIC) + number * (PIECE + _TAG))
        try:
            return self._cipher.decrypt(
                _nonce(number, number == self._last), self._file.read(PIECE + _TAG), self._bound
            )
        except (InvalidTag, ValueError):  # ValueError: shorter than its tag
            raise StoreError("the file was changed, moved or cut short: it does not open") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))
