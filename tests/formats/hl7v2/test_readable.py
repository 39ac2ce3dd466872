"""Any body as text, and in base64 where that is not all of it."""

from __future__ import annotations

import pytest

from hilum.formats.hl7v2.readable import readable


@pytest.mark.parametrize(
    ("body", "text", "exact"),
    [
        (b"MSH|^~\\&|A\rPID|M\xc3\xbc\r", "MSH|^~\\&|A\rPID|Mü\r", True),
        (b"MSH|^~\\&" + b"|" * 16 + b"8859/1\rPID|M\xfc\r", "MSH|^~\\&" + "|" * 16 + "8859/1\rPID|Mü\r", True),
        (b"MSH|^~\\&|A\rPID|M\xfc\r", "MSH|^~\\&|A\rPID|M\ufffd\r", False),
        (b"plain", "plain", True),
        (b"%PDF\x00\xff", None, False),
        (b"", "", True),
    ],
)
def test_readable_text_is_marked_where_it_is_not_exact(body: bytes, text: str | None, exact: bool) -> None:
    found, encoded = readable(body)
    assert found == text
    assert (encoded is None) is exact
