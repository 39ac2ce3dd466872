"""JSONPath as expressions and mappings use it: `$` is the document, `@` what the innermost loop is at.

What a path finds is known only when it is read: `text_of` and its like make of it what an operation takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from hilum.expressions.paths import Loop, Loops, Position
from hilum.expressions.values import EvaluationError, Kind, Value, as_number, differ, equal, listed, within
from hilum.formats.json_document import JsonDocument
from hilum.formats.jsonpath import MISSING, JsonPathError, Node, Query, parse

_NAME = r"[A-Za-z_\u0080-\ud7ff\ue000-\U0010ffff][A-Za-z0-9_\u0080-\ud7ff\ue000-\U0010ffff]*+"
_QUOTED = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_NESTED: Final = 6  # brackets within one another
_FAR: Final = 999  # the largest exponent of a number that is reckoned with


def _syntax() -> str:
    brackets = rf"""\[(?:[^\[\]'"]|{_QUOTED})*+\]"""
    for _ in range(_NESTED - 1):
        brackets = rf"""\[(?:[^\[\]'"]|{_QUOTED}|{brackets})*+\]"""
    return rf"(?:\$(?![A-Za-z0-9_])|@)(?:\.\.?(?:\*|{_NAME})|(?:\.\.)?{brackets})*+"


SYNTAX: Final = _syntax()

JSON_LOOP: Final = Loop("@")
"""A loop through nodes of JSON; `@` is the innermost one's."""

NO_LOOP: Final = Loop("")
"""A loop that another document is gone through in: no path of this one depends on it."""


class Turn(int):
    """The number of a loop's turn, and the node whose turn it is, as [container, key]."""

    cell: list[Any]

    @staticmethod
    def at(value: Any) -> Turn:
        """A turn whose node is this value, wherever it stands."""
        turn = Turn(1)
        turn.cell = [[value], 0]
        return turn

    @property
    def value(self) -> Any:
        """MISSING once it was removed."""
        container, key = self.cell
        return MISSING if key is None else container[key]


@dataclasses.dataclass(frozen=True, slots=True)
class JsonPlace:
    """A query, and the loop whose node `@` is; None: the query begins at the document's root."""

    query: Query
    level: int | None = None

    @staticmethod
    def parse(text: str, loops: Loops = ()) -> JsonPlace:
        """Raises ValueError naming the character that cannot be read."""
        levels = [number for number, loop in enumerate(loops) if loop is JSON_LOOP]
        query = parse(text, relative=True)
        if not query.relative:
            return JsonPlace(query)
        if not levels:
            raise ValueError(f"{text}: @ has a value only inside each")
        return JsonPlace(query, levels[-1])

    def start(self, document: JsonDocument, position: Position) -> Node:
        """Where the query begins."""
        if self.level is None:
            return document.holder, 0
        container, key = position[self.level].cell  # type: ignore[attr-defined]  # the turns of a JSON loop are Turns
        return ([MISSING], 0) if key is None else (container, key)

    def values(self, document: JsonDocument, position: Position) -> list[Any]:
        """All that it finds. Raises EvaluationError."""
        try:
            return self.query.values(document.holder, self.start(document, position))
        except JsonPathError as error:
            raise EvaluationError(str(error)) from None

    def nodes(self, document: JsonDocument, position: Position) -> list[Node]:
        """Where all that it finds stands. Raises EvaluationError."""
        try:
            return self.query.nodes(document.holder, self.start(document, position))
        except JsonPathError as error:
            raise EvaluationError(str(error)) from None

    def texts(self, document: JsonDocument, position: Position) -> list[str | None]:
        """What a query finds as a list of texts."""
        return list_of(self.values(document, position))

    def __str__(self) -> str:
        return self.query.text


def text_of(value: Any) -> str | None:
    """A value as text: numbers without exponent, true and false by name."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(_decimal(value), "f")


def number_of(value: Any) -> Decimal | None:
    """A number, or the number that text writes; empty text is null."""
    if value is None or isinstance(value, str):
        return as_number(value)
    return _decimal(value)


def scalar_of(value: Any) -> str | Decimal | None:
    """Text or number; true and false are their names."""
    return text_of(value) if isinstance(value, (str, bool)) or value is None else _decimal(value)


def condition_of(value: Any) -> bool:
    """True and false are themselves, what is absent or null is false; nothing else is a condition."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise EvaluationError("a value is neither true nor false")


def compared(value: Any) -> Value:
    """What comparisons take; of an array, as of a list, any entry."""
    if isinstance(value, list):
        return list_of(value)
    return value if value is None or isinstance(value, (str, bool)) else _decimal(value)


def same(left: Value, right: Value) -> bool:
    """`==`; true and false equal themselves alone."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return equal(left, right)


def differs(left: Value, right: Value) -> bool:
    """`!=`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is not right
    return differ(left, right)


def among(value: Any, entries: list[Value]) -> bool:
    """`in`: any of several values, where it is an array."""
    if isinstance(value, list):
        return within([text_of(one) for one in value], entries)
    found = compared(value)
    return any(same(found, entry) for entry in entries)


def list_of(value: Any) -> list[str | None]:
    """An array of simple values as texts; what is absent is an empty list, one value a list of it."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    listed(len(entries))
    return [text_of(one) for one in entries]


def counted(value: Any) -> Decimal:
    """How many entries an array or members an object has; absent: none, a single value: one."""
    return Decimal(len(value) if isinstance(value, (list, dict)) else int(value is not None))


def valued(value: Any) -> bool:
    """Whether it is neither absent nor null nor empty."""
    return value is not None and value not in ("", [], {})


def json_of(value: Value) -> Any:
    """What an expression gives, as it stands in JSON."""
    if isinstance(value, Decimal) and abs(value.adjusted()) <= _FAR:
        text = format(value, "f")
        if "." not in text:
            return int(text)
        number = float(text)
        return number if repr(number) == text else value
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise EvaluationError(f"{_kind(value)} stands where text or a number is wanted")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if abs(number.adjusted()) > _FAR:
        raise EvaluationError("a number is out of range")
    return number


def _kind(value: Any) -> str:
    return {dict: "an object", list: "an array", bool: "true or false"}.get(type(value), "something else")


ABOUT: Final[dict[str, tuple[Callable[[Any], Any], Callable[[list[Any]], Any], Kind]]] = {
    "exists": (lambda value: value is not None, bool, Kind.BOOLEAN),
    "valued": (valued, lambda values: any(map(valued, values)), Kind.BOOLEAN),
    "count": (counted, lambda values: Decimal(len(values)), Kind.NUMBER),
}
"""What functions find out about one value, about all that a query finds, and what they give."""
