"""Syslog: messages of RFC 5424, in the frames that RFC 5425 puts them into (a count of bytes, a space)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

AUDIT = 13  # facility "log audit", RFC 5424 6.2.1
NOTICE, WARNING = 5, 4  # severities
_BOM = b"\xef\xbb\xbf"  # what follows is UTF-8, 6.4


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message. `time` is RFC 3339 with at most six digits of a second."""

    severity: int
    time: str
    host: str
    name: str  # APP-NAME
    kind: str  # MSGID
    text: str
    data: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)  # by SD-ID
    facility: int = AUDIT
    marked: bool = True  # begins the text with the mark of UTF-8; some collectors want their own format to come first

    def encode(self) -> bytes:
        """The message without its frame. What a header field must not hold becomes a hyphen."""
        elements = (f"[{name}{''.join(_part(*one) for one in parts.items())}]" for name, parts in self.data.items())
        structured = "".join(elements) or "-"
        fields = (_field(self.host, 255), _field(self.name, 48), "-", _field(self.kind, 32))
        head = f"<{self.facility * 8 + self.severity}>1 {self.time} {' '.join(fields)} {structured} "
        return head.encode("utf-8", "replace") + (_BOM if self.marked else b"") + self.text.encode("utf-8", "replace")


def frame(message: bytes) -> bytes:
    """With its count of bytes (RFC 5425 4.3)."""
    return b"%d " % len(message) + message


def _field(text: str, most: int) -> str:
    """Printable ASCII without a space, `-` where there is none."""
    return "".join(one if "!" <= one <= "~" else "-" for one in text[:most]) or "-"


def _part(name: str, value: str) -> str:
    for one in ("\\", '"', "]"):
        value = value.replace(one, f"\\{one}")
    return f' {name}="{value}"'
