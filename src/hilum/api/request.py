"""A request whose headers are looked up in a table: Starlette goes through all of them each time."""

from __future__ import annotations

import functools

from fastapi import Request
from starlette.datastructures import Headers


class QuickHeaders(Headers):
    """Headers that are looked for more often than they are changed: never, in a request."""

    @functools.cached_property
    def _first(self) -> dict[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self.raw)}

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]  # of a mapping of text
        """The first header of that name."""
        return self._first.get(key.lower(), default)


class QuickRequest(Request):
    """A request that the guard and its helpers look many headers up in."""

    @functools.cached_property
    def headers(self) -> Headers:
        return QuickHeaders(scope=self.scope)
