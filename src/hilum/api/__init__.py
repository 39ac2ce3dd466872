"""The HTTP edge: routes, errors, servers. FastAPI lives here alone."""

from hilum.api.application import create_app
from hilum.api.server import Server
from hilum.api.services import Services

__all__ = ["Server", "Services", "create_app"]
