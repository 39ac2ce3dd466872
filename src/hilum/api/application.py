"""Two apps with the same routes: one on TCP, for whoever proves who they are, and one on the data folder's socket.

Routes are found by walking `routes`; a module whose `mounts` names prefixes serves there instead of /api/v1.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.api import errors, openapi, routes
from hilum.api.access_log import AccessLog
from hilum.api.cors import Cors
from hilum.api.edge import Edge
from hilum.api.forwarded import Forwarded
from hilum.api.headers import API_VERSION, Headers
from hilum.api.limits import Limits
from hilum.api.methods import Methods
from hilum.api.request_id import RequestId
from hilum.api.services import Services
from hilum.api.sizes import Sizes
from hilum.api.surface import PREFIX
from hilum.api.table import Front, Table
from hilum.api.upgrade import Upgrade


class Application(FastAPI):
    """FastAPI with a document of our own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.router = self._table = _table([*_routes()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette does it: FastAPI's own telemetry is not used."""
        await Starlette.__call__(self, scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Ours around the routes. FastAPI's outermost layers have nothing to do here: RequestId answers all errors."""
        slow = ExceptionMiddleware(AsyncExitStackMiddleware(self._table), handlers=self.exception_handlers)
        app: ASGIApp = Front(self._table, slow)
        for layer, arguments, options in reversed(self.user_middleware):
            app = layer(app, *arguments, **options)
        return app

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of what this app serves."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.document(self)
        return self.openapi_schema


def create_app(services: Services, *, local: bool, edge: Edge | None = None) -> Application:
    """The app for the local socket, or the one for TCP. It keeps nothing of its own: no lifespan to run."""
    edge = edge or Edge()
    app = Application(
        title="Hilum",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_name,
    )
    app.state.services = services
    app.state.local = local
    app.state.docs = local or edge.docs
    app.state.origins = edge.origins
    app.state.limits = Limits(edge)
    errors.install(app)
    app.add_middleware(Methods)  # the innermost first
    app.add_middleware(Sizes, body=edge.body)
    app.add_middleware(Cors, origins=frozenset() if local else edge.origins)
    app.add_middleware(RequestId)
    app.add_middleware(Headers)
    app.add_middleware(AccessLog, answered=services.metrics.answered, logged=edge.logged and not local)
    app.add_middleware(Upgrade)
    app.add_middleware(Forwarded, trusted=() if local else edge.proxies)
    return app


@functools.cache
def _routes() -> tuple[BaseRoute, ...]:
    """The routes as they are served. Both apps have the same ones: what FastAPI makes of them takes half a second."""
    table = _table()
    for module in _found():
        for number, prefix in enumerate(getattr(module, "mounts", (PREFIX,))):
            table.include_router(module.router, prefix=prefix, include_in_schema=not number)
    return tuple(table.routes)


def _table(routes: list[BaseRoute] | None = None) -> Table:
    return Table(routes=routes, redirect_slashes=False, generate_unique_id_function=_name)


def _name(route: APIRoute) -> str:
    """An operation is called as its function is: generated clients get methods that one can say."""
    return route.name


def _found() -> Iterator[ModuleType]:
    for one in sorted(pkgutil.iter_modules(routes.__path__), key=lambda one: one.name):
        yield importlib.import_module(f"{routes.__name__}.{one.name}")
