"""Files of many messages (HL7 v2 chapter 2, "Batch protocol"): FHS, BHS, messages, BTS, FTS, some missing.

The parts are slices of the file with their line ends: put together again, they are the file.
"""

from __future__ import annotations

import dataclasses
import re

from hilum.errors import FormatError
from hilum.formats.hl7v2.issues import Issue

_NAME = rb"(?:(FHS|BHS|MSH)(?=[!-/:-@\[-`{-~])|(BTS|FTS)(?=[^A-Za-z0-9]|\Z))"
_FIRST = re.compile(_NAME)
_NEXT = re.compile(rb"[\r\n]" + _NAME)  # not one pattern with `^`, which is several times slower


@dataclasses.dataclass(slots=True)
class Group:
    """One batch: its BHS and BTS segments, if it has them, and its messages."""

    header: bytes | None = None
    messages: list[bytes] = dataclasses.field(default_factory=list)
    trailer: bytes | None = None


@dataclasses.dataclass(slots=True)
class Batch:
    r"""A file of messages, each of them as bytes for `Message.parse`.

    >>> file = Batch.parse(b"BHS|^~\\&|LAB\rMSH|^~\\&|LAB\rMSH|^~\\&|LAB\rBTS|2\r")
    >>> file.messages, file.issues
    ([b'MSH|^~\\&|LAB\r', b'MSH|^~\\&|LAB\r'], [])
    """

    file_header: bytes | None = None
    batches: list[Group] = dataclasses.field(default_factory=list)
    file_trailer: bytes | None = None
    issues: list[Issue] = dataclasses.field(default_factory=list)
    parts: list[bytes] = dataclasses.field(default_factory=list)
    """Everything in order, so that `bytes(batch)` is the file."""

    @property
    def messages(self) -> list[bytes]:
        """The messages of all batches."""
        return [message for group in self.batches for message in group.messages]

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    @classmethod
    def parse(cls, data: bytes) -> Batch:
        """The parts of a file; a message stands from its MSH to the next header or trailer.

        What is missing, out of place or miscounted becomes an issue. Raises FormatError where there is
        neither a header nor a message.
        """
        self = cls()
        first = _FIRST.match(data)
        starts = [(0, first[1] or first[2])] if first else []
        starts += [(match.start() + 1, match[1] or match[2]) for match in _NEXT.finditer(data)]
        if not starts:
            raise FormatError("no file header, batch header or message", segment="FHS")
        if starts[0][0]:
            self.parts.append(data[: starts[0][0]])
            if self.parts[0].strip(b"\xef\xbb\xbf \t\r\n"):
                self._note("FHS", f"{starts[0][0]} bytes before the first header")
        ends = [start for start, _ in starts[1:]] + [len(data)]
        for (start, name), end in zip(starts, ends, strict=True):
            self.parts.append(data[start:end])
            self._place(name, data[start:end])
        self._close()
        if self.file_header is not None and self.file_trailer is None:
            self._note("FTS", "the file has no trailer")
        return self

    def _place(self, name: bytes, part: bytes) -> None:
        group = self.batches[-1] if self.batches and self.batches[-1].trailer is None else None
        if name == b"MSH":
            if group is None:
                group = Group()
                self.batches.append(group)
            group.messages.append(part)
        elif name == b"BHS":
            self._close()
            self.batches.append(Group(part))
        elif name == b"BTS":
            self._end_batch(group, part)
        elif name == b"FHS":
            if self.file_header is not None or self.batches:
                self._note("FHS", "a file header that is not at the beginning")
            self.file_header = self.file_header or part
        else:
            if self.file_trailer is not None:
                self._note("FTS", "a second file trailer")
            self.file_trailer = part
            self._count("FTS", part, len(self.batches), "batches")

    def _end_batch(self, group: Group | None, part: bytes) -> None:
        if group is None:
            self._note("BTS", "a batch trailer without a batch")
            return
        group.trailer = part
        if group.header is None:
            self._note("BHS", "a batch trailer without a batch header")
        self._count("BTS", part, len(group.messages), "messages")

    def _close(self) -> None:
        """A batch with a header should have ended with a trailer."""
        if self.batches and self.batches[-1].header is not None and self.batches[-1].trailer is None:
            self._note("BTS", f"batch {len(self.batches)} has no trailer")

    def _count(self, segment: str, part: bytes, found: int, what: str) -> None:
        """Compare field 1 of a trailer, if it is valued, with what was found."""
        fields = part.strip().split(part[3:4]) if part[3:4].strip() else []
        said = fields[1].split(b"\r")[0].split(b"\n")[0] if len(fields) > 1 else b""
        if said and not (said.isdigit() and int(said) == found):
            self._note(segment, f"{said.decode('ascii', 'replace')} {what} announced, {found} found", 1)

    def _note(self, segment: str, reason: str, field: int | None = None) -> None:
        self.issues.append(Issue(segment, field, reason))
