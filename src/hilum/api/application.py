"""Two apps: a public one that only says how the hub is, and a local one, on the data folder's socket, for all else.

Routes are found by walking `routes`; a module that says `public = True` serves at the root of both apps.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from fastapi import FastAPI

import hilum
from hilum.api import errors, routes
from hilum.api.request_id import RequestId
from hilum.api.services import Services

PREFIX = "/api/v1"


def create_app(services: Services, *, local: bool) -> FastAPI:
    """The app for the local socket, or the one for TCP. It keeps nothing of its own: no lifespan to run."""
    app = FastAPI(
        title="Hilum",
        version=hilum.__version__,
        openapi_url=f"{PREFIX}/openapi.json" if local else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.local = local
    errors.install(app)
    app.add_middleware(RequestId)
    for module in _modules():
        if getattr(module, "public", False):
            app.include_router(module.router)
        elif local:
            app.include_router(module.router, prefix=PREFIX)
    return app


def _modules() -> Iterator[ModuleType]:
    for found in sorted(pkgutil.iter_modules(routes.__path__), key=lambda one: one.name):
        yield importlib.import_module(f"{routes.__name__}.{found.name}")
