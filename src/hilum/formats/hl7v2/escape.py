r"""Between a value as people read it and its bytes (HL7 v2 chapter 2, "Use of escape sequences").

Read: `\F\ \S\ \T\ \R\ \E\ \P\`, `\Xhh..\` and `\.br\` (a line feed). Highlighting, other formatting commands,
character set and local sequences are kept as they stand, in both directions; whatever else an escape
character begins is text.
"""

from __future__ import annotations

import enum
import re
from functools import partial
from typing import Final, Literal

from hilum.formats.hl7v2.delimiters import Delimiters


class Null(enum.Enum):
    """The HL7 null `""`: the receiver shall delete its value. Falsy, and neither `None` nor empty text."""

    NULL = '""'

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return '""'

    def __repr__(self) -> str:
        return "NULL"


NULL: Final[Literal[Null.NULL]] = Null.NULL


def unescape(raw: bytes, delimiters: Delimiters) -> bytes:
    r"""`raw` with its escape sequences replaced; `b"AT\T\T"` is `b"AT&T"`."""
    if delimiters.escape_byte not in raw:
        return raw
    return delimiters.sequence.sub(partial(_meaning, delimiters), raw)


def escape(value: bytes, delimiters: Delimiters) -> bytes:
    r"""`value` with delimiters, line ends and MLLP's two framing bytes escaped.

    Raises ValueError where the message declares no escape character and `value` needs one.
    """
    if delimiters.special.search(value) is None:
        return value
    if not delimiters.escape:
        raise ValueError("the message declares no escape character, and the value contains a delimiter")
    return delimiters.special.sub(partial(_sequence, delimiters), value)


def read_text(raw: bytes, delimiters: Delimiters, codec: str) -> str | Null:
    """`raw` as text: decoded, a byte that `codec` cannot read as a lone surrogate, and unescaped.

    A value that still has parts is left escaped, since its delimiters could not be told from its text.
    """
    if raw == b'""':
        return NULL
    if delimiters.escape_byte in raw and delimiters.inner.search(raw) is None:
        raw = unescape(raw, delimiters)
    return raw.decode(codec, "surrogateescape")


def _meaning(delimiters: Delimiters, match: re.Match[bytes]) -> bytes:
    code, digits, line_break = match.groups()
    if digits:
        return bytes.fromhex(digits.decode("ascii"))
    if line_break:
        return b"\n"
    for char, known in delimiters.codes.items():
        if known == code:
            return char
    return match[0]


def _sequence(delimiters: Delimiters, match: re.Match[bytes]) -> bytes:
    found, mark, codes = match[0], delimiters.escape, delimiters.codes
    # A sequence is kept, unless an unusual delimiter such as `+` or `.` occurs in it.
    if len(found) > 1 and not any(bytes((byte,)) in codes for byte in found[1:-1]):
        return found
    chars = (found[at : at + 1] for at in range(len(found)))
    return b"".join(mark + codes[char] + mark if char in codes else char for char in chars)
