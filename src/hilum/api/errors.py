"""Every error in one envelope: {"error": {code, message, field, details, timestamp, request_id}} (document 000).

Codes 001-005 have fixed meanings; what they do not foresee is appended, never renumbered. Who accepts
application/problem+json gets RFC 9457 with the same code.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hilum import clock, telemetry
from hilum.api import language, methods
from hilum.errors import (
    ApprovalNeeded,
    CodeNeeded,
    ConfigError,
    ConfigErrors,
    Conflict,
    DataError,
    FormatError,
    Gone,
    HilumError,
    NotFound,
    PartnerFailed,
    PartnerSlow,
    ReasonNeeded,
    Refused,
    SignatureNeeded,
    Stale,
    StepError,
    StoreError,
    TooMany,
    Unauthenticated,
)
from hilum.services.integrations import NotValid

PROBLEM = "application/problem+json"
EXPORTS = "/api/v1/exports"
CONFIGS = ("/integration/", "/api/integration/")
GENERIC = "The hub could not do this; its log tells more under this request id."
log = telemetry.logger("api")


class Invalid(HilumError):
    """A request that reads well but asks for what cannot be."""

    def __init__(self, reason: str, *, field: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        self.field = field
        self.details = dict(details or {})
        super().__init__(reason)


class TooLarge(HilumError):
    """A body above the limit."""


class Unconditional(HilumError):
    """A change of something that others may change as well, without If-Match."""


class KeyMisused(HilumError):
    """An Idempotency-Key that was used for something else."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What an error is to the client. `number` is the code's: INT001."""

    status: int
    number: int
    title: str


NOT_FOUND = Kind(404, 1, "Resource not found")
GONE = Kind(410, 1, "Resource not found")
INVALID = Kind(400, 2, "Validation error")
UNKNOWN = Kind(401, 3, "Unauthorized access")
FORBIDDEN = Kind(403, 3, "Unauthorized access")
CONFLICT = Kind(409, 4, "Resource conflict")
STALE = Kind(412, 4, "Resource conflict")
UNAVAILABLE = Kind(503, 5, "Server error")
BROKEN = Kind(500, 5, "Server error")
TOO_MANY = Kind(429, 6, "Rate limited")
TOO_LARGE = Kind(413, 7, "Payload too large")
UNCONDITIONAL = Kind(428, 8, "Precondition required")
PARTNER = Kind(502, 9, "Upstream failure")
SLOW = Kind(504, 9, "Upstream failure")
MISUSED = Kind(422, 10, "Idempotency key misused")
UNSIGNED = Kind(403, 11, "Signature required")

KINDS: dict[type[HilumError], Kind] = {
    NotFound: NOT_FOUND,
    Gone: GONE,
    DataError: INVALID,
    Invalid: INVALID,
    ReasonNeeded: INVALID,
    ConfigError: INVALID,
    FormatError: INVALID,
    StepError: INVALID,
    Unauthenticated: UNKNOWN,
    Refused: FORBIDDEN,
    SignatureNeeded: UNSIGNED,
    TooMany: TOO_MANY,
    Conflict: CONFLICT,
    Stale: STALE,
    TooLarge: TOO_LARGE,
    Unconditional: UNCONDITIONAL,
    KeyMisused: MISUSED,
    PartnerFailed: PARTNER,
    PartnerSlow: SLOW,
    StoreError: UNAVAILABLE,
    HilumError: BROKEN,
}
"""The nearest class of an error's ancestry decides."""

_STATUSES = {
    400: INVALID, 401: UNKNOWN, 403: FORBIDDEN, 404: NOT_FOUND, 409: CONFLICT, 410: GONE, 412: STALE, 413: TOO_LARGE,
    422: MISUSED, 428: UNCONDITIONAL, 429: TOO_MANY, 500: BROKEN, 502: PARTNER, 503: UNAVAILABLE, 504: SLOW,
    405: Kind(405, 2, "Method not allowed"), 406: Kind(406, 2, "Not acceptable"), 408: Kind(408, 2, "Body too slow"),
    414: Kind(414, 2, "Path too long"), 415: Kind(415, 2, "Media type not supported"),
    426: Kind(426, 2, "Upgrade required"), 431: Kind(431, 2, "Headers too big"),
}  # fmt: skip


def kind_of(error: Exception) -> Kind:
    """What any error is to the client."""
    if isinstance(error, HilumError):
        return next(KINDS[each] for each in type(error).__mro__ if each in KINDS)
    if isinstance(error, RequestValidationError):
        return INVALID
    if isinstance(error, HTTPException):
        return kind_of_status(error.status_code)
    return BROKEN


def kind_of_status(status: int) -> Kind:
    """What a status is where nothing more is known."""
    return _STATUSES.get(status) or Kind(
        status, 5 if status >= 500 else 2, "Server error" if status >= 500 else "Error"
    )


