"""The OpenAPI 3.1 document: what FastAPI reads off the routes, and what every route has without saying so.

Who may call an operation and how they show it, the audit action, the headers that it reads, and each error that it can
end in, with the envelope and the code of document 000.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

import hilum
from hilum.api import errors, examples, idempotency, media
from hilum.api.callers import COOKIE, CSRF
from hilum.api.headers import API_VERSION
from hilum.api.paging import asked
from hilum.api.preconditions import IF_MATCH, conditional
from hilum.api.surface import Guarded
from hilum.model.access import LOOKING

_DESCRIPTION = """\
Every error is `{"error": {code, message, field, details, timestamp, request_id}}`; who accepts
`application/problem+json` gets RFC 9457. Lists have pages (`page` from 1, `size` 20, at most 100) and a `Link` header.
Changes of what has versions need `If-Match` with the `ETag` that was read. `Idempotency-Key` makes repeating safe.
"""
_SCHEMES = {
    "token": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token, from /api/v1/auth."
    },
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key, in a bearer token's place."},
    "session": {
        "type": "apiKey", "in": "cookie", "name": COOKIE,
        "description": f"The console's session. Changes also need the header {CSRF}.",
    },
}  # fmt: skip
_ANYONE: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
_ERROR = "ErrorEnvelope"
_CONFIGS_ERROR = "ConfigsErrorEnvelope"
_PROBLEM = "Problem"
_CODE = {"type": "string", "pattern": "^(INT|EXP)[0-9]{3}$"}
_FIELD = {"type": ["string", "null"], "description": "Where it is wrong; null where no one place is."}
_DETAILS = {"type": "object", "additionalProperties": True}
_SCHEMAS: dict[str, Any] = {
    _ERROR: {
        "type": "object", "required": ["error"], "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object", "additionalProperties": False,
                "required": ["code", "message", "field", "details", "timestamp", "request_id"],
                "properties": {
                    "code": _CODE, "message": {"type": "string"}, "field": _FIELD, "details": _DETAILS,
                    "timestamp": {"type": "string", "format": "date-time"}, "request_id": {"type": "string"},
                },
            }
        },
    },
    _CONFIGS_ERROR: {  # document 002's console reads what went wrong at the top as well (C-13)
        "type": "object", "required": ["success", "message", "statusCode", "error"], "additionalProperties": False,
        "properties": {
            "success": {"const": False}, "message": {"type": "string"}, "statusCode": {"type": "integer"},
            "error": {"$ref": f"#/components/schemas/{_ERROR}/properties/error"},
        },
    },
    _PROBLEM: {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "field", "details", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string"}, "code": _CODE, "field": _FIELD, "details": _DETAILS,
            "request_id": {"type": "string"},
        },
    },
}  # fmt: skip
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    401: {"WWW-Authenticate": _TEXT},
    429: {"Retry-After": {"schema": {"type": "integer"}}, "RateLimit": _TEXT, "RateLimit-Policy": _TEXT},
}


def document(app: FastAPI) -> dict[str, Any]:
    """What an app serves. Raises ValueError where two operations have one name."""
    shown = [one for one in iter_route_contexts(app.routes) if _is_shown(one, app)]
    made = get_openapi(
        title=app.title, version=API_VERSION, openapi_version="3.1.0", routes=shown, description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"}, servers=[{"url": "/"}],
    )  # fmt: skip
    made["info"]["x-hilum-version"] = hilum.__version__
    names: set[str] = set()
    used: set[tuple[int, bool]] = set()
    for one in shown:
        if one.path_format not in made["paths"]:  # where a surface is mounted twice, clients need one of them
            continue
        for method in one.methods or ():
            operation = made["paths"][one.path_format][method.lower()]
            if operation["operationId"] in names:
                raise ValueError(f"two operations are called {operation['operationId']}")
            names.add(operation["operationId"])
            used |= _complete(operation, method, one.original_route, str(one.path_format))
    components = made.setdefault("components", {})
    schemas = {one: schema for one, schema in components.get("schemas", {}).items() if "ValidationError" not in one}
    components["schemas"] = dict(sorted({**schemas, **_SCHEMAS}.items()))
    components["securitySchemes"] = _SCHEMES
    components["responses"] = {_name(status, configs): _response(status, configs) for status, configs in sorted(used)}
    made = _renamed(made)
    examples.fill(made)
    return made


def _renamed(made: dict[str, Any]) -> dict[str, Any]:
    """Where two models have one name, FastAPI writes hilum__services__audit__Page; that is AuditPage to a client."""
    text = json.dumps(made)
    for old in made["components"]["schemas"]:
        *module, name = old.split("__")
        if module and module[0] == "hilum":
            new = module[-1].title().replace("_", "") + name
            text = text.replace(f'"{old}"', f'"{new}"').replace(f'/{old}"', f'/{new}"')
    renamed: dict[str, Any] = json.loads(text)
    return renamed


def _is_shown(one: RouteContext, app: FastAPI) -> bool:
    route = one.original_route
    return isinstance(route, Guarded) and route.include_in_schema and not route.hidden(app)


def _complete(operation: dict[str, Any], method: str, route: Any, path: str) -> set[tuple[int, bool]]:
    """Add what every route has; the statuses of its errors, and whether they have document 002's envelope."""
    allowed = route.allowed
    operation["security"] = _ANYONE if allowed.permission else []
    if allowed.permission:
        operation["x-permission"] = allowed.permission
    if allowed.action:
        operation["x-audit-action"] = allowed.action
    parameters = operation.setdefault("parameters", [])
    for one in parameters:
        if one["in"] == "header" and one["name"].lower() == IF_MATCH:
            one["required"], one["name"] = True, "If-Match"
    parameters += _headers(method, allowed)
    if not parameters:
        del operation["parameters"]
    responses = operation["responses"]
    responses.pop("422", None)
    if method == "GET" and media.JSON in route.produces:
        responses["304"] = {"description": "As it was: the ETag in If-None-Match still holds."}
    statuses = set(_errors(method, route)) - {int(one) for one in responses if one.isdigit()}
    configs = path.startswith(errors.CONFIGS)
    for status in sorted(statuses):
        responses[str(status)] = {"$ref": f"#/components/responses/{_name(status, configs)}"}
    for status, about in responses.items():
        if "$ref" not in about and int(status) < 300:
            about["headers"] = dict.fromkeys(_told(method, status, route), _TEXT) | about.get("headers", {})
    return {(status, configs) for status in statuses}


