"""Every error in one envelope: {"error": {code, message, field, details, timestamp, request_id}} (document 000).

Codes 001-005 have fixed meanings; what they do not foresee is appended, never renumbered. Who accepts
application/problem+json gets RFC 9457 with the same code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict, FormatError, HilumError, NotFound, Refused, StepError, StoreError

PROBLEM = "application/problem+json"
GENERIC = "The hub could not do this; its log tells more under this request id."
log = telemetry.logger("api")


class Invalid(HilumError):
    """A request that reads well but asks for what cannot be."""

    def __init__(self, reason: str, *, field: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        self.field = field
        self.details = dict(details or {})
        super().__init__(reason)


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What an error is to the client. `number` is the code's: INT001."""

    status: int
    number: int
    title: str


NOT_FOUND = Kind(404, 1, "Resource not found")
INVALID = Kind(400, 2, "Validation error")
FORBIDDEN = Kind(403, 3, "Unauthorized access")
CONFLICT = Kind(409, 4, "Resource conflict")
UNAVAILABLE = Kind(503, 5, "Server error")
BROKEN = Kind(500, 5, "Server error")

KINDS: dict[type[HilumError], Kind] = {
    NotFound: NOT_FOUND,
    Invalid: INVALID,
    ConfigError: INVALID,
    FormatError: INVALID,
    StepError: INVALID,
    Refused: FORBIDDEN,
    Conflict: CONFLICT,
    StoreError: UNAVAILABLE,
    HilumError: BROKEN,
}
"""The nearest class of an error's ancestry decides."""

_STATUSES = {400: 2, 401: 3, 403: 3, 404: 1, 405: 2, 409: 4, 412: 4, 413: 7, 415: 2, 422: 10, 428: 8, 429: 6}


def install(app: FastAPI) -> None:
    """Answer every error in the envelope."""
    app.add_exception_handler(HilumError, _hilum)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def respond(
    request: Request, kind: Kind, message: str, *, field: str | None = None, details: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The envelope, or a problem document where the client asks for that."""
    code = f"INT{kind.number:03d}"
    identifier = request.scope.get("state", {}).get("request_id", "")
    about = dict(details or {})
    if PROBLEM in request.headers.get("accept", ""):
        problem = {"type": "about:blank", "title": kind.title, "status": kind.status, "detail": message}
        problem |= {"code": code, "field": field, "details": about, "request_id": identifier}
        return JSONResponse(problem, kind.status, media_type=PROBLEM)
    error = {
        "code": code,
        "message": message,
        "field": field,
        "details": about,
        "timestamp": clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "request_id": identifier,
    }
    return JSONResponse({"error": error}, kind.status)


def _hilum(request: Request, error: Exception) -> JSONResponse:
    kind = next(KINDS[each] for each in type(error).__mro__ if each in KINDS)
    if kind.status >= 500:
        log.error("request failed", path=request.url.path, reason=str(error))
    field = getattr(error, "field", None) if isinstance(error, Invalid) else None
    if isinstance(error, ConfigError):
        field = error.where or None
    details = error.details if isinstance(error, Invalid) else {}
    return respond(request, kind, str(error), field=field, details=details)


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
    kind = Kind(error.status_code, _STATUSES.get(error.status_code, 5), str(error.detail))
    response = respond(request, kind, str(error.detail))
    response.headers.update(error.headers or {})
    return response
