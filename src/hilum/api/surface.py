"""What every route has without asking for it: a known caller, its right to be here, and an audit event.

    router = Surface("/studies")

    @router.get("")
    @allow("studies:read", audits="study.list")
    async def list_studies(services: Used, act: Acting) -> Page[Study]: ...

A route function that says neither `allow` nor `open_to_all` cannot be defined. An event is stored before the response
leaves: with the change itself where there was one (`Within.change`), else by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Send
from starlette.types import Scope as Asked

from hilum import telemetry
from hilum.api import callers, errors, idempotency, limits, media, preconditions, texts
from hilum.api.calls import Quick
from hilum.api.ending import Ending
from hilum.api.injection import injected
from hilum.api.json_body import JsonRequest
from hilum.api.request import QuickRequest
from hilum.api.services import Services, Used
from hilum.errors import HilumError, Refused, Unauthenticated
from hilum.model.access import NOBODY, PERMISSIONS, SYSTEM, Principal, Scope, permit
from hilum.model.audit import Act, Outcome

F = TypeVar("F", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
PREFIX = "/api/v1"
REASON = "x-reason"
SIGNATURE = "x-signature"
APPROVAL = "x-approval"
ELSEWHERE = "x-organization"


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """What a route declares. `permission` None: whoever comes. `action` None: nothing of an organization is touched."""

    permission: str | None
    action: str | None
    key_needed: bool = False  # only with an Idempotency-Key
    local: bool = False  # on the data folder's socket alone
    socket: bool = False  # a WebSocket, and nothing else
    body: int | None = None  # bytes that its body may have, where that is more than usual
    fails: tuple[int, ...] = ()  # statuses that the OpenAPI document cannot find out by itself
    ending: Ending | None = None  # deprecated, and gone one day


def allow(
    permission: str,
    *,
    audits: str,
    key_needed: bool = False,
    local: bool = False,
    socket: bool = False,
    body: int | None = None,
    fails: tuple[int, ...] = (),
    ending: Ending | None = None,
) -> Callable[[F], F]:
    """Who may call this, and the action that its audit event names. Raises KeyError where there is no permission."""
    PERMISSIONS[permission]
    return _declare(Allowed(permission, audits, key_needed, local, socket, body, fails, ending))


def open_to_all(*, audits: str | None = None, body: int | None = None, fails: tuple[int, ...] = ()) -> Callable[[F], F]:
    """Anybody may call this; the few that there are stand in a test."""
    return _declare(Allowed(None, audits, body=body, fails=fails))


def _declare(allowed: Allowed) -> Callable[[F], F]:
    def mark(function: F) -> F:
        function.__allowed__ = allowed  # type: ignore[attr-defined]  # read by Guarded
        return function

    return mark


class Guarded(APIRoute):
    """A route that knows its caller. Raises TypeError where its function declares nothing."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        allowed = getattr(endpoint, "__allowed__", None)
        if not isinstance(allowed, Allowed):
            name = f"{endpoint.__module__}.{endpoint.__qualname__}"
            raise TypeError(f"{name} must say @allow(permission, audits=…) or @open_to_all()")
        self.allowed = allowed
        if allowed.ending:
            options["deprecated"] = True
        super().__init__(path, injected(endpoint, _FINDERS), **options)
        self.produces, self.takes_json = media.produced(self), media.takes_json(self)
        self.quick = Quick.of(self)

    def hidden(self, app: Any) -> bool:
        """Whether this app does not have it: what is for the hub's own machine is not there for others."""
        return self.allowed.local and not app.state.local

    def matches(self, scope: Asked) -> tuple[Match, Asked]:
        return (Match.NONE, {}) if self.hidden(scope["app"]) else super().matches(scope)

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if self.takes_json:
                request = JsonRequest(request.scope, request.receive)
            return await guard(request, self, handle)

        return guarded

    async def serve(self, scope: Asked, receive: Receive, send: Send) -> None:
        """What `quick` routes are served by, past FastAPI."""
        request = QuickRequest(scope, receive, send)
        try:
            response = await guard(request, self, self.quick.answer)  # type: ignore[union-attr]  # only quick ones are served here
        except Exception as error:  # as FastAPI answers, which is not asked here
            response = errors.answer(request, error)
        await response(scope, receive, send)


class Surface(APIRouter):
    """The routes of one noun."""

    def __init__(self, prefix: str = "", *, tag: str | None = None) -> None:
        super().__init__(prefix=prefix, tags=[tag or prefix.strip("/").partition("/")[0]], route_class=Guarded)

    def matches(self, scope: Asked) -> tuple[Match, Asked]:
        """Most requests are for another noun: then no route's pattern needs to be tried."""
        return super().matches(scope) if self.prefix in scope["path"] else (Match.NONE, {})

    def add_api_websocket_route(self, path: str, endpoint: Callable[..., Any], *_: Any, **__: Any) -> None:
        """Raises TypeError: such a route would know no caller."""
        raise TypeError(f"{endpoint.__qualname__} must be a GET that says @allow(permission, audits=…, socket=True)")


