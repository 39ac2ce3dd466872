"""Payloads of executions: JSON to bytes and back, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.pipeline.payload import decode, encode

JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (None, b""),
        ({"a": ["ä", 1, None]}, '{"a":["ä",1,null]}'.encode()),
        ([], b"[]"),
        (0, b"0"),
        (False, b"false"),
        ("<xml/>", b"<xml/>"),
        ("", b""),
        ("MSH|^~\\&|A\nPID|1\n", b"MSH|^~\\&|A\rPID|1\r"),
        ("MSH|^~\\&|A\r\nPID|1", b"MSH|^~\\&|A\rPID|1\r"),
    ],
)
def test_what_is_sent(data: Any, body: bytes) -> None:
    assert encode(data) == body


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (b"", JSON, None),
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": 1}', "application/fhir+json", {"a": 1}),
        (b'{"a": 1}', "", '{"a": 1}'),
        (b"{broken", JSON, "{broken"),
        (b"[" * 100_000, JSON, "[" * 100_000),
        ("Grün".encode(), "text/plain", "Grün"),
        (
            "MSH|^~\\&|A|||||||||||||||8859/1\rPID|Grün\r".encode("latin-1"),
            "",
            "MSH|^~\\&|A|||||||||||||||8859/1\rPID|Grün\r",
        ),
        (b"\xff\xfe\x00", "image/png", {"base64": "//4A"}),
    ],
)
def test_what_is_answered(body: bytes, kind: str, data: Any) -> None:
    assert decode(body, kind) == data
