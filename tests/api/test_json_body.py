"""JSON is read strictly."""

from __future__ import annotations

import json

import pytest

from hilum.api.json_body import DEEPEST, read


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"]}" * (depth // 2)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        ('"Zoë"'.encode(), "Zoë"), (b'"\\ud83d\\ude00"', "😀"), (b"9223372036854775807", 9223372036854775807),
        (b'"\\\\u0000"', "\\u0000"), (b"1e300", 1e300),
    ],
)  # fmt: skip
def test_what_is_json_is_read(body: bytes, value: object) -> None:
    assert read(body) == value


@pytest.mark.ledger_part("S0-34", "depth, numbers, doubled names, control characters and encodings are refused")
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"a":1,}', b"NaN", b"-Infinity", b"[1e999]", b"9223372036854775808", b"1" * 5_000,
        b'{"a": 1, "a": 2}', b'{"b": {"a": 1, "a": 1}}', b'"\xff"', '"Zoë"'.encode("utf-16"), b'"\\ud800"',
        b'["\\u0000"]', b'{"\\u0000": 1}', b'"a\nb"', b'"a\0b"', b"\xef\xbb\xbf{}", nested(DEEPEST + 2),
        b"[" * 100_000, b'{"a":' * 50_000,
    ],
)  # fmt: skip
def test_what_is_not_is_refused(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        read(body)
    assert raised.value.doc == ""  # nothing of the body goes into an error


def test_the_deepest_that_is_read() -> None:
    assert read(nested(DEEPEST))
