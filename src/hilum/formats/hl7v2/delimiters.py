"""The delimiters that a message declares in MSH-1 and MSH-2 (HL7 v2 chapter 2, "Message delimiters").

They are read once per distinct MSH-2 and cached, together with the patterns that escaping needs.
"""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache

from hilum.errors import FormatError

RECOMMENDED = b"^~\\&"

_KEPT = rb"(?:H|N|\.(?!br)[a-z]{2}[+-]?[0-9]*|[CMZ][0-9A-Fa-f]+)"
_READ = rb"([FSTREP])|X((?:[0-9A-Fa-f]{2})+)|(\.br)|" + _KEPT


@dataclasses.dataclass(frozen=True, slots=True)
class Delimiters:
    """One byte each; `b""` where the message declares none (the standard lets the last ones be left out)."""

    field: bytes = b"|"
    component: bytes = b"^"
    repetition: bytes = b"~"
    escape: bytes = b"\\"
    subcomponent: bytes = b"&"
    truncation: bytes = b""
    issues: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    # The same as numbers, which `in` finds several times faster; CR, which no segment contains, where absent.
    component_byte: int = dataclasses.field(init=False, compare=False, repr=False)
    repetition_byte: int = dataclasses.field(init=False, compare=False, repr=False)
    escape_byte: int = dataclasses.field(init=False, compare=False, repr=False)
    subcomponent_byte: int = dataclasses.field(init=False, compare=False, repr=False)

    codes: dict[bytes, bytes] = dataclasses.field(init=False, compare=False, repr=False)
    """Byte to be escaped -> what stands for it between two escape characters."""
    special: re.Pattern[bytes] = dataclasses.field(init=False, compare=False, repr=False)
    """What may not stand as it is in a value."""
    sequence: re.Pattern[bytes] = dataclasses.field(init=False, compare=False, repr=False)
    """An escape sequence of the standard."""
    inner: re.Pattern[bytes] = dataclasses.field(init=False, compare=False, repr=False)
    """A delimiter that shows a value to have parts."""

    def __post_init__(self) -> None:
        declared = b"".join((self.field, self.component, self.repetition, self.escape, self.subcomponent))
        mark = re.escape(self.escape)
        kept = mark + _KEPT + mark + b"|" if mark else b""
        last = b"|" + re.escape(self.truncation) + rb"\Z" if self.truncation else b""
        codes = {
            b"\r": b"X0D",
            b"\n": b"X0A" if b"." in declared else b".br",
            b"\x0b": b"X0B",
            b"\x1c": b"X1C",
        }
        roles = (self.field, self.component, self.subcomponent, self.repetition, self.escape, self.truncation)
        codes |= {char: bytes((code,)) for char, code in zip(roles, b"FSTREP", strict=True) if char}
        derive = object.__setattr__
        for role in ("component", "repetition", "escape", "subcomponent"):
            derive(self, f"{role}_byte", ord(getattr(self, role) or b"\r"))
        derive(self, "codes", codes)
        derive(self, "special", re.compile(kept + b"[" + re.escape(declared) + b"\r\n\x0b\x1c]" + last))
        derive(self, "sequence", re.compile(mark + b"(?:" + _READ + b")" + mark))
        inner = b"".join((self.field, self.component, self.repetition, self.subcomponent))
        derive(self, "inner", re.compile(b"[" + re.escape(inner) + b"]"))


@lru_cache(maxsize=256)
def read_delimiters(separator: bytes, encoding: bytes) -> Delimiters:
    """The delimiters of MSH-1 `separator` and MSH-2 `encoding`.

    A missing MSH-2, a doubled escape character, a character in two roles and a sixth character are
    recorded as issues. Raises FormatError where a delimiter is no printable ASCII punctuation.
    """
    if not _legal(separator):
        raise FormatError("the field separator cannot be read", segment="MSH", field=1)
    issues: list[str] = []
    if not encoding:
        issues.append("no encoding characters; the recommended ones are assumed")
        encoding = RECOMMENDED.replace(separator, b"")
    if encoding[2:3] == encoding[3:4] and len(encoding) == 5:
        issues.append("the escape character is doubled")
        encoding = encoding[:3] + encoding[4:]
    if len(encoding) > 5:
        issues.append("more than five encoding characters")
    if len(encoding) > 4 and not _legal(encoding[4:5]):
        issues.append("the truncation character is not a punctuation character")
        encoding = encoding[:4]
    roles = [separator]
    for number in range(5):
        char = encoding[number : number + 1]
        if char and not _legal(char):
            raise FormatError("the encoding characters cannot be read", segment="MSH", field=2)
        if char and char in roles:
            issues.append(f"encoding character {number + 1} has another role already")
            char = b""
        roles.append(char)
    field, component, repetition, escape, subcomponent, truncation = roles
    return Delimiters(field, component, repetition, escape, subcomponent, truncation, tuple(issues))


def _legal(char: bytes) -> bool:
    return len(char) == 1 and 0x20 < char[0] < 0x7F and not char.isalnum()
