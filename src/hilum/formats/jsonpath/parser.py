"""Reads a JSONPath query (RFC 9535, appendix A) into what runs it; what is wrong is said with its character."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from hilum.formats.jsonpath import functions
from hilum.formats.jsonpath.functions import Kind
from hilum.formats.jsonpath.query import (
    MISSING,
    Filter,
    Index,
    Key,
    Name,
    Query,
    Run,
    Segment,
    Selector,
    Slice,
    Wildcard,
    less,
    same,
)

MAX_QUERY: Final = 1_000  # characters
MAX_DEPTH: Final = 20  # filters and brackets within one another
_FAR: Final = 2**53 - 1  # the largest index (RFC 9535, 2.1)

_BLANK = re.compile(r"[ \t\r\n]*")
_SHORT = re.compile(r"[A-Za-z_\u0080-\ud7ff\ue000-\U0010ffff][A-Za-z0-9_\u0080-\ud7ff\ue000-\U0010ffff]*")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_FUNCTION = re.compile(r"[a-z][a-z0-9_]*")
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>")
_TEXT = {
    "'": re.compile(r"'((?:[^'\\\x00-\x1f\ud800-\udfff]|\\['bfnrt/\\]|\\u[0-9A-Fa-f]{4})*+)'"),
    '"': re.compile(r'"((?:[^"\\\x00-\x1f\ud800-\udfff]|\\["bfnrt/\\]|\\u[0-9A-Fa-f]{4})*+)"'),
}
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}

Evaluate = Callable[[Any, Run], Any]
"""Of the current node's value: a value or MISSING, the values of a query's nodes, or true or false."""


@functools.lru_cache(maxsize=2_048)
def parse(text: str, *, relative: bool = False) -> Query:
    """The query; `relative`: it may begin at @ as well. Raises ValueError naming the character."""
    if len(text) > MAX_QUERY:
        raise ValueError(f"a path has at most {MAX_QUERY:,} characters")
    reader = _Reader(text)
    if not reader.skip("$") and not (relative and reader.skip("@")):
        raise reader.error("a path of JSON begins with $" + (" or @" if relative else ""))
    query = reader.query(0)
    if reader.at < len(text):
        raise reader.error(f"cannot read {text[reader.at]!r}")
    return query


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def error(self, reason: str, at: int | None = None) -> ValueError:
        return ValueError(f"{self.text}: {reason} (character {(self.at if at is None else at) + 1})")

    def skip(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def need(self, mark: str) -> None:
        if not self.skip(mark):
            found = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
            raise self.error(f"expected {mark!r}, found {found}")

    def take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match[0]

    def blank(self) -> None:
        self.take(_BLANK)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} filters and brackets within one another")

    def query(self, begin: int) -> Query:
        """The segments after the $ or @ at `begin`."""
        segments: list[Segment] = []
        while True:
            before = self.at
            self.blank()
            if self.skip(".."):
                segments.append(Segment(self.brackets() or (self.dotted(),), descends=True))
            elif self.skip("."):
                segments.append(Segment((self.dotted(),)))
            elif found := self.brackets():
                segments.append(Segment(found))
            else:
                self.at = before
                break
        return Query(self.text[begin : self.at], self.text[begin] == "@", tuple(segments), _keys(segments))

    def dotted(self) -> Selector:
        if self.skip("*"):
            return Wildcard()
        name = self.take(_SHORT)
        if name is None:
            raise self.error("expected a name; one with other characters stands in brackets and quotes: ['a-b']")
        return Name(name)

    def brackets(self) -> tuple[Selector, ...]:
        if not self.skip("["):
            return ()
        self.deeper()
        found: list[Selector] = []
        while True:
            self.blank()
            found.append(self.selector())
            self.blank()
            if not self.skip(","):
                break
        self.need("]")
        self.depth -= 1
        return tuple(found)

    def selector(self) -> Selector:
        if self.text[self.at : self.at + 1] in ("'", '"'):
            return Name(self.string())
        if self.skip("*"):
            return Wildcard()
        if self.skip("?"):
            self.blank()
            return Filter(self.either())
        start = self.integer()
        before = self.at
        self.blank()
        if not self.skip(":"):
            self.at = before
            if start is None:
                raise self.error("expected a name in quotes, an index, a slice, * or a filter")
            return Index(start)
        self.blank()
        end = self.integer()
        before = self.at
        self.blank()
        if not self.skip(":"):
            self.at = before
            return Slice(start, end, None)
        self.blank()
        return Slice(start, end, self.integer())

    def integer(self) -> int | None:
        begin = self.at
        text = self.take(_INTEGER)
        if text is None:
            return None
        if len(text) > 17 or abs(int(text)) > _FAR:
            raise self.error("an index is out of range", begin)
        return int(text)

    def string(self) -> str:
        begin = self.at
        quote = self.text[begin]
        if self.take(_TEXT[quote]) is None:
            raise self.error("a text in quotes begins here that cannot be read", begin)
        inner = self.text[begin + 1 : self.at - 1]
        if quote == "'":
            inner = re.sub(r"\\.|\"", lambda one: {"\\'": "'", '"': '\\"'}.get(one[0], one[0]), inner)
        found: str = json.loads(f'"{inner}"')
        if any("\ud800" <= one <= "\udfff" for one in found):
            raise self.error("half a surrogate pair", begin)
        return found

    # filters: each method gives the function that decides

    def either(self) -> Evaluate:
        self.deeper()
        parts = [self.both()]
        while self.joined("||"):
            parts.append(self.both())
        self.depth -= 1
        if len(parts) == 1:
            return parts[0]
        return lambda value, run: any(part(value, run) for part in parts)

    def both(self) -> Evaluate:
        parts = [self.basic()]
        while self.joined("&&"):
            parts.append(self.basic())
        if len(parts) == 1:
            return parts[0]
        return lambda value, run: all(part(value, run) for part in parts)

    def joined(self, mark: str) -> bool:
        before = self.at
        self.blank()
        if not self.skip(mark):
            self.at = before
            return False
        self.blank()
        return True

    def basic(self) -> Evaluate:
        begin = self.at
        if self.skip("!"):
            self.blank()
            test = self.grouped() if self.text.startswith("(", self.at) else self.test(*self.operand(), begin)
            return lambda value, run: not test(value, run)
        if self.text.startswith("(", self.at):
            return self.grouped()
        left, kind = self.operand()
        before = self.at
        self.blank()
        mark = self.take(_COMPARISON)
        if mark is None:
            self.at = before
            return self.test(left, kind, begin)
        self.comparable(kind, begin)
        self.blank()
        second = self.at
        right, other = self.operand()
        self.comparable(other, second)
        return _comparison(mark, _single(left, kind), _single(right, other))

    def grouped(self) -> Evaluate:
        self.need("(")
        self.blank()
        inner = self.either()
        self.blank()
        self.need(")")
        return inner

    def test(self, evaluate: Evaluate, kind: Kind, at: int) -> Evaluate:
        if kind in (Kind.NODES, Kind.NODE):
            return lambda value, run: bool(evaluate(value, run))
        if kind is not Kind.LOGICAL:
            raise self.error("a value by itself is no condition: compare it", at)
        return evaluate

    def comparable(self, kind: Kind, at: int) -> None:
        if kind is Kind.NODES:
            raise self.error("a query that may find several nodes does not compare", at)
        if kind is Kind.LOGICAL:
            raise self.error("a condition does not compare", at)

    def operand(self) -> tuple[Evaluate, Kind]:
        """A literal, a query or a function; a query's nodes come as their values."""
        begin = self.at
        if self.text[begin : begin + 1] in ("'", '"'):
            return _constant(self.string()), Kind.VALUE
        if self.skip("@") or self.skip("$"):
            return _embedded(self.query(begin))
        if (number := self.take(_NUMBER)) is not None:
            return _constant(self.number(number, begin)), Kind.VALUE
        name = self.take(_FUNCTION)
        if name is None:
            raise self.error("expected a value, a query or a function")
        if name in _WORDS and not self.text.startswith("(", self.at):
            return _constant(_WORDS[name]), Kind.VALUE
        return self.function(name, begin)

    def number(self, text: str, at: int) -> Any:
        found = Decimal(text)
        if abs(found.adjusted()) > 9_999:
            raise self.error("a number is out of range", at)
        return found

    def function(self, name: str, begin: int) -> tuple[Evaluate, Kind]:
        known = functions.FUNCTIONS.get(name)
        if known is None:
            raise self.error(f"there is no function {name}; known are {', '.join(functions.FUNCTIONS)}", begin)
        self.need("(")
        self.deeper()
        self.blank()
        arguments: list[Evaluate] = []
        for number, wanted in enumerate(known.parameters):
            if number:
                self.blank()
                self.need(",")
                self.blank()
            at = self.at
            argument, kind = self.operand()
            if wanted is Kind.NODES:
                if kind not in (Kind.NODES, Kind.NODE):
                    raise self.error(f"{name} takes a query", at)
                arguments.append(argument)
            else:
                self.comparable(kind, at)
                arguments.append(_single(argument, kind))
        self.blank()
        self.need(")")
        self.depth -= 1
        call = known.call
        return lambda value, run: call(run, *[one(value, run) for one in arguments]), known.result


