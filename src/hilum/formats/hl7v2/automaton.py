"""Whether the segments of a message are exactly a message structure.

Some structures are ambiguous at the first segment of a group (an ORC may begin the next order or a prior
result of this one). Where the matcher of `structure` finds something, this automaton, which follows all
readings at once, has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.hl7v2.structure import ANY, Node

_Part = tuple[set[int], set[int], bool]
"""Where a part of the structure begins, where it ends, and whether it may be left out."""


class Automaton:
    """The positions of a structure and which may follow which (Glushkov's construction).

    A bounded `max` above 1 counts as unbounded; the structures have next to none.
    """

    def __init__(self, structure: Node) -> None:
        self._names: list[str] = []
        self._follow: list[set[int]] = []
        self._first, self._last, self._empty = self._node(structure)

    def accepts(self, names: Sequence[str]) -> bool:
        """Whether `names` are a message of the structure."""
        if not names:
            return self._empty
        reached = self._reach(self._first, names[0])
        for name in names[1:]:
            reached = self._reach(set[int]().union(*(self._follow[at] for at in reached)), name)
        return not reached.isdisjoint(self._last)

    def _reach(self, positions: set[int], name: str) -> set[int]:
        return {at for at in positions if self._names[at] in (name, ANY)}

    def _node(self, node: Node) -> _Part:
        if not node.children:
            first, last, empty = {len(self._names)}, {len(self._names)}, False
            self._names.append(node.name)
            self._follow.append(set())
        elif node.choice:
            first, last, empty = self._choice(node.children)
        else:
            first, last, empty = self._sequence(node.children)
        if node.max != 1:
            for at in last:
                self._follow[at] |= first
        return first, last, empty or node.min == 0

    def _choice(self, children: Sequence[Node]) -> _Part:
        first, last, empty = set[int](), set[int](), False
        for child in children:
            begin, end, optional = self._node(child)
            first |= begin
            last |= end
            empty = empty or optional
        return first, last, empty

    def _sequence(self, children: Sequence[Node]) -> _Part:
        first, last, empty = set[int](), set[int](), True
        for child in children:
            begin, end, optional = self._node(child)
            for at in last:
                self._follow[at] |= begin
            first |= begin if empty else set()
            last = end | last if optional else end
            empty = empty and optional
        return first, last, empty
