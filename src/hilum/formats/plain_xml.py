"""XML from elsewhere, read without DTD, entities or network and in bounded memory; and the texts that XML can hold.

A DTD is refused before its content is looked at: it is where entities that grow without end, or that fetch files, are
declared, and none of CDISC's formats has one.
Source: XML 1.0 (fifth edition), 2.2 "Characters" and 2.8 "Prolog and Document Type Declaration".
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from lxml import etree

from hilum.errors import DataError, FormatError

UNFIT = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"
"""What XML 1.0 cannot hold, as a pattern of Arrow's (RE2)."""
REASON = "XML 1.0 cannot hold a character of this text"

_CHUNK = 1 << 16  # bytes
_PROLOG = 1 << 20  # bytes in which the root has to begin
_MOST = 64 << 20  # bytes between two events, which lie in memory at once
_SAFE: Mapping[str, Any] = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False,
    "remove_comments": True, "remove_pis": True,
}  # fmt: skip


def fit(text: str, what: str, variable: str = "") -> str:
    """The same text. Raises DataError where XML cannot hold it; `what` says what it is."""
    try:
        etree.Element("a", a=text)
    except (ValueError, UnicodeError):  # a control character, or half of a surrogate pair
        raise DataError(f"XML 1.0 cannot hold a character of its {what}", variable=variable) from None
    return text


def unfit(texts: pa.Array) -> list[int]:
    """The places of the texts that XML cannot hold."""
    found: list[int] = pc.indices_nonzero(pc.match_substring_regex(texts, UNFIT)).to_pylist()
    return found


def root(stream: BinaryIO) -> tuple[str, Mapping[str, str]]:
    """The tag of the root, as `{namespace}name`, and its attributes. Raises FormatError: no XML, or it has a DTD."""
    parser = etree.XMLParser(target=_Prolog(), **_SAFE)
    read = 0
    try:
        while chunk := stream.read(_CHUNK):
            parser.feed(chunk)
            read += len(chunk)
            if read > _PROLOG:
                raise FormatError("no element begins in the first megabyte")
        parser.close()
    except _Root as found:
        return found.tag, found.attributes
    except etree.XMLSyntaxError as error:
        raise FormatError(f"no XML: {error.msg}") from None
    raise FormatError("no XML: there is no element")


def events(stream: BinaryIO, tags: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Where elements with these tags `start` and `end`; a tag may be `{*}name`. Ask `root` first: it refuses DTDs.

    What has ended is to be cleared by whoever takes it. Raises FormatError: not well-formed, or an element too large.
    """
    parser = etree.XMLPullParser(("start", "end"), tag=tags, **_SAFE)
    waiting = 0
    try:
        while chunk := stream.read(_CHUNK):
            parser.feed(chunk)
            waiting += len(chunk)
            for event in parser.read_events():
                waiting = 0
                yield event
            if waiting > _MOST:
                raise FormatError(f"an element has more than {_MOST >> 20} MB that nothing divides")
        parser.close()
        yield from parser.read_events()
    except etree.XMLSyntaxError as error:
        raise FormatError(f"no well-formed XML: {error.msg}") from None


def document(data: bytes) -> Any:
    """The root of a whole file. Raises FormatError as `root` does, or where it is too large."""
    root(io.BytesIO(data))
    if len(data) > _MOST:
        raise FormatError(f"it has more than {_MOST >> 20} MB")
    try:
        return etree.fromstring(data, etree.XMLParser(**_SAFE))
    except etree.XMLSyntaxError as error:
        raise FormatError(f"no well-formed XML: {error.msg}") from None


class _Root(Exception):
    """The root has begun."""

    def __init__(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.tag, self.attributes = tag, attributes


class _Prolog:
    """Takes what stands before the root, and stops there."""

    def doctype(self, *_: object) -> None:
        raise FormatError("it has a DTD (DOCTYPE), which may declare entities: none is read")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        raise _Root(tag, dict(attributes))

    def end(self, _: str) -> None:
        """Never: the start stops it."""

    def close(self) -> None:
        """The end of the file."""
