"""Which media types a route takes and gives: else 415 for a body of another type, 406 for an answer of another."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from fastapi import Request
from fastapi.datastructures import DefaultPlaceholder
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

JSON = "application/json"
PROBLEM = "application/problem+json"


def produced(route: APIRoute) -> frozenset[str]:
    """What a route's good answers may be; empty where it does not say."""
    chosen = route.response_class
    usual = chosen.value.media_type if isinstance(chosen, DefaultPlaceholder) else chosen.media_type
    said = {one for status, about in route.responses.items() if int(status) < 300 for one in about.get("content", ())}
    return frozenset(said | ({usual} if usual else set()))


def takes_json(route: APIRoute) -> bool:
    """Whether a route has a body in JSON."""
    return route.body_field is not None and not isinstance(route.body_field.field_info, Form)


def check_accepted(request: Request, produces: AbstractSet[str]) -> None:
    """Raises HTTPException 406. Who accepts problem documents accepts JSON: they say how they like their errors."""
    accept = request.headers.get("accept", "*/*").lower()
    if accept in ("*/*", "") or not produces or ("q=0" not in accept and "*/*" in accept):
        return
    wanted = set()
    for one in accept.split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters):
            wanted.add(JSON if kind == PROBLEM else kind)
    if not any({one, f"{one.partition('/')[0]}/*", "*/*"} & wanted for one in produces):
        raise HTTPException(406, f"this is {' or '.join(sorted(produces))}")


def check_json(request: Request) -> None:
    """Raises HTTPException 415 where there is a body that is not said to be JSON."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"send the body as {JSON}")
