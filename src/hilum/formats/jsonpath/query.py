"""What a JSONPath query consists of, and how it finds its nodes (RFC 9535, chapter 2).

A node is a container and a key: (object, name) or (array, index); the root stands in a list of its own. So a
node can be read, written and removed alike. Every value that is looked at counts, so that no query can hang.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from hilum.formats.json_document import equal, number, size

MAX_VISITS: Final = 100_000  # values that one query looks at


class _Missing:
    """Nothing (RFC 9535, 2.4.1): what a query that finds no node stands for."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()

Node = tuple[Any, Any]
Key = str | int


class JsonPathError(ValueError):
    """A query looks at too much. Its text repeats nothing of the document."""


class Run:
    """One evaluation: the document's root, and how much it may still look at."""

    __slots__ = ("left", "root")

    def __init__(self, root: Sequence[Any], left: int = MAX_VISITS) -> None:
        self.root = root
        self.left = left

    def visit(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise JsonPathError(f"a query looks at more than {MAX_VISITS:,} values")


class Selector:
    """One entry of a segment's brackets."""

    def select(self, value: Any, run: Run) -> Sequence[Key]:
        """The keys of those children of `value` that it selects, in order."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, slots=True)
class Name(Selector):
    name: str

    def select(self, value: Any, run: Run) -> Sequence[Key]:
        return (self.name,) if isinstance(value, dict) and self.name in value else ()


@dataclasses.dataclass(frozen=True, slots=True)
class Wildcard(Selector):
    def select(self, value: Any, run: Run) -> Sequence[Key]:
        return _keys(value)


@dataclasses.dataclass(frozen=True, slots=True)
class Index(Selector):
    index: int

    def select(self, value: Any, run: Run) -> Sequence[Key]:
        if not isinstance(value, list):
            return ()
        index = self.index + len(value) if self.index < 0 else self.index
        return (index,) if 0 <= index < len(value) else ()


@dataclasses.dataclass(frozen=True, slots=True)
class Slice(Selector):
    start: int | None
    end: int | None
    step: int | None

    def select(self, value: Any, run: Run) -> Sequence[Key]:
        if not isinstance(value, list) or self.step == 0:
            return ()
        return range(*slice(self.start, self.end, self.step).indices(len(value)))


@dataclasses.dataclass(frozen=True, slots=True)
class Filter(Selector):
    test: Callable[[Any, Run], bool]

    def select(self, value: Any, run: Run) -> Sequence[Key]:
        keys = _keys(value)
        run.visit(len(keys))
        return [key for key in keys if self.test(value[key], run)]


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """`descends`: it selects among all descendants (`..`), not children alone."""

    selectors: tuple[Selector, ...]
    descends: bool = False

    def apply(self, nodes: Sequence[Node], run: Run) -> list[Node]:
        found: list[Node] = []
        values = [container[key] for container, key in nodes]
        run.visit(len(values))
        if not self.descends and len(self.selectors) == 1 and isinstance(self.selectors[0], Name):
            name = self.selectors[0].name  # the most frequent segment by far
            return [(value, name) for value in values if isinstance(value, dict) and name in value]
        for value in values:
            for one in _descendants(value, run) if self.descends else (value,):
                for selector in self.selectors:
                    keys = selector.select(one, run)
                    run.visit(len(keys) + 1)
                    found += [(one, each) for each in keys]
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A compiled query. `keys` are a singular one's names and indexes; None: it may find several nodes."""

    text: str
    relative: bool  # it begins at @, not at $
    segments: tuple[Segment, ...]
    keys: tuple[Key, ...] | None

    @property
    def singular(self) -> bool:
        return self.keys is not None

    def value(self, start: Any) -> Any:
        """What a singular query finds below `start`, or MISSING."""
        for key in self.keys or ():
            if isinstance(key, str):
                if not isinstance(start, dict):
                    return MISSING
                start = start.get(key, MISSING)
                if start is MISSING:
                    return MISSING
            else:
                if not isinstance(start, list) or not -len(start) <= key < len(start):
                    return MISSING
                start = start[key]
        return start

    def read(self, start: Any) -> Any:
        """`value`, with None for what is missing."""
        found = self.value(start)
        return None if found is MISSING else found

    def nodes(self, root: Sequence[Any], start: Node | None = None, run: Run | None = None) -> list[Node]:
        """Every node, in the order of RFC 9535; `start` is where a relative query begins. Raises JsonPathError."""
        run = run or Run(root)
        found: list[Node] = [start if self.relative and start is not None else (run.root, 0)]
        for segment in self.segments:
            found = segment.apply(found, run)
        return found

    def values(self, root: Sequence[Any], start: Node | None = None, run: Run | None = None) -> list[Any]:
        """The values of all nodes. Raises JsonPathError."""
        if self.keys is not None:
            begin = start if self.relative and start is not None else (root, 0)
            one = self.value(begin[0][begin[1]])
            return [] if one is MISSING else [one]
        return [container[key] for container, key in self.nodes(root, start, run)]

    def __str__(self) -> str:
        return self.text


def _keys(value: Any) -> Sequence[Key]:
    if isinstance(value, dict):
        return list(value)
    return range(len(value)) if isinstance(value, list) else ()


def _descendants(value: Any, run: Run) -> Iterator[Any]:
    """`value` and all that is in it, each before its children."""
    stack = [value]
    while stack:
        run.visit()
        one = stack.pop()
        yield one
        if isinstance(one, dict):
            stack += reversed(one.values())
        elif isinstance(one, list):
            stack += reversed(one)


def same(left: Any, right: Any, run: Run) -> bool:
    """`==` of a filter: nothing equals nothing alone."""
    if left is MISSING or right is MISSING:
        return left is right
    if isinstance(left, (dict, list)) and isinstance(right, (dict, list)):
        run.visit(size(left, run.left))
    return equal(left, right)


def less(left: Any, right: Any) -> bool:
    """`<` of a filter: of two numbers, or of two texts by their characters."""
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if not isinstance(left, (int, float, Decimal)) or not isinstance(right, (int, float, Decimal)):
        return False
    return bool(number(left) < number(right))
