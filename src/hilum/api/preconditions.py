"""Nobody overwrites what he has not seen (RFC 9110, section 13): strong ETags, If-Match, If-None-Match.

    async def change_study(response: Response, identifier: uuid.UUID, version: IfMatch, wanted: StudyPatch) -> Study:
        changed = await services.studies.change(act, identifier, version, wanted)   # Stale where it moved on: 412
        etag(response, changed.version)

A GET of one thing says `etag(response, version)` as well. Other JSON answers to GET get the digest of their bytes; who
sends either back in If-None-Match is told 304.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from hilum.api.errors import Invalid, Unconditional
from hilum.errors import Stale

IF_MATCH = "if-match"
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*\s*")
_VERSION = re.compile(r"v([1-9][0-9]{0,8})")
_KEPT = frozenset({"etag", "cache-control", "vary", "link", "expires", "content-location"})


def tag(version: int) -> str:
    """The entity tag of a version: "v3", its quotes included."""
    return f'"v{version}"'


def etag(response: Response, version: int) -> None:
    """Name the version that an answer shows."""
    response.headers["etag"] = tag(version)


def keep(response: Response) -> None:
    """Let the client's own cache keep an answer that holds nothing of patients and no secret; it asks each time."""
    response.headers["cache-control"] = "private, no-cache"
    response.headers["vary"] = "Authorization, Cookie"


async def conditional(
    if_match: Annotated[
        str | None, Header(description='The ETag of the version that the change is based on, such as "v3".')
    ] = None,
) -> int:
    """The version that must still stand, by If-Match. Of a list it is the newest: versions only grow.

    Raises Unconditional where there is none (`*` names none either: it would overwrite whatever stands), Stale where
    no tag can be a version's (weak ones never match here), Invalid where it is no list of tags.
    """
    if if_match is None or if_match.strip() in ("", "*"):
        raise Unconditional('say with If-Match which version this is based on: its ETag, such as "v3"')
    if not _TAGS.fullmatch(if_match):
        raise Invalid('must be an ETag, such as "v3", or several with commas', field="If-Match")
    found = [_VERSION.fullmatch(text) for weak, text in _TAG.findall(if_match) if not weak]
    versions = [int(one[1]) for one in found if one]
    if not versions:
        raise Stale("this is not its version any more: read it again")
    return max(versions)


IfMatch = Annotated[int, Depends(conditional)]
"""The version that a change is based on; hand it to the service, whose UPDATE compares it."""


def unchanged(request: Request, response: Response) -> Response:
    """304 without a body where the client has this already, else `response`. For answers to GET and HEAD."""
    if response.status_code != 200:
        return response
    given = dict(response.raw_headers)
    if b"etag" in given:
        current = given[b"etag"].decode("latin-1")
    else:
        body = getattr(response, "body", b"")
        if not body or not given.get(b"content-type", b"").startswith(b"application/json"):
            return response
        current = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        response.raw_headers.append((b"etag", current.encode()))
    wanted = request.headers.get("if-none-match")
    if wanted is None or not _knows(wanted, current):
        return response
    kept = {name: value for name, value in response.headers.items() if name in _KEPT}
    return Response(status_code=304, headers=kept, background=response.background)


def _knows(wanted: str, current: str) -> bool:
    """Weak comparison, as RFC 9110 has it for If-None-Match."""
    if wanted.strip() == "*":
        return True
    opaque = current.removeprefix("W/")
    return any(f'"{text}"' == opaque for _, text in _TAG.findall(wanted))
