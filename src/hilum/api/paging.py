"""Lists by page: 20 items a page, 100 at most; more is an error, never cut down in silence (ledger S0-49).

    async def list_studies(services: Used, act: Acting, paging: Paging) -> Page[Study]:
        items, total = await services.studies.list(act.scope, paging.offset, paging.limit)
        return Page[Study].of(items, total, paging)

The answer's Link header (RFC 8288) has the first, previous, next and last page, as far as there are such.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated, Generic, Self, TypeVar
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from hilum.api.errors import Invalid

SIZE = 20
MOST = 100
_LAST = 1_000_000_000  # so that an offset is a number that every database knows
_UNSAFE = re.compile(r"[^\x21-\x7e ]")  # a query as it came may hold what no header may
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The page that somebody asks for, from 1, and how many items it has."""

    page: int
    size: int
    request: Request
    response: Response

    @property
    def offset(self) -> int:
        """How many items stand before this page."""
        return (self.page - 1) * self.size

    @property
    def limit(self) -> int:
        return self.size

    def link(self, pages: int) -> None:
        """Name the neighbours in the answer's Link header. The targets are relative: no proxy can spoil them."""
        scope = self.request.scope
        query = scope["query_string"].decode("latin-1")
        rest = "".join(f"&{one}" for one in query.split("&") if one and not one.startswith("page="))
        wanted = (("first", 1), ("prev", min(self.page - 1, pages)), ("next", self.page + 1), ("last", pages))
        path = quote(scope["path"])
        there = [f'<{path}?page={page}{rest}>; rel="{name}"' for name, page in wanted if 1 <= page <= pages]
        if there:
            self.response.headers["link"] = _UNSAFE.sub("", ", ".join(there))


async def asked(
    request: Request,
    response: Response,
    page: Annotated[int, Query(ge=1, le=_LAST, description="The page, from 1.")] = 1,
    size: Annotated[int, Query(ge=1, le=MOST, description="Items on a page.")] = SIZE,
    limit: Annotated[int | None, Query(ge=1, le=MOST, description="Another name of `size`.")] = None,
) -> Asked:
    """Raises Invalid where `size` and `limit` disagree."""
    if limit is not None and limit != size and "size" in request.query_params:
        raise Invalid("limit is another name of size: give one of them", field="limit")
    return Asked(page, size if limit is None else limit, request, response)


Paging = Annotated[Asked, Depends(asked)]


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    total: int = Field(..., ge=0, description="Items on all pages.")
    page: int = Field(..., ge=1, description="This page, from 1.")
    size: int = Field(..., ge=1, le=MOST, description="Items on a full page.")
    pages: int = Field(..., ge=0, description="How many pages there are.")

    @classmethod
    def of(cls, items: Sequence[T], total: int, paging: Asked) -> Self:
        """The page that was asked for; sets the answer's Link header."""
        pages = -(-total // paging.size)
        paging.link(pages)
        return cls(items=list(items), total=total, page=paging.page, size=paging.size, pages=pages)

    @classmethod
    def cut(cls, whole: Sequence[T], paging: Asked) -> Self:
        """The page that was asked for, of a list that is at hand as a whole."""
        return cls.of(whole[paging.offset : paging.offset + paging.limit], len(whole), paging)