def _keys(segments: list[Segment]) -> tuple[Key, ...] | None:
    """The names and indexes of a singular query (RFC 9535, 2.3.5.1)."""
    keys: list[Key] = []
    for segment in segments:
        match segment:
            case Segment((Name(name),), False):
                keys.append(name)
            case Segment((Index(index),), False):
                keys.append(index)
            case _:
                return None
    return tuple(keys)


def _constant(found: Any) -> Evaluate:
    return lambda value, run: found


def _embedded(query: Query) -> tuple[Evaluate, Kind]:
    if query.relative:
        return lambda value, run: query.values(run.root, ([value], 0), run), Kind.NODE if query.singular else Kind.NODES
    return lambda value, run: query.values(run.root, None, run), Kind.NODE if query.singular else Kind.NODES


def _single(evaluate: Evaluate, kind: Kind) -> Evaluate:
    """The value of a singular query's node, or nothing."""
    if kind is not Kind.NODE:
        return evaluate

    def single(value: Any, run: Run) -> Any:
        found = evaluate(value, run)
        return found[0] if found else MISSING

    return single


def _comparison(mark: str, left: Evaluate, right: Evaluate) -> Evaluate:
    match mark:
        case "==":
            return lambda value, run: same(left(value, run), right(value, run), run)
        case "!=":
            return lambda value, run: not same(left(value, run), right(value, run), run)
        case "<":
            return lambda value, run: less(left(value, run), right(value, run))
        case ">":
            return lambda value, run: less(right(value, run), left(value, run))
        case "<=":
            return lambda value, run: _at_most(left(value, run), right(value, run), run)
    return lambda value, run: _at_most(right(value, run), left(value, run), run)


def _at_most(left: Any, right: Any, run: Run) -> bool:
    return less(left, right) or same(left, right, run)
