"""MLLP framing (Minimal Lower Layer Protocol, release 1, of HL7's transport specification) without a socket.

A frame is VT, the message, FS, CR. What else comes over the wire is counted and reported, never kept, and
the events are the same however the bytes are cut into pieces:

- bytes outside a frame, so also data that lacks its VT: `Garbage`, once the next frame begins;
- FS ends a frame at once; a CR that does not follow it is counted in `missing_cr`;
- VT inside a frame is data, unless `MSH` follows: then the frame before it was cut off, `Incomplete`;
- more than `max_bytes`: `Oversized` at the byte too many; the rest is dropped up to FS or a new VT `MSH`.
"""

from __future__ import annotations

import dataclasses

START = b"\x0b"
END = b"\x1c\x0d"
HEAD_BYTES = 4096

_FS = END[:1]
_CR = END[1]
_RESTART = START + b"MSH"
_OVERLAP = len(_RESTART) - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Garbage:
    """`count` bytes before a frame, dropped."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Incomplete:
    """A frame of `size` bytes whose end never came, dropped."""

    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Oversized:
    """A frame of more than `max_bytes`, refused; `head` is its beginning, enough to answer its MSH."""

    max_bytes: int
    head: bytes


Event = bytes | Garbage | Incomplete | Oversized
"""What a decoder found; plain bytes are the payload of a complete frame."""


def frame(payload: bytes) -> bytes:
    """`payload` between start and end."""
    return b"%b%b%b" % (START, payload, END)


class Decoder:
    r"""Takes bytes as they come and gives events in their order.

    >>> decoder = Decoder()
    >>> decoder.feed(b"\r\n\x0bMSH|^~"), decoder.feed(b"\\&|LAB\x1c\r")
    ([Garbage(count=2)], [b'MSH|^~\\&|LAB'])
    """

    __slots__ = ("_after", "_buffer", "_garbage", "_inside", "_refused", "max_bytes", "missing_cr")

    def __init__(self, max_bytes: int = 10 * 1024 * 1024) -> None:
        self.max_bytes = max_bytes
        self.missing_cr = 0
        self._inside = False  # between VT and FS
        self._after = False  # FS was the last byte
        self._refused = False  # inside a frame that is too big; the buffer holds its last three bytes
        self._garbage = 0
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        at, end = 0, len(data)
        while at < end:
            if not self._inside:
                at = self._seek(data, at, events)
                continue
            stop = data.find(_FS, at)
            if stop < 0:
                payload = self._take(data[at:], events)
                if payload is not None and payload is not self._buffer:
                    self._buffer = bytearray(payload)
                break
            payload = self._take(data[at:stop], events)
            if payload is not None:
                events.append(bytes(payload))
            self._buffer = bytearray()
            self._inside = self._refused = False
            self._after = True
            at = stop + 1
        return events

    def close(self) -> list[Event]:
        """The events that the end of the connection completes; the decoder is done."""
        events: list[Event] = []
        if self._garbage:
            events.append(Garbage(self._garbage))
        if self._inside and not self._refused:
            events.append(Incomplete(len(self._buffer)))
        return events

    def _seek(self, data: bytes, at: int, events: list[Event]) -> int:
        """Go to the next frame; return where it begins."""
        if self._after:
            self._after = False
            if data[at] == _CR:
                return at + 1
            self.missing_cr += 1
        start = data.find(START, at)
        if start < 0:
            self._garbage += len(data) - at
            return len(data)
        self._garbage += start - at
        if self._garbage:
            events.append(Garbage(self._garbage))
            self._garbage = 0
        self._inside = True
        return start + 1

    def _take(self, piece: bytes, events: list[Event]) -> bytes | bytearray | None:
        """Add `piece` to the frame and return all of it, or None while it is refused."""
        known = max(0, len(self._buffer) - _OVERLAP)
        payload: bytes | bytearray = piece
        if self._buffer:
            self._buffer += piece
            payload = self._buffer
        while True:
            restart = payload.find(_RESTART, known)
            if self._refused:
                if restart < 0:
                    self._buffer = bytearray(payload[-_OVERLAP:])
                    return None
                self._refused = False
            elif restart >= 0 and restart + len(_RESTART) <= self.max_bytes:
                events.append(Incomplete(restart))
            elif len(payload) <= self.max_bytes:
                return payload
            else:
                events.append(Oversized(self.max_bytes, bytes(payload[: min(self.max_bytes, HEAD_BYTES)])))
                self._refused = True
                restart = max(-1, self.max_bytes - _OVERLAP)  # go on behind the byte too many
            payload = payload[restart + 1 :]
            known = 0
