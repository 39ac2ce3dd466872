"""A look at one segment of a message, for printing, validating and walking; later changes do not show."""

from __future__ import annotations

import re

from hilum.formats.hl7v2.delimiters import Delimiters
from hilum.formats.hl7v2.escape import Null, read_text
from hilum.formats.hl7v2.fields import pick
from hilum.formats.hl7v2.path import HEADERS, parse_path

_LINE = re.compile(rb"[A-Z][A-Z0-9]{2}[^\r\n]*\Z")


class Segment:
    r"""`name`, `index` (from 1, among the segments of that name) and `raw`, without its line end.

    >>> from hilum.formats.hl7v2 import Message
    >>> pid = Message.parse(b"MSH|^~\\&|LAB\rPID|1||4711^^^MRN").segments("PID")[0]
    >>> pid.name, pid.fields[3], pid["3.4"]
    ('PID', b'4711^^^MRN', 'MRN')
    """

    __slots__ = ("_codec", "_delimiters", "index", "name", "raw")

    def __init__(self, name: str, index: int, raw: bytes, delimiters: Delimiters, codec: str) -> None:
        self.name = name
        self.index = index
        self.raw = raw
        self._delimiters = delimiters
        self._codec = codec

    @property
    def fields(self) -> list[bytes]:
        """The raw fields; `fields[3]` is field 3, `fields[0]` the name, and MSH-1 has its place too."""
        separator = self._delimiters.field
        fields = self.raw.split(separator)
        if self.name in HEADERS:
            fields.insert(1, separator)
        return fields

    def __getitem__(self, place: str) -> str | Null | None:
        """The text at a place inside the segment, such as `3[2].1`; None where there is none."""
        path = parse_path(f"{self.name if self.name in HEADERS else 'ZZZ'}-{place}")
        fields = self.fields
        if path.field is None or path.field >= len(fields):
            return None
        field = fields[path.field]
        if path.literal:
            return field.decode(self._codec, "surrogateescape")
        raw = pick(field, path, self._delimiters)
        return None if raw is None else read_text(raw, self._delimiters, self._codec)

    def __bytes__(self) -> bytes:
        return self.raw

    def __repr__(self) -> str:
        return f"<Segment {self.name}[{self.index}]>"


def check_segment(raw: bytes, separator: bytes) -> None:
    """Raise ValueError where `raw` is no segment that could be added to a message."""
    if not _LINE.match(raw) or raw[3:4] not in (b"", separator):
        raise ValueError("a segment is one line that begins with its name and the field separator")
    if raw.startswith(b"MSH"):
        raise ValueError("a message has one MSH segment")
