"""JSON as RFC 8259 has it, and no more: UTF-8, no NaN, no name twice, not deep, no text that a database cannot keep.

A parser that is more generous than the next one is a way around the first one's checks.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

DEEPEST = 32
_INTEGER = 1 << 63  # what databases and other languages can hold


class JsonRequest(Request):
    """A request whose JSON is read strictly. FastAPI answers a JSONDecodeError with 400 and the field `body`."""

    async def json(self) -> Any:
        """Raises json.JSONDecodeError."""
        if not hasattr(self, "_strict"):
            self._strict = read(await self.body())
        return self._strict


def read(body: bytes) -> Any:
    """The value that stands in `body`. Raises json.JSONDecodeError, which repeats nothing of it."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, "", 0) from None
    except UnicodeDecodeError:
        raise _problem("must be UTF-8") from None
    except RecursionError:
        raise _problem(f"must not be nested deeper than {DEEPEST} levels") from None
    if body.count(b"{") + body.count(b"[") > DEEPEST:
        _check_depth(value, DEEPEST)
    if b"\\u" in body:
        _check_texts(value)
    return value


def _problem(reason: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(reason, "", 0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _problem("must not name a member twice")
    return found


def _no_number(_: str) -> Any:
    raise _problem("must not hold NaN or Infinity")


def _integer(text: str) -> int:
    if len(text) > 20 or not -_INTEGER <= (value := int(text)) < _INTEGER:
        raise _problem("must not hold whole numbers beyond 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _problem("must not hold numbers that are too big")
    return value


def _check_depth(value: Any, left: int) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return
    if left == 0:
        raise _problem(f"must not be nested deeper than {DEEPEST} levels")
    for one in inner:
        _check_depth(one, left - 1)


def _check_texts(value: Any) -> None:
    """Escapes can write what UTF-8 cannot (half of a surrogate pair) and what PostgreSQL cannot keep (NUL)."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):
            raise _problem("must not hold NUL characters or halves of surrogate pairs")
    elif isinstance(value, dict):
        for name, one in value.items():
            _check_texts(name)
            _check_texts(one)
    elif isinstance(value, list):
        for one in value:
            _check_texts(one)
