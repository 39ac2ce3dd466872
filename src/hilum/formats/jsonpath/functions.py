"""The functions of a JSONPath filter (RFC 9535, 2.4): length, count, match, search, value.

Patterns are I-Regexp (RFC 9485), run by RE2: no pattern and no text can make them slow.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.jsonpath.query import MISSING, Run

MAX_PATTERN: Final = 500  # characters
_PIECE: Final = 100  # characters of a text that count as one value that is looked at


class Kind(enum.Enum):
    """What an operand is: a value, true or false, the nodes of a query, or of one that finds one at most."""

    VALUE = enum.auto()
    LOGICAL = enum.auto()
    NODES = enum.auto()
    NODE = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    parameters: tuple[Kind, ...]
    result: Kind
    call: Callable[..., Any]


def _length(run: Run, value: Any) -> Any:
    return len(value) if isinstance(value, (str, list, dict)) else MISSING


def _count(run: Run, values: list[Any]) -> int:
    return len(values)


def _value(run: Run, values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else MISSING


def _match(run: Run, text: Any, pattern: Any) -> bool:
    regex = _compiled(run, text, pattern)
    return regex is not None and regex.fullmatch(text) is not None


def _search(run: Run, text: Any, pattern: Any) -> bool:
    regex = _compiled(run, text, pattern)
    return regex is not None and regex.search(text) is not None


def _compiled(run: Run, text: Any, pattern: Any) -> Any:
    """The pattern, or None where the two are no text and pattern: then nothing matches."""
    if not isinstance(text, str) or not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        return None
    run.visit(len(text) // _PIECE + 1)
    try:
        text.encode()
        return _regex(pattern)
    except UnicodeEncodeError:  # half a surrogate pair: RE2 reads none
        return None


@functools.lru_cache(maxsize=512)
def _regex(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(_without_line_ends(pattern), options)
    except re2.error:
        return None


def _without_line_ends(pattern: str) -> str:
    """I-Regexp's dot matches neither line feed nor carriage return; ^ and $ are no anchors of it."""
    pieces: list[str] = []
    escaped = bracket = False
    for one in pattern:
        if escaped:
            escaped = False
        elif one == "\\":
            escaped = True
        elif one == "[":
            bracket = True
        elif one == "]":
            bracket = False
        elif one == "." and not bracket:
            one = r"[^\n\r]"
        pieces.append(one)
    return "".join(pieces)


FUNCTIONS: Final[dict[str, Function]] = {
    "length": Function((Kind.VALUE,), Kind.VALUE, _length),
    "count": Function((Kind.NODES,), Kind.VALUE, _count),
    "value": Function((Kind.NODES,), Kind.VALUE, _value),
    "match": Function((Kind.VALUE, Kind.VALUE), Kind.LOGICAL, _match),
    "search": Function((Kind.VALUE, Kind.VALUE), Kind.LOGICAL, _search),
}
