"""Any body for people: as text, and in base64 where text does not say every byte."""

from __future__ import annotations

import base64

from hilum.errors import FormatError
from hilum.formats.hl7v2.message import Message


def readable(body: bytes) -> tuple[str | None, str | None]:
    """A body as text, decoded by MSH-18 where it has one, and in base64 where text does not say every byte."""
    try:
        codec = Message.parse(body).charset
    except FormatError:
        codec = "utf-8"
    text = None if b"\0" in body else body.decode(codec, "replace")
    exact = text is not None and text.encode(codec, "replace") == body
    return text, None if exact else base64.b64encode(body).decode()
