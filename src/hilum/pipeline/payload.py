"""Payloads of executions: from JSON to what a partner is sent, and what it answers back to JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

from hilum.errors import FormatError
from hilum.formats import hl7v2


def encode(data: Any) -> bytes:
    """Text is sent as it is (an HL7 v2 message with a carriage return after each segment), all else as JSON."""
    if data is None:
        return b""
    if not isinstance(data, str):
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    if data.startswith("MSH"):
        lines = data.strip("\r\n").replace("\r\n", "\r").replace("\n", "\r")
        return f"{lines}\r".encode("utf-8", "replace")
    return data.encode("utf-8", "replace")


def decode(body: bytes, content_type: str = "") -> Any:
    """JSON where it says so, else text; None where there is nothing. What is neither comes as {"base64": …}."""
    if not body:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass  # it says so, but it is not: shown as the text that it is
    charset = "utf-8"
    if body.startswith(b"MSH"):
        try:
            charset = hl7v2.Message.parse(body).charset
        except FormatError:
            charset = "latin-1"
    try:
        return body.decode(charset)
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
