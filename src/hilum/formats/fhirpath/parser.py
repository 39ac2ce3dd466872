"""Reads a FHIRPath into what runs it; what is wrong is said with its character."""

from __future__ import annotations

import dataclasses
import functools
import re
from decimal import Decimal
from typing import Any, Final

from hilum.formats.fhirpath.functions import FUNCTIONS
from hilum.formats.fhirpath.operators import LEVELS
from hilum.formats.fhirpath.values import (
    COMPLEX,
    PRIMITIVES,
    Evaluate,
    FhirPathError,
    Items,
    Run,
    children,
    is_type,
    number,
    single,
    whole,
)

MAX_EXPRESSION: Final = 2_000  # characters
MAX_DEPTH: Final = 12  # brackets and arguments within one another
MAX_OPERATIONS: Final = 100  # each runs within the one after it

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<number>[0-9]{1,28}(?:\.[0-9]{1,28})?)
    |(?P<text>'(?:[^'\\]|\\.)*+')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)
    |(?P<variable>\$(?:this|index)|%[a-z]+)
    |(?P<mark><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclasses.dataclass(frozen=True, slots=True)
class FhirPath:
    """A compiled expression."""

    text: str
    evaluate: Evaluate

    def __call__(self, start: Any, resource: Any) -> Items:
        """The collection that it gives of `start`, a part of `resource`. Raises FhirPathError."""
        run = Run(resource, start)
        return self.evaluate([] if start is None else [start], run)


@functools.lru_cache(maxsize=1_024)
def parse(text: str) -> FhirPath:
    """Raises ValueError naming the character."""
    if len(text) > MAX_EXPRESSION:
        raise ValueError(f"a FHIRPath has at most {MAX_EXPRESSION:,} characters")
    reader = _Reader(text)
    evaluate = reader.level(0, first=True)
    if reader.kind != "end":
        raise reader.error(f"cannot read {reader.token!r}")
    return FhirPath(text, evaluate)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = self.operations = 0
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                hint = "; dates and quantities have no literals here" if text[at] == "@" else ""
                raise ValueError(f"{text}: cannot read {text[at]!r}{hint} (character {at + 1})")
            if match.lastgroup != "space":
                self.tokens.append((str(match.lastgroup), match[0], at))
            at = match.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0

    @property
    def kind(self) -> str:
        return self.tokens[self.next][0]

    @property
    def token(self) -> str:
        return self.tokens[self.next][1]

    def error(self, reason: str, at: int | None = None) -> ValueError:
        return ValueError(f"{self.text}: {reason} (character {(self.tokens[self.next][2] if at is None else at) + 1})")

    def skip(self, mark: str) -> bool:
        if self.token != mark or self.kind == "text":
            return False
        self.next += 1
        return True

    def need(self, mark: str) -> None:
        if not self.skip(mark):
            raise self.error(f"expected {mark!r}, found {self.token or 'the end'!r}")

    def count(self) -> None:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise self.error(f"more than {MAX_OPERATIONS} operations")

    def level(self, precedence: int, *, first: bool = False) -> Evaluate:
        """The operators of a precedence and those that bind tighter."""
        if precedence == len(LEVELS):
            return self.sign(first=first)
        left = self.level(precedence + 1, first=first)
        while self.kind in ("mark", "name") and self.token in LEVELS[precedence]:
            mark = self.token
            self.count()
            self.next += 1
            if mark in ("is", "as"):
                left = _typed(left, self.type(), mark)
            else:
                left = _binary(LEVELS[precedence][mark], left, self.level(precedence + 1, first=first))
        return left

    def sign(self, *, first: bool) -> Evaluate:
        if self.skip("-"):
            inner = self.postfix(first=first)
            return lambda focus, run: [-one for one in (number(inner(focus, run), "-"),) if one is not None]
        self.skip("+")
        return self.postfix(first=first)

    def postfix(self, *, first: bool) -> Evaluate:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} brackets within one another")
        left = self.primary(first=first)
        while True:
            self.count()
            if self.skip("."):
                left = self.invocation(left)
            elif self.skip("["):
                left = _indexed(left, self.level(0))
                self.need("]")
            else:
                self.depth -= 1
                return left

    def primary(self, *, first: bool) -> Evaluate:
        kind, written, at = self.tokens[self.next]
        if kind == "number":
            self.next += 1
            return _constant([Decimal(written) if "." in written else int(written)])
        if kind == "text":
            self.next += 1
            return _constant([_ESCAPE.sub(lambda one: _escaped(one[1], one[2]), written[1:-1])])
        if written in ("true", "false"):
            self.next += 1
            return _constant([written == "true"])
        if kind == "variable":
            self.next += 1
            return self.variable(written, at)
        if self.skip("("):
            inner = self.level(0, first=first)
            self.need(")")
            return inner
        if self.skip("{"):
            self.need("}")
            return _constant([])
        if kind == "name":
            return self.invocation(_focus, begins=first or written[:1].isupper())
        raise self.error(f"expected a value, found {written or 'the end'!r}")

    def variable(self, token: str, at: int) -> Evaluate:
        match token:
            case "$this":
                return _focus
            case "$index":
                return lambda focus, run: [run.index]
            case "%resource" | "%rootResource":
                return lambda focus, run: [run.resource]
            case "%context":
                return lambda focus, run: [] if run.context is None else [run.context]
        raise self.error(f"there is no variable {token}", at)

    def invocation(self, left: Evaluate, *, begins: bool = False) -> Evaluate:
        kind, written, at = self.tokens[self.next]
        if kind != "name":
            raise self.error(f"expected a name, found {written or 'the end'!r}")
        self.next += 1
        if self.skip("("):
            return self.call(written, left, at)
        return _member(left, written.strip("`"), begins=begins)

    def call(self, name: str, left: Evaluate, at: int) -> Evaluate:
        if name in ("ofType", "is", "as"):
            found = _typed(left, self.type(), name)
            self.need(")")
            return found
        known = FUNCTIONS.get(name)
        if known is None:
            raise self.error(f"there is no function {name} here", at)
        given: list[Evaluate] = []
        if not self.skip(")"):
            given.append(self.level(0))
            while self.skip(","):
                given.append(self.level(0))
            self.need(")")
        if not known.least <= len(given) <= known.most:
            wanted = str(known.most) if known.least == known.most else f"{known.least} to {known.most}"
            raise self.error(f"{name} takes {wanted} values, not {len(given)}", at)
        run_it, arguments = known.call, tuple(given)
        return lambda focus, run: run_it(left(focus, run), arguments, focus, run)

    def type(self) -> str:
        """The name of a type, with or without FHIR. or System. before it."""
        names = [self.name()]
        while self.skip("."):
            names.append(self.name())
        name = names[-1]
        if name not in PRIMITIVES and name not in COMPLEX and not name[:1].isupper():
            raise self.error(f"there is no type {name}")
        return name

    def name(self) -> str:
        if self.kind != "name":
            raise self.error(f"expected a name, found {self.token or 'the end'!r}")
        self.next += 1
        return self.tokens[self.next - 1][1].strip("`")


