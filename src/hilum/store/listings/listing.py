"""What a kind of record says of itself: its columns, who may read it, and how a page of it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from hilum.model.dataset import DataType, Variable
from hilum.security.seal import Sealer

Rows = tuple[list[tuple[Any, ...]], int | None]
"""Rows by their columns, and after which id to go on; None: that was all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Whose records, and from when. Times are microseconds, `until` is excluded; `studies` None: of all.

    `payload`: with the columns that hold what patients told.
    """

    organization: int
    until: int
    since: int = 0
    studies: frozenset[int] | None = None
    payload: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """A kind of record. `read` gives at most so many rows above an id; `private` columns come last, if at all."""

    name: str
    label: str
    permission: str
    variables: tuple[Variable, ...]
    read: Callable[[sa.Connection, Sealer, Window, int, int], Rows]
    private: tuple[Variable, ...] = ()
    payload: str = ""
    """The permission that `private` columns need."""
    by_study: bool = True
    """Can it be told which study a record belongs to?"""

    def columns(self, window: Window) -> tuple[Variable, ...]:
        return self.variables + (self.private if window.payload else ())


def text(name: str, label: str) -> Variable:
    return Variable(name, DataType.STRING, label)


def number(name: str, label: str) -> Variable:
    return Variable(name, DataType.INTEGER, label)


def moment(name: str, label: str) -> Variable:
    """ISO 8601 with microseconds, UTC."""
    return Variable(name, DataType.DATETIME, label)


def yes(name: str, label: str) -> Variable:
    return Variable(name, DataType.BOOLEAN, label)


def milliseconds(name: str, label: str) -> Variable:
    return Variable(name, DataType.DOUBLE, label)
