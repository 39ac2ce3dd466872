"""What a tolerant parser met: things that are wrong in a message and yet do not stop it from being read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from hilum.formats.hl7v2.delimiters import Delimiters

_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}")


@dataclasses.dataclass(frozen=True, slots=True)
class Issue:
    """`segment` is a name with its index where that is not 1 (`OBX[3]`), or empty; `field` counts from 1."""

    segment: str
    field: int | None
    reason: str


def find_issues(lines: Sequence[bytes], delimiters: Delimiters, codec: str) -> Iterator[Issue]:
    """Issues of the delimiters, of lines that are no segments, and of bytes that `codec` cannot read."""
    for reason in delimiters.issues:
        yield Issue("MSH", 2, reason)
    seen: dict[bytes, int] = {}
    for number, line in enumerate(lines, start=1):
        name = line[:3]
        if not line:
            if number < len(lines):
                yield Issue("", None, f"line {number} is empty")
            continue
        if not _NAME.fullmatch(name) or line[3:4] not in (b"", delimiters.field):
            yield Issue("", None, f"line {number} does not begin with a segment name")
            continue
        seen[name] = seen.get(name, 0) + 1
        segment = name.decode("ascii") + ("" if seen[name] == 1 else f"[{seen[name]}]")
        if name == b"MSH" and number > 1:
            yield Issue(segment, None, "a second message header; several messages are read as a batch")
        if b"\n" in line:
            yield Issue(segment, None, "a line feed inside the segment")
        if not line.isascii():
            yield from _undecodable(segment, line, delimiters, codec)


def _undecodable(segment: str, line: bytes, delimiters: Delimiters, codec: str) -> Iterator[Issue]:
    shift = 1 if segment.startswith("MSH") else 0
    for number, field in enumerate(line.split(delimiters.field)):
        try:
            field.decode(codec)
        except UnicodeDecodeError as error:
            yield Issue(segment, number + shift, f"byte 0x{field[error.start]:02X} is not {codec}")
