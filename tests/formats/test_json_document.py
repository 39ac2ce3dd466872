"""JSON bodies: nothing is lost on the way in and out, and what is none is said without repeating it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import FormatError
from hilum.formats.json_document import MAX_DEPTH, JsonDocument, equal, write

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_document_comes_out_as_it_went_in(value: Any) -> None:
    body = json.dumps(value).encode()
    made = bytes(JsonDocument.parse(body))
    assert equal(JsonDocument.parse(made).root, JsonDocument.parse(body).root)
    assert bytes(JsonDocument.parse(made)) == made


@pytest.mark.parametrize(
    "body",
    [
        b'{"value":6.30,"other":0.1,"far":1E+400,"near":1E-10}', b"[1.0,-0.0,100000000000000000000,1.50]", b'"\\ud800"',
        '{"ü":"☺😀"}'.encode(), b"null", b"[]", b"{}", b'{"":{"a":[{}]}}',
    ],
)  # fmt: skip
def test_every_digit_stays(body: bytes) -> None:
    assert bytes(JsonDocument.parse(body)) == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"MSH|^~\\&|", "line 1, column 1"),
        (b'{"a":1,"a":2}', "a member twice"),
        (b"[NaN]", "NaN is no number"),
        (b"[1e99999]", "out of range"),
        (b"1" * 5_000, "too many digits"),
        (b"[" * 101 + b"]" * 101, "within one another"),
        (b"[" * 100_000, "within one another"),
        (b'"\xff"', "not UTF-8"),
        (b'{"secret": 4711', "line 1"),
    ],
)
def test_what_is_no_json(body: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason) as caught:
        JsonDocument.parse(body)
    assert "secret" not in str(caught.value)
    assert "4711" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    try:
        document = JsonDocument.parse(body)
    except FormatError:
        return
    assert equal(JsonDocument.parse(bytes(document)).root, document.root)


def test_depth_is_bounded_both_ways() -> None:
    assert JsonDocument.parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH).root
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(ValueError, match="within one another"):
        write(value)
    for _ in range(10_000):
        value = [value]
    with pytest.raises(ValueError, match="within one another"):
        write(value)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0.1, 0.1, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1], [1, 1], False),
    ],
)
def test_equality(left: Any, right: Any, same: bool) -> None:
    assert equal(left, right) is same
