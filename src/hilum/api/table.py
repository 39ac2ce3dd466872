"""Finds the route of a request by its noun. FastAPI tries one router after the other, and then once more."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.api.surface import PREFIX, Guarded

_FOUND = "hilum.route"


class Table(APIRouter):
    """The application's router. Whatever is not in the table (404, 405) FastAPI answers as ever."""

    _nouns: dict[str, list[RouteContext]] | None = None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that the front looked at."""
        found = scope.get(_FOUND)
        await (super().app if found is None else found.app)(scope, receive, send)

    def find(self, scope: Scope) -> RouteContext | None:
        """The route of a request; says in its scope what Starlette's routes say there."""
        path, method = scope["path"], scope["method"]
        if self._nouns is None:
            self._nouns = self._read(scope["app"])
        for one in self._nouns.get(_noun(path), ()):
            found = one.path_regex.match(path) if method in (one.methods or ()) else None
            if found is not None:
                route: Any = one.original_route
                given = {name: one.param_convertors[name].convert(text) for name, text in found.groupdict().items()}
                scope.update(route=route, endpoint=route.endpoint, path_params=given, router=self)
                return one
        return None

    def _read(self, app: Any) -> dict[str, list[RouteContext]]:
        nouns: dict[str, list[RouteContext]] = {}
        for one in iter_route_contexts(self.routes):
            route = one.original_route
            if isinstance(route, Guarded) and not route.hidden(app):
                nouns.setdefault(_noun(str(one.path_format)), []).append(one)
        return nouns


class Front:
    """Serves what a plan answers (calls.py), and leaves the rest to FastAPI with the layers that it needs."""

    def __init__(self, table: Table, rest: ASGIApp) -> None:
        self._table = table
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._table.find(scope) if scope["type"] == "http" else None
        route: Any = None if found is None else found.original_route
        if route is not None and route.quick:
            await route.serve(scope, receive, send)
            return
        scope[_FOUND] = found
        await self._rest(scope, receive, send)


def _noun(path: str) -> str:
    return path.removeprefix(PREFIX)[1:].partition("/")[0]