def code(path: str, kind: Kind) -> str:
    """INT001 … on the integrations surface, EXP001 … below /api/v1/exports (conflict C-14)."""
    prefix = "EXP" if path == EXPORTS or path.startswith(f"{EXPORTS}/") else "INT"
    return f"{prefix}{kind.number:03d}"


def install(app: FastAPI) -> None:
    """Answer every error in the envelope."""
    for kind, handle in _HANDLERS.items():
        app.add_exception_handler(kind, handle)


def answer(request: Request, error: Exception) -> JSONResponse:
    """The envelope of an error; raises it where nobody foresaw it. What `install` does, for routes past FastAPI."""
    for kind, handle in _HANDLERS.items():
        if isinstance(error, kind):
            return handle(request, error)
    raise error


def respond(
    request: Request, kind: Kind, message: str, *, field: str | None = None, details: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The envelope, or a problem document where the client asks for that. Neither has a secret in it."""
    number, message = code(request.url.path, kind), telemetry.mask(message)
    identifier = request.scope.get("state", {}).get("request_id", "")
    about = telemetry.masked(dict(details or {}))
    if PROBLEM in request.headers.get("accept", ""):
        problem = {"type": f"urn:hilum:error:{number}", "title": kind.title, "status": kind.status, "detail": message}
        problem |= {"code": number, "field": field, "details": about, "request_id": identifier}
        return JSONResponse(problem, kind.status, media_type=PROBLEM)
    error = {
        "code": number,
        "message": message,
        "field": field,
        "details": about,
        "timestamp": clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "request_id": identifier,
    }
    body: dict[str, Any] = {"error": error}
    if request.url.path.startswith(CONFIGS):  # document 002's console reads these at the top (C-13)
        body = {"success": False, "message": message, "statusCode": kind.status, **body}
    return JSONResponse(body, kind.status)


def _hilum(request: Request, error: Exception) -> JSONResponse:
    kind = kind_of(error)
    if kind.status >= 500:
        log.error("request failed", path=request.url.path, reason=str(error))
    field = getattr(error, "field", None) if isinstance(error, Invalid) else None
    if isinstance(error, ConfigError):
        field = error.where or None
    if isinstance(error, ReasonNeeded):
        field = "x-reason"
    details = dict(_details(error))
    if kind is INVALID:  # whoever shows them field by field finds all of them in one place
        details.setdefault("errors", [{"field": field, "message": getattr(error, "reason", str(error))}])
    spoken = language.chosen(request.headers.get("accept-language")) if isinstance(error, PartnerFailed) else None
    if spoken is not None:
        details = language.told(details, spoken)
    ours = kind.status >= 500 and not isinstance(error, PartnerFailed) and not request.app.state.local
    response = respond(request, kind, GENERIC if ours else str(error), field=field, details=details)
    if spoken is not None:
        response.headers.update(language.headers(spoken))
    if isinstance(error, TooMany):
        response.headers["retry-after"] = str(max(math.ceil(error.after), 1))
    if isinstance(error, Unauthenticated):
        problem = ', error="invalid_token"' if error.expired else ""
        response.headers["www-authenticate"] = f'Bearer realm="hilum"{problem}'
    return response


def _details(error: Exception) -> Mapping[str, Any]:
    if isinstance(error, Invalid | PartnerFailed):
        return error.details
    if isinstance(error, ConfigErrors):
        return {"errors": [{"field": one.where or None, "message": one.reason} for one in error.problems]}
    if isinstance(error, NotValid):
        return dataclasses.asdict(error.validation)
    if isinstance(error, SignatureNeeded):
        needed = {"operation": error.operation, "entity": error.entity, "meanings": list(error.meanings)}
        return {"signature_required": needed}
    if isinstance(error, CodeNeeded):
        return {"code_needed": True}
    if isinstance(error, ApprovalNeeded):
        asked = {"operation": error.operation, "entity": error.entity, "request": error.request}
        return {"approval_required": asked}
    return {}


def _validation(request: Request, error: Exception) -> JSONResponse:
    """400 with the first error's place; what was sent is not repeated, it may name a patient."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    found = [
        {"field": "body" if one["type"] == "json_invalid" else _place(one["loc"]), "message": str(one["msg"])}
        for one in error.errors()
    ]
    first = found[0]
    return respond(
        request, INVALID, f"{first['field']}: {first['message']}", field=first["field"], details={"errors": found}
    )


def _place(location: tuple[int | str, ...]) -> str:
    """documents[0].name; where it stands (query, path, body) is left out."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:]]
    return "".join(parts).lstrip(".") or str(location[0])


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    response = respond(request, kind_of(error), str(error.detail))
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["allow"] = methods.allowed(request.app, request.url.path)
    return response


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], JSONResponse]] = {
    HilumError: _hilum,
    RequestValidationError: _validation,
    HTTPException: _http,
}
