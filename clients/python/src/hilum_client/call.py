"""A call says what is asked of the hub and sends nothing: `calls` makes one, a hub answers it.

`calls.py` and `models.py` are generated from the hub's OpenAPI document by generate.py; all else is written by hand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

MOST = 100  # items that the hub puts on a page
T = TypeVar("T")
P = TypeVar("P")


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; T is what a good answer holds. What is None in `query` and `headers` is left out."""

    method: str
    path: str
    query: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    body: Any = None
    keyed: bool = False  # whether the hub knows a repetition of it by its Idempotency-Key

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again where nobody knows what became of it."""
        return self.method == "GET" or self.keyed


@dataclasses.dataclass(frozen=True, slots=True)
class Listing(Call[P], Generic[P, T]):
    """A call whose answer P is a page of T."""

    def full(self) -> Self:
        """With as many items a page as there may be, unless it says how many."""
        name = "limit" if "size" not in self.query else "size"
        if any(self.query.get(one) is not None for one in ("size", "limit")):
            return self
        return dataclasses.replace(self, query={**self.query, name: MOST})

    def items(self, page: Any) -> list[T]:
        """What is on a page."""
        found: list[T] = page["items"] if "items" in page else page["data"]
        return found

    def after(self, page: Any) -> Self | None:
        """The call for the page after this one; None after the last. A page with `next` may be empty."""
        if "before" in self.query:
            return None if page["next"] is None else self._at("before", page["next"])
        place = page.get("pagination", page)
        last = place["totalPages"] if "totalPages" in place else place["pages"]
        return self._at("page", place["page"] + 1) if place["page"] < last else None

    def _at(self, name: str, place: Any) -> Self:
        return dataclasses.replace(self, query={**self.query, name: place})


@dataclasses.dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came back: the data, and what stands in the answer's headers."""

    data: T
    status: int
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        """The version that `data` is, for If-Match; empty where it has none."""
        return self.headers.get("etag", "")

    @property
    def request_id(self) -> str:
        """By which the hub's log and its audit trail know this request."""
        return self.headers.get("x-request-id", "")


def segment(value: object) -> str:
    """A part of a path."""
    return quote(str(value), safe="")
