"""The order of segments: the tree of a message structure, and one pass that holds a message to it.

Every segment is looked up from where the last one stood (its own place again, what may follow, a repetition
of a group around it), so the work grows with the number of segments, not with their square.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

ANY = "*"
"""In a structure: any segment of the version stands here."""

Fault = Literal["missing", "order", "repeats", "unexpected"]


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A segment or a group of a structure; `max` -1 is unbounded."""

    name: str
    min: int
    max: int
    children: tuple[Node, ...] = ()
    choice: bool = False
    """One of the children, not all of them in order."""

    needed: bool = dataclasses.field(init=False, compare=False, repr=False)
    """Required, and not all in it is optional."""
    first: frozenset[str] = dataclasses.field(init=False, compare=False, repr=False)
    """The segments that it may begin with."""
    leads: frozenset[str] = dataclasses.field(init=False, compare=False, repr=False)
    """Those of them that it begins with where nothing is left out."""
    names: frozenset[str] = dataclasses.field(init=False, compare=False, repr=False)
    """All segments in it."""

    def __post_init__(self) -> None:
        derive = object.__setattr__
        inside = (child.needed for child in self.children)
        filled = not self.children or (all(inside) if self.choice else any(inside))
        derive(self, "needed", self.min > 0 and filled)
        derive(self, "first", frozenset(self._first()))
        own = frozenset(() if self.children else (self.name,))
        leading = self.children if self.choice else self.children[:1]
        derive(self, "leads", own.union(*(child.leads for child in leading)))
        derive(self, "names", own.union(*(child.names for child in self.children)))

    def _first(self) -> Iterator[str]:
        if not self.children:
            yield self.name
        for child in self.children:
            yield from child.first
            if child.needed and not self.choice:
                return

    def required(self) -> str:
        """The segment to name when this is missing."""
        if not self.children:
            return self.name
        return next((child for child in self.children if child.needed), self.children[0]).required()


def node(name: str, rows: list[Any]) -> Node:
    """The tree of packed `rows`: `[name, min, max]` a segment, `[name, min, max, rows, choice?]` a group."""
    return Node(name, 1, 1, tuple(_child(row) for row in rows))


def _child(row: list[Any]) -> Node:
    if len(row) == 3:
        return Node(*row)
    return Node(row[0], row[1], row[2], tuple(_child(one) for one in row[3]), len(row) == 5)


@dataclasses.dataclass(frozen=True, slots=True)
class Misfit:
    """A segment that is not where the structure wants it; `at` is its place in the message, -1 if missing."""

    fault: Fault
    segment: str
    at: int
    group: str = ""


@dataclasses.dataclass(slots=True)
class _Frame:
    """An open group: the child that was met last, and how often."""

    group: Node
    at: int = -1
    count: int = 0


class Matcher:
    """Holds the segments of one message to one structure."""

    def __init__(self, structure: Node) -> None:
        self._structure = structure
        self._stack = [_Frame(structure)]
        self._misfits: list[Misfit] = []
        self._left: Counter[str] = Counter()
        self._met: set[str] = set()
        self._astray: set[str] = set()

    def match(self, names: Sequence[str]) -> list[Misfit]:
        """The misfits of a message with the segments `names`, as they are noticed."""
        self._left = Counter(names)
        for at, name in enumerate(names):
            self._left[name] -= 1
            if not (self._step(name) or self._step(ANY) or self._leap(name)):
                self._misfits.append(self._misfit(name, at))
        while self._stack:
            frame = self._stack.pop()
            self._skip(self._rest(frame))
        return self._misfits

    def _step(self, name: str) -> bool:
        """Moves on to `name` where nothing required lies between.

        A place that it leads comes first: an ORC begins the next order, not a prior result of this one.
        """
        return self._move(name, leading=True) or self._move(name, leading=False)

    def _move(self, name: str, *, leading: bool) -> bool:
        for depth in range(len(self._stack) - 1, -1, -1):
            frame = self._stack[depth]
            children = frame.group.children
            if frame.at >= 0 and self._room(frame) and _begins(children[frame.at], name, leading):
                self._enter(depth, frame.at, name)
                return True
            for at in self._later(frame):
                if _begins(children[at], name, leading):
                    self._enter(depth, at, name)
                    return True
                if children[at].needed and not frame.group.choice:
                    return False
        return False

    def _leap(self, name: str) -> bool:
        """Moves on to `name` over required segments, unless these come later: then `name` stands wrong."""
        if name not in self._structure.names:
            return False
        skipped: list[Node] = []
        for depth in range(len(self._stack) - 1, -1, -1):
            frame = self._stack[depth]
            if frame.at >= 0 and name in self._met and self._room(frame):
                child = frame.group.children[frame.at]
                if child.children and name in child.names:  # the group begins anew without its first segment
                    return self._land(depth, frame.at, name, skipped)
            for at in self._later(frame):
                child = frame.group.children[at]
                if name in child.names:
                    return self._land(depth, at, name, skipped)
                if child.needed and not frame.group.choice:
                    skipped.append(child)
        return False

    def _land(self, depth: int, at: int, name: str, skipped: list[Node]) -> bool:
        inside = list(_before(self._stack[depth].group.children[at], name))
        if any(self._left[node.required()] > 0 for node in (*skipped, *inside)):
            return False
        self._skip([*skipped, *inside])
        self._enter(depth, at, name)
        return True

    def _enter(self, depth: int, at: int, name: str) -> None:
        """Closes the groups inside `depth` and opens those that lead to `name` in child `at`."""
        self._met.add(name)
        del self._stack[depth + 1 :]
        frame = self._stack[depth]
        frame.count = frame.count + 1 if frame.at == at else 1
        frame.at = at
        child = frame.group.children[at]
        while child.children:
            chosen = next((i for i, one in enumerate(child.children) if name in one.first), None)
            if chosen is None:
                chosen = next(i for i, one in enumerate(child.children) if name in one.names)
            self._stack.append(_Frame(child, chosen, 1))
            child = child.children[chosen]

    @staticmethod
    def _room(frame: _Frame) -> bool:
        most = frame.group.children[frame.at].max
        return most < 0 or frame.count < most

    @staticmethod
    def _later(frame: _Frame) -> range:
        """The children that may follow the one met last."""
        if frame.group.choice and frame.at >= 0:
            return range(0)
        return range(frame.at + 1, len(frame.group.children))

    def _rest(self, frame: _Frame) -> list[Node]:
        if frame.group.choice:
            return []
        return [child for child in frame.group.children[frame.at + 1 :] if child.needed]

    def _skip(self, nodes: Sequence[Node]) -> None:
        for one in nodes:
            segment = one.required()
            if segment not in self._astray and segment != ANY:
                self._misfits.append(Misfit("missing", segment, -1, one.name if one.children else ""))

    def _misfit(self, name: str, at: int) -> Misfit:
        if name not in self._structure.names:
            return Misfit("unexpected", name, at)
        self._astray.add(name)
        for frame in self._stack:
            if frame.at >= 0 and name in frame.group.children[frame.at].first and not self._room(frame):
                return Misfit("repeats", name, at)
        return Misfit("order", name, at)


def _before(child: Node, name: str) -> Iterator[Node]:
    """What `child` requires before its first `name`."""
    while child.children:
        for one in child.children:
            if name in one.names:
                child = one
                break
            if one.needed and not child.choice:
                yield one
        else:
            return


def _begins(node: Node, name: str, leading: bool) -> bool:
    return name in (node.leads if leading else node.first)
