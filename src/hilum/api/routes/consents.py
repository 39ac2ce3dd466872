"""A person's consent to an integration, where its partner asks for that (OAuth 2, authorization code with PKCE).

The callback is open without a token: the state that people bring back is their proof.
"""

from __future__ import annotations

import secrets
import uuid
from typing import Annotated, Any

from fastapi import Query, Request, Response

from hilum import telemetry
from hilum.api import cookies, errors, notice
from hilum.api.callers import COOKIE
from hilum.api.items import Items
from hilum.api.services import Services, Used
from hilum.api.surface import PREFIX, Acting, Surface, allow, open_to_all
from hilum.errors import HilumError, Refused, Unauthenticated
from hilum.model.access import Principal
from hilum.model.audit import Act, Outcome
from hilum.services.consents import WAIT, Begun, ConsentView, Given, Revoked

router = Surface(tag="integrations")
BROWSER = "hilum_oauth"
Short = Annotated[str, Query(max_length=4_096)]
Endpoint = Annotated[
    str | None, Query(max_length=63, description="By name, where its endpoints have consents of their own.")
]


@router.post("/integrations/{integration_id}/authorize")
@allow("integrations:write", audits="consent.begin", fails=(400, 504))
async def authorize_integration(
    services: Used,
    act: Acting,
    request: Request,
    response: Response,
    integration_id: uuid.UUID,
    endpoint: Endpoint = None,
) -> Begun:
    """Where a person goes, in a browser, to let the hub in. They come back to the hub within ten minutes."""
    act.entity = f"integration/{integration_id}"
    mark = None
    if COOKIE in request.cookies and "authorization" not in request.headers:  # a page's own browser
        mark = request.cookies.get(BROWSER) or secrets.token_urlsafe(24)
        cookies.put(request, response, BROWSER, mark, WAIT, PREFIX)
    return await services.consents.begin(act, integration_id, endpoint, mark)


@router.get("/integrations/{integration_id}/consents")
@allow("integrations:read", audits="consent.list")
async def list_consents(services: Used, act: Acting, integration_id: uuid.UUID) -> Items[ConsentView]:
    """Every consent that it needs, and whether people gave it: who, when and to what. Tokens are never shown."""
    act.entity = f"integration/{integration_id}"
    return Items(items=await services.consents.listed(act.scope, integration_id))


@router.delete("/integrations/{integration_id}/consents")
@allow("integrations:write", audits="consent.revoke", fails=(400,))
async def revoke_consents(
    services: Used, act: Acting, integration_id: uuid.UUID, endpoint: Endpoint = None
) -> Revoked:  # fmt: skip
    """Forget the tokens, and tell the authorization server (RFC 7009) where it has an address for that."""
    act.entity = f"integration/{integration_id}"
    return await services.consents.revoke(act, integration_id, endpoint)


_PAGES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.get("/oauth/callback", response_model=Given, responses=_PAGES)
@open_to_all(audits="consent.answer", fails=(403, 409, 502, 504))
async def oauth_callback(
    services: Used,
    act: Acting,
    request: Request,
    state: Short = "",
    code: Short = "",
    error: Short = "",
    iss: Annotated[str | None, Query(max_length=2_000, description="RFC 9207.")] = None,
) -> Any:
    """What a person's consent came to: a page for browsers, JSON for others."""
    browser = request.cookies.get(BROWSER)
    try:
        given = await services.consents.finish(
            act, state=state, code=code, error=error, issuer=iss, browser=browser, seen=await _seen(request, services)
        )  # fmt: skip
    except HilumError as failure:
        if not notice.wanted(request):
            raise
        return await _failed(request, services, act, failure)
    if not notice.wanted(request):
        return given
    lines = [f"{given.integration} may use: {' '.join(given.scopes) or 'what the server allows by default'}."]
    if given.lacking:
        lines.append(f"It was not given: {' '.join(given.lacking)}.")
    return notice.page(200, "Authorized", [*lines, "You can close this page."])


async def _seen(request: Request, services: Services) -> Principal | None:
    """Who is signed in to this browser."""
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return None
    try:
        return (await services.identity.cookie(cookie))[0]
    except Unauthenticated:
        return None


async def _failed(request: Request, services: Services, act: Act, failure: HilumError) -> Response:
    """As a page. The event is stored here, because the page is no error to those who look at exceptions."""
    kind = errors.kind_of(failure)
    outcome = Outcome.DENIED if isinstance(failure, Refused) else Outcome.FAILURE
    text = telemetry.mask(str(failure))
    await services.record(act, outcome=outcome, code=errors.code(request.url.path, kind), error=text)
    return notice.page(kind.status, "Not authorized", [errors.GENERIC if kind.status == 503 else text])
