"""Where segments end: with CR by the standard, with LF, CRLF or a mixture in files and from careless senders.

Everything is kept, so that the bytes can be put together again as they came.
"""

from __future__ import annotations

import re
from functools import lru_cache


def split_lines(data: bytes, separator: bytes) -> tuple[list[bytes], bytes, list[bytes] | None]:
    """The lines of `data`, its line end, and each line's own end where they differ.

    CR always ends a segment. LF does where a segment, an empty line or nothing follows; otherwise it is data.
    """
    count = data.count(b"\n")
    if count == data.count(b"\r\n") == data.count(b"\r"):
        return data.split(b"\r\n"), b"\r\n", None
    pieces = _line_end(separator).split(data)
    lines, ends = pieces[::2], pieces[1::2]
    return lines, ends[0] if ends else b"\r", ends if len(set(ends)) > 1 else None


def join_lines(lines: list[bytes], terminator: bytes, ends: list[bytes] | None) -> bytes:
    """What `split_lines` took apart."""
    if ends is None:
        return terminator.join(lines)
    return b"".join(line + end for line, end in zip(lines, [*ends, b""], strict=True))


@lru_cache(maxsize=256)
def _line_end(separator: bytes) -> re.Pattern[bytes]:
    follows = rb"(?=[\r\n]|\Z|[A-Z][A-Z0-9]{2}(?:[\r\n]|\Z|" + re.escape(separator) + b"))"
    return re.compile(rb"(\r\n|\r|\n" + follows + b")")
