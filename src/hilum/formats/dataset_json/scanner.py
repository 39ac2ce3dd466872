"""JSON taken value by value from a stream, plain or compressed (zlib or gzip), with little of it in memory."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from hilum.errors import FormatError

BLOCK = 1 << 20  # bytes that are read at once
MAX_VALUE = 1 << 24  # characters of one value: a row, or the description of all columns

_EDGE = 16  # characters: a number or a word that ends this near to the end of what was read may go on
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_LINE = re.compile(r"[ \t\r]*\n[ \t\r\n]*")
_EITHER = zlib.MAX_WBITS | 32  # zlib tells its own header from gzip's


def compressed(head: bytes) -> bool:
    """Does this begin as gzip (RFC 1952) or zlib (RFC 1950) does?"""
    return head[:2] == b"\x1f\x8b" or (head[:1] == b"\x78" and int.from_bytes(head[:2], "big") % 31 == 0)


def plain(head: bytes) -> bytes:
    """The first bytes of a file as they are without compression; empty where they cannot be read."""
    try:
        return zlib.decompressobj(_EITHER).decompress(head, BLOCK) if compressed(head) else head
    except zlib.error:
        return b""


class Scanner:
    """A place in a text of JSON. Its verbs raise FormatError where the text is none or ends too early."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._first = stream.read(BLOCK)
        self._inflate = zlib.decompressobj(_EITHER) if compressed(self._first) else None
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._parse = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False

    def peek(self) -> str:
        """The next character that is no white space, which stays; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def expect(self, among: str) -> str:
        """Take the next character, which is one of these."""
        found = self.peek()
        if not found or found not in among:
            raise FormatError(f"no JSON: {found or 'its end'} stands where {' or '.join(among)} should")
        self._at += 1
        return found

    def value(self) -> Any:
        """Take the next value."""
        self.peek()
        while True:
            try:
                found, end = self._parse(self._text, self._at)
                if end < len(self._text) - _EDGE or self._ended:
                    self._at = end
                    return found
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _EDGE or error.msg.startswith("Unterminated")
                if self._ended or not cut:
                    raise FormatError("no JSON: it ends within a value" if cut else f"no JSON: {error.msg}") from None
            except (RecursionError, ValueError):
                raise FormatError("no JSON: arrays are too deep, or a number is too long") from None
            left = len(self._text) - self._at
            if left > MAX_VALUE:
                raise FormatError(f"a value has more than {MAX_VALUE:,} characters")
            while self._more() and len(self._text) < 2 * left:  # twice as much, so that no value is parsed too often
                pass

    def rows(self, *, within: bool) -> Iterator[list[Any]]:
        """Take the values that follow: of an array, its end included, or one a line to the end; some at a time."""
        if within:
            self.expect("[")
            if self.peek() == "]":
                self.expect("]")
                return
        while self.peek() or within:
            yield self._run(_COMMA if within else _LINE)
            if within or self.peek():
                yield [self.value()]
            if within and self.expect(",]") == "]":
                return

    def _run(self, between: re.Pattern[str]) -> list[Any]:
        """The values that are here whole, each with what stands between it and the next one."""
        found: list[Any] = []
        parse, text, at = self._parse, self._text, self._at
        try:
            while True:
                value, end = parse(text, at)
                gap = between.match(text, end)
                if gap is None:
                    break
                found.append(value)
                at = gap.end()
        except (ValueError, RecursionError):
            pass  # it goes on behind what was read, or is none: who takes it alone finds out
        self._at = at
        return found

    def _more(self) -> bool:
        """Read on, and let go of what was taken. False at the end."""
        try:
            data = self._read()
            self._ended = not data
            self._text = self._text[self._at :] + self._decode(data, self._ended)
        except zlib.error:
            raise FormatError("the compressed data are damaged") from None
        except UnicodeDecodeError:
            raise FormatError("no JSON: it is not UTF-8") from None
        self._at = 0
        return not self._ended

    def _read(self) -> bytes:
        """Some bytes without compression; empty at the end."""
        if self._inflate is None:
            return self._packed()
        while True:
            if self._inflate.eof:  # gzip has members, one behind the other
                data = self._inflate.unused_data or self._packed()
                if not data:
                    return b""
                self._inflate = zlib.decompressobj(_EITHER)
            else:
                data = self._inflate.unconsumed_tail or self._packed()
            found = self._inflate.decompress(data, BLOCK)
            if found:
                return found
            if not data:
                raise FormatError("the compressed data end too early")

    def _packed(self) -> bytes:
        found, self._first = self._first or self._stream.read(BLOCK), b""
        return found
