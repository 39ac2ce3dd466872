"""Signing in with an organization's own OpenID Connect provider: there and back again, in one browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from hilum.api import cookies
from hilum.api.services import Used
from hilum.api.surface import PREFIX, Acting, Surface, open_to_all
from hilum.api.texts import Name
from hilum.errors import Unauthenticated
from hilum.services.oidc import WAIT, WRONG

router = Surface("/auth/oidc", tag="auth")
PENDING = "hilum_oidc"
PATH = f"{PREFIX}/auth/oidc"
Short = Annotated[str, Query(max_length=4_096)]


@router.get("/{organization}/start", status_code=303, response_class=RedirectResponse)
@open_to_all(audits="session.begin", fails=(404, 502, 504))
async def start(
    services: Used,
    act: Acting,
    request: Request,
    organization: Name,
    to: Annotated[str, Query(pattern=r"^/([^/\\\s][^\\\s]*)?$", max_length=500, description="Where to go then.")] = "/",
) -> Response:
    """Send the browser to the organization's provider."""
    seen = f"{request.url.scheme}://{request.url.netloc}"
    begun = await services.oidc.begin(act, organization, seen, f"{PATH}/callback", to)
    response = RedirectResponse(begun.url, 303)
    cookies.put(request, response, PENDING, begun.cookie, WAIT, PATH)
    return response


@router.get("/callback", status_code=303, response_class=RedirectResponse)
@open_to_all(audits="session.create", fails=(401,))
async def callback(
    services: Used,
    act: Acting,
    request: Request,
    state: Short = "",
    code: Short = "",
    error: Short = "",
    iss: Annotated[str | None, Query(max_length=300, description="RFC 9207.")] = None,
) -> Response:
    """Where the provider sends the browser back to: a session, and on to where it was going."""
    pending = request.cookies.get(PENDING)
    if error or not pending or not code:
        act.details["why"] = "the provider refused" if error else "nothing was begun in this browser"
        raise Unauthenticated(WRONG)
    opened, back = await services.oidc.finish(act, pending, state, code, iss)
    response = RedirectResponse(back, 303)
    cookies.open_session(request, response, opened)
    response.delete_cookie(PENDING, path=PATH, secure=cookies.encrypted(request), httponly=True, samesite="lax")
    return response