def _focus(focus: Items, run: Run) -> Items:
    return focus


def _constant(items: Items) -> Evaluate:
    return lambda focus, run: items


def _escaped(code: str | None, char: str | None) -> str:
    return chr(int(code, 16)) if code else _ESCAPES.get(char or "", char or "")


def _member(left: Evaluate, name: str, *, begins: bool) -> Evaluate:
    """The children of a name; at the beginning it may be the type of the resource itself."""

    def children_of(focus: Items, run: Run) -> Items:
        items = left(focus, run)
        if begins and len(items) == 1 and isinstance(items[0], dict) and items[0].get("resourceType") == name:
            return items
        return run.visit([child for one in items for child in children(one, name)])

    return children_of


def _indexed(left: Evaluate, index: Evaluate) -> Evaluate:
    def indexed(focus: Items, run: Run) -> Items:
        at = whole(index(focus, run), "an index")
        items = left(focus, run)
        return [items[at]] if at is not None and 0 <= at < len(items) else []

    return indexed


def _typed(left: Evaluate, name: str, mark: str) -> Evaluate:
    if mark == "is":

        def is_it(focus: Items, run: Run) -> Items:
            items = left(focus, run)
            return [is_type(single(items, "is"), name)] if items else []

        return is_it
    return lambda focus, run: [one for one in left(focus, run) if is_type(one, name)]


def _binary(call: Any, left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda focus, run: call(left(focus, run), right(focus, run), run)


__all__ = ["FhirPath", "FhirPathError", "parse"]
