"""Idempotency-Key: a repeated request gets the first one's answer and does nothing again (draft-ietf-httpapi-07).

A key belongs to whoever used it, for one route; with another query or body it is 422. It is reserved in a commit of its
own before anything is done, and its answer is kept in one of its own afterwards. What failed did nothing and gives the
key back, so the same key may carry a corrected request. Should the hub die in between, nobody knows whether the change
was made: for a minute the key answers 409, then a repetition is carried out; versions and unique names are what keeps
that from being done twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from hilum.api.errors import Invalid, KeyMisused
from hilum.errors import Conflict, StoreError
from hilum.model.audit import Act
from hilum.services.answers import Answer, Answers

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
HEADER = "Idempotency-Key"
METHODS = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,200})"|([\x21\x23-\x5b\x5d-\x7e]{1,200})')
_NOT_KEPT = frozenset({"content-length", "set-cookie", "date"})


async def once(request: Request, act: Act, needed: bool, handle: Handler) -> Response:
    """Answer a request, or say again what was answered. Raises Invalid, KeyMisused, Conflict."""
    given = request.headers.get(HEADER) if request.method in METHODS else None
    if request.method not in METHODS or (given is None and not needed):
        return await handle(request)
    if given is None:
        raise Invalid("this is only done with a key of the client's own choice", field=HEADER)
    key = _KEY.fullmatch(given)
    if key is None:
        raise Invalid("must be up to 200 visible characters, in quotes or not", field=HEADER)
    answers: Answers = request.app.state.services.answers
    digest, fingerprint = _digest(request, act, key[1] or key[2]), await _fingerprint(request)
    found = await answers.begin(act.principal.organization, digest, fingerprint)
    if found is None:
        return await _first(answers, request, act, digest, handle)
    if not found.same:
        raise KeyMisused("this key was used for another request")
    if found.answer is None:
        raise Conflict("the first request with this key is still being worked on")
    act.entity, act.details = found.answer.entity, {"replayed": True}
    headers = {**found.answer.headers, "idempotency-replayed": "true"}
    return Response(found.answer.body, found.answer.status, headers)


async def _first(answers: Answers, request: Request, act: Act, digest: bytes, handle: Handler) -> Response:
    organization = act.principal.organization
    try:
        response = await handle(request)
    except Exception:
        with contextlib.suppress(StoreError):  # what went wrong first is what the client is told
            await answers.forget(organization, digest)
        raise
    except BaseException:
        answers.lose(digest)
        raise
    body = getattr(response, "body", None)
    if response.status_code >= 400 or body is None:
        await answers.forget(organization, digest)
        return response
    headers = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
    await answers.keep(organization, digest, Answer(response.status_code, headers, bytes(body), act.entity))
    return response


def _digest(request: Request, act: Act, key: str) -> bytes:
    """Whose key for what it is."""
    parts = (str(act.principal.organization), act.principal.id, request.method, request.state.template, key)
    return hashlib.sha256("\0".join(parts).encode()).digest()


async def _fingerprint(request: Request) -> bytes:
    """Of method, path, query and body: what must be the same again."""
    parts = (request.method.encode(), request.scope["path"].encode(), request.scope["query_string"])
    return hashlib.sha256(b"\0".join((*parts, await request.body()))).digest()