def served(app: Any) -> Iterator[tuple[str, str, Guarded]]:
    """Every method, path and route that an app has."""
    for one in iter_route_contexts(app.routes):
        route = one.original_route
        if isinstance(route, Guarded) and not route.hidden(app):
            yield from ((method, str(one.path_format), route) for method in sorted(route.methods or ()))


async def guard(request: Request, route: Guarded, handle: Handler) -> Response:
    """Find the caller, check the right, limit, answer; then store the event. Denied and failed ones get one too."""
    allowed = route.allowed
    act = Act(NOBODY, Scope(SYSTEM), allowed.action or "", request.state.request_id, _source(request))
    request.state.act = act
    request.state.template = PREFIX + route.path if request.scope["path"].startswith(PREFIX) else route.path
    if allowed.ending:
        request.state.ending = allowed.ending.headers
    try:
        response = await _answer(request, act, route, handle)
    except Exception as error:
        if allowed.action is not None and not act.recorded and not isinstance(error, limits.Flood):
            await record_failure(request, act, error)
        raise
    if allowed.action is not None and not act.recorded:
        await request.app.state.services.record(act)
    return preconditions.unchanged(request, response) if request.method == "GET" else response


async def _answer(request: Request, act: Act, route: Guarded, handle: Handler) -> Response:
    allowed = route.allowed
    if allowed.permission is None:
        if allowed.action is not None:  # sign-in and its like: who tries passwords is slowed down
            limits.check_source(request, act.source)
        _check_form(request, route)
        return await handle(request)
    act.principal = await known(request)
    act.scope = Scope(act.principal.organization)
    limits.check(request, act.principal)
    act.reason = _text(request.headers.get(REASON, ""))
    if ELSEWHERE in request.headers and not request.app.state.local:
        await _enter(request, act)
    act.scope = permit(act.principal, allowed.permission)
    act.signature, act.approval = request.headers.get(SIGNATURE, "")[:36], request.headers.get(APPROVAL, "")[:36]
    _check_form(request, route)
    if allowed.socket:
        limits.hold(request, act.principal)
    return await idempotency.once(request, act, allowed.key_needed, handle)


async def _enter(request: Request, act: Act) -> None:
    """Whoever runs the hub looks into the organization that he names. Raises Refused, ReasonNeeded, NotFound."""
    if request.method != "GET":
        raise Refused("in another organization one looks, and changes nothing")
    services: Services = request.app.state.services
    act.principal = await services.organizations.enter(act, _text(request.headers[ELSEWHERE]))
    act.scope = Scope(act.principal.organization)


async def known(request: Request) -> Principal:
    """Who calls. Raises Unauthenticated; where that happens too often, Flood."""
    try:
        return await callers.caller(request)
    except Unauthenticated:
        limits.check_source(request, _source(request))
        raise


def _check_form(request: Request, route: Guarded) -> None:
    """Raises Invalid, HTTPException 406, 415 and 426: what no route could make sense of."""
    if b"%00" in request.scope["query_string"] or "\0" in request.scope["path"]:
        raise errors.Invalid("a NUL character means nothing here", field="query")
    _check_socket(request, route)
    media.check_accepted(request, route.produces)
    if route.takes_json:
        media.check_json(request)
    if route.allowed.body is not None:
        request.state.meter.limit = max(route.allowed.body, request.state.meter.limit)


def _check_socket(request: Request, route: Guarded) -> None:
    """Raises Invalid, HTTPException 426. What an answer to a handshake would be, is held until it is whole."""
    if (callers.SOCKET in request.scope) == route.allowed.socket:
        return
    if route.allowed.socket:
        raise HTTPException(426, "this is a WebSocket", {"upgrade": "websocket", "sec-websocket-version": "13"})
    raise errors.Invalid("this is no WebSocket", field="upgrade")


def _text(header: str) -> str:
    """What a person wrote into a header: UTF-8, which HTTP's own reading takes for Latin-1."""
    with contextlib.suppress(UnicodeError):
        header = header.encode("latin-1").decode()
    return texts.seen(header)[:500]


async def record_failure(request: Request, act: Act, error: Exception) -> None:
    """The event of an act that came to nothing."""
    kind = errors.kind_of(error)
    refused = isinstance(error, Refused | Unauthenticated) or kind.status in (401, 403)
    text = str(error) if isinstance(error, HilumError) else kind.title
    if isinstance(error, RequestValidationError | HTTPException):
        text = kind.title  # what was sent is not repeated: it may name a patient
    outcome = Outcome.DENIED if refused else Outcome.FAILURE
    code = errors.code(request.url.path, kind)
    await request.app.state.services.record(act, outcome=outcome, code=code, error=telemetry.mask(text))


def _source(request: Request) -> str:
    return request.client.host if request.client else ""


async def _act(request: Request) -> Act:
    act: Act = request.state.act
    return act


Acting = Annotated[Act, Depends(_act)]
"""The act that a route function takes part in: who, on which rows, why."""

_FINDERS: dict[Any, Callable[[Request], Any]] = {
    Acting: lambda request: request.state.act,
    Used: lambda request: request.app.state.services,
}

__all__ = [
    "Acting",
    "Allowed",
    "Guarded",
    "Surface",
    "allow",
    "guard",
    "known",
    "open_to_all",
    "record_failure",
    "served",
]
