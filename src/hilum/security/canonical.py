"""Canonical JSON (RFC 8785): one text for one value, so that it can be hashed, chained and signed.

Only what evidence is made of: objects with text keys, lists, text, whole numbers below 2^53, true, false and null. A
number with a fraction has no one text that every language agrees on cheaply, so it is refused; write it as text.
"""

from __future__ import annotations

import json
from typing import Any

_SAFE = 2**53
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """The one text of `value`, in UTF-8. Raises ValueError for what has none."""
    return _write(_ordered(value)).encode("utf-8")


def _ordered(value: Any) -> Any:
    if type(value) is str or value is None:  # most of what there is
        return value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"a key is {type(key).__name__}, not text")
        keys = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf16)
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    if value is None or isinstance(value, str | bool):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        if abs(value) >= _SAFE:
            raise ValueError("a whole number of 2^53 or more is not the same in every language; write it as text")
        return int(value)
    raise ValueError(f"{type(value).__name__} has no canonical text")


def _utf16(key: str) -> bytes:
    """RFC 8785 orders keys by their UTF-16 code units."""
    return key.encode("utf-16-be", "surrogatepass")
