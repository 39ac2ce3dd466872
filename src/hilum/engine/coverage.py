"""Looks at the messages that came since the last checkpoints, so that the next ones cover their ids and body hashes."""

from __future__ import annotations

import asyncio
import bisect
import dataclasses
from collections.abc import Mapping

from hilum.engine.standing import Standing
from hilum.security.chain import Tree
from hilum.store import Connection, Store, chain
from hilum.store.chain import Frontier

_ROWS = 1_000  # hashed in one go, on a reader's thread
_PAUSE = 0.005  # seconds between: the way of a message goes first
Ranges = list[tuple[int, int]]


@dataclasses.dataclass(slots=True)
class Cover:
    """The messages of one organization."""

    tree: Tree = dataclasses.field(default_factory=Tree)
    ranges: Ranges = dataclasses.field(default_factory=list)

    def add(self, first: int, last: int) -> None:
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = (self.ranges[-1][0], last)
        else:
            self.ranges.append((first, last))


@dataclasses.dataclass(slots=True)
class Coverage:
    """What one look found, by organization, and how far it went."""

    covers: dict[int, Cover]
    reached: Frontier


async def look(store: Store, frontier: Frontier, known: Mapping[int, Standing]) -> Coverage:
    """Hash every message above the frontier. What a checkpoint of `known` covers already is left out."""
    taken = {number: sorted(one.ranges) for number, one in known.items()}
    found = _Look(frontier.copy(), taken)
    for block, end in sorted(frontier.ends.items()):
        await _window(store, found, end, frontier.last(block))
    if frontier.span:
        await _window(store, found, frontier.after, None)
    return Coverage(found.finish(), found.reached)


async def _window(store: Store, found: _Look, after: int, last: int | None) -> None:
    while True:
        count, after = await store.read(found.take, after, last)
        if count < _ROWS:
            return
        await asyncio.sleep(_PAUSE)


class _Look:
    def __init__(self, reached: Frontier, taken: Mapping[int, Ranges]) -> None:
        self.reached = reached
        self._before = reached.copy()
        self._taken = taken
        self._covers: dict[int, Cover] = {}
        self._owners: dict[int, set[int]] = {}  # organizations by block

    def take(self, connection: Connection, after: int, last: int | None) -> tuple[int, int]:
        """Hash some rows; how many there were, and where to go on."""
        rows = chain.message_rows(connection, after, last, _ROWS)
        for row, owner, identifier, digest in rows:
            block = self.reached.block(row)
            self.reached.advance(block, row)
            if not _within(self._taken.get(owner, ()), row):
                self._covers.setdefault(owner, Cover()).tree.add(identifier + digest)
                self._owners.setdefault(block, set()).add(owner)
        return len(rows), rows[-1][0] if rows else after

    def finish(self) -> dict[int, Cover]:
        """Say which rows each organization's cover means."""
        for block in sorted(self._owners):
            first = self._before.ends.get(block, block - 1) + 1
            last = self.reached.ends.get(block, self.reached.last(block) or 0)
            for owner in self._owners[block]:
                free = _above(self._taken.get(owner, ()), first)
                self._covers[owner].add(free, last)
        return self._covers


def _within(ranges: Ranges | tuple[()], row: int) -> bool:
    place = bisect.bisect_right(ranges, (row, 1 << 62)) - 1
    return place >= 0 and row <= ranges[place][1]


def _above(ranges: Ranges | tuple[()], first: int) -> int:
    """The first row from `first` on that no range has."""
    for low, high in ranges:
        if low <= first <= high:
            first = high + 1
    return first