def _told(method: str, status: str, route: Guarded) -> Iterator[str]:
    """The headers of a good answer."""
    yield "X-Request-ID"
    if route.allowed.permission:
        yield from ("RateLimit", "RateLimit-Policy")
    if status in ("201", "202"):
        yield "Location"
    if (method == "GET" and media.JSON in route.produces) or _has(route.dependant, conditional):
        yield "ETag"
    if route.allowed.ending:
        yield from ("Deprecation", "Sunset")
    if _has(route.dependant, asked):
        yield "Link"


def _headers(method: str, allowed: Any) -> Iterator[dict[str, Any]]:
    def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
        about = {"type": "string", **schema}
        return {"name": name, "in": "header", "required": False, "description": description, "schema": about}

    if method == "GET":
        yield header("If-None-Match", "The ETag of what the client has already.")
        if allowed.permission in LOOKING:
            about = "Of whoever runs the hub: the name of another organization to look into, as its viewer."
            yield header("X-Organization", about, maxLength=63)
            yield header("X-Reason", "Why, for that organization's audit trail.", maxLength=500)
    elif allowed.permission:
        key = header(
            idempotency.HEADER, "A key of the client's choice: a repetition with it gets the first answer.",
            minLength=1, maxLength=200,
        )  # fmt: skip
        yield {**key, "required": allowed.key_needed}
        yield header("X-Reason", "Why this is done, for the audit trail.", maxLength=500)
        yield header("X-Signature", "The signature for this, where policy asks for one.", format="uuid")
        yield header("X-Approval", "The approval of this, where policy asks for a second person.", format="uuid")


def _errors(method: str, route: Guarded) -> Iterator[int]:
    """The statuses that an operation can end in, beyond what it says itself."""
    allowed = route.allowed
    yield from (400, 500, 503, *allowed.fails)
    if route.produces:
        yield 406
    if allowed.permission:
        yield from (401, 403, 429)
    elif allowed.action:
        yield 429
    elsewhere = method == "GET" and allowed.permission in LOOKING
    if elsewhere or route.param_convertors or (route.takes_json and allowed.permission):
        yield 404  # what it names may not be there
    if route.param_convertors or _flat(route.dependant):
        yield 414
    if route.takes_json:
        yield from (413, 415)
    if method != "GET" and allowed.permission:
        yield from (409, 413, 422)  # with an Idempotency-Key, the body is read whatever it is for
    if _has(route.dependant, conditional):
        yield from (412, 428)


def _flat(dependant: Dependant) -> bool:
    """Whether there is a query at all."""
    return bool(dependant.query_params) or any(map(_flat, dependant.dependencies))


def _has(dependant: Dependant, call: Any) -> bool:
    return dependant.call is call or any(_has(one, call) for one in dependant.dependencies)


def _name(status: int, configs: bool) -> str:
    title = re.sub(r"[^A-Za-z]", "", errors.kind_of_status(status).title.title())
    return f"{title}{status}{'OfConfigs' if configs else ''}"


def _response(status: int, configs: bool) -> dict[str, Any]:
    """An error with the envelope, and an example of it."""
    kind = errors.kind_of_status(status)
    code = errors.code("", kind)
    about: dict[str, Any] = {"code": code, "field": None, "details": {}, "request_id": "req_01JZX3M8T5V0ABCDEFGHJKMNPQ"}
    example: dict[str, Any] = {"error": {**about, "message": kind.title, "timestamp": "2026-01-21T10:00:00Z"}}
    if configs:
        example = {"success": False, "message": kind.title, "statusCode": status, **example}
    problem = {"type": f"urn:hilum:error:{code}", "title": kind.title, "status": status, "detail": kind.title, **about}
    found: dict[str, Any] = {
        "description": f"{kind.title}: {code}, below /api/v1/exports {errors.code(errors.EXPORTS, kind)}.",
        "headers": {"X-Request-ID": _TEXT, **_HEADERS.get(status, {})},
        "content": {
            media.JSON: {
                "schema": {"$ref": f"#/components/schemas/{_CONFIGS_ERROR if configs else _ERROR}"},
                "example": example,
            },
            media.PROBLEM: {"schema": {"$ref": f"#/components/schemas/{_PROBLEM}"}, "example": problem},
        },
    }
    return found
