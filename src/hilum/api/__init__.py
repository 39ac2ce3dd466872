"""The HTTP edge: routes, errors, servers. FastAPI lives here alone."""

from hilum.api.application import create_app
from hilum.api.edge import Edge
from hilum.api.server import Server
from hilum.api.services import Services

__all__ = ["Edge", "Server", "Services", "create_app"]
