"""Lists from the newest row down, by stretches of ids: a filter that few rows match must not read the whole table.

An index for every filter would cost each message a page of its own (4 KB where messages come one by one). So a list
looks through a bounded number of ids and then says where to go on, however little it found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

STRETCH = 20_000
MOST = 200_000
"""Ids that one request looks through: some 50 milliseconds of a database where nothing matches."""

T = TypeVar("T")


def look_back(
    look: Callable[[int, int, int], list[T]], top: int, limit: int, most: int = MOST
) -> tuple[list[T], int | None]:
    """The newest rows below id `top`, and below which id to go on; None: there is nothing more, or the page is full.

    `look` finds the newest rows below its first argument and not below its second, at most as many as its third says.
    """
    found: list[T] = []
    bottom = max(top - most, 0)
    while len(found) < limit and top > bottom:
        floor = max(top - STRETCH, bottom)
        found += look(top, floor, limit - len(found))
        top = floor
    return found, top if len(found) < limit and top > 0 else None
