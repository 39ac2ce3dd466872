"""Finds out who calls: by the local socket, a bearer token, an API key, or the console's cookie."""

from __future__ import annotations

import hmac
import os

from fastapi import Request

from hilum.api.services import Services, local_name
from hilum.errors import Refused, Unauthenticated
from hilum.model.access import Principal, PrincipalKind, permit
from hilum.model.audit import Act
from hilum.services.identity import Still

COOKIE = "hilum_session"
CSRF = "x-csrf-token"
SOCKET = "hilum.socket"
"""Where a request that is a WebSocket's handshake has the socket, in its scope (upgrade.py)."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def caller(request: Request) -> Principal:
    """Raises Unauthenticated where nobody is known, Refused where a cookie comes from who knows where."""
    services: Services = request.app.state.services
    if request.app.state.local:
        return await _local(request, services)
    shown = _bearer(request)
    if shown is not None:
        return await services.identity.bearer(shown, _source(request))
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise Unauthenticated
    principal, expected = await services.identity.cookie(cookie)
    if SOCKET in request.scope:
        _check_origin(request)
    elif request.method not in _SAFE and not _same(request.headers.get(CSRF, ""), expected):
        raise Refused(f"the header {CSRF} must carry the session's token")
    return principal


async def still(request: Request, act: Act, token: str | None = None) -> Still:
    """Who calls over a connection that stays open, now; by `token` where one was sent meanwhile.

    Raises Unauthenticated, Refused where it is somebody else, or one who may no more what was begun.
    """
    found = await _still(request, token)
    principal = found.principal
    if (principal.kind, principal.id) != (act.principal.kind, act.principal.id):
        raise Refused("this was opened by somebody else")
    if principal.organization != act.organization:  # looks into another one
        permit(principal, "organizations:enter")
    elif permit(principal, request.scope["route"].allowed.permission) != act.scope:
        raise Refused("what you may see has changed: connect again")
    return found


async def _still(request: Request, token: str | None) -> Still:
    services: Services = request.app.state.services
    if request.app.state.local:
        return Still(await _local(request, services), None)
    shown = token or _bearer(request)
    if shown is not None:
        return await services.identity.still(shown, _source(request))
    return await services.identity.still(request.cookies.get(COOKIE, ""), _source(request), cookie=True)


def _bearer(request: Request) -> str | None:
    """What an Authorization header shows; None where there is none. Raises Unauthenticated."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "bearer" or not text:
        raise Unauthenticated("use Authorization: Bearer, with an access token or an API key")
    return text.strip()


def _source(request: Request) -> str:
    return request.client.host if request.client else ""


def _check_origin(request: Request) -> None:
    """A browser sends the cookie with any page's WebSocket, and CORS does not hold there. Raises Refused."""
    origin = request.headers.get("origin", "").lower()
    own = f"{request.scope['scheme']}://{request.headers.get('host', '').lower()}"
    if origin != own and origin not in request.app.state.origins:
        raise Refused("with the console's cookie only the console's own pages may open this")


def _same(shown: str, expected: str) -> bool:
    """In constant time. As bytes: a header may hold more than ASCII."""
    return hmac.compare_digest(shown.encode(), expected.encode())


async def _local(request: Request, services: Services) -> Principal:
    """Whoever may open the socket has the data folder, and with it everything. `organization` picks one by name."""
    organization = await services.names.organization(request.query_params.get("organization"))
    peer = request.client.host if request.client else ""
    name = peer if peer.startswith("local:") else local_name(os.geteuid())
    return Principal(PrincipalKind.LOCAL, name, name, organization)
