"""What is served are resources: their URLs, the methods they know, and the statuses those end in (RFC 9110)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from hilum.api import Edge
from hilum.model.access import Binding, Principal, PrincipalKind, Role

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
Serving = Callable[..., httpx.AsyncClient]
EDGE = Edge.read(known=1_000_000, together=1_000_000, unknown=1_000_000, logged=False)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
GOOD = {"GET": {"200", "303", "304"}, "PUT": {"200"}, "PATCH": {"200"}, "DELETE": {"200", "204"}}
UNLISTED = {
    "/api/v1/jobs/{identifier}", "/api/v1/executions/{execution_id}/blobs/{blob_id}",
    "/api/v1/exports/links/{token}",  # its address is what one has
}  # fmt: skip
"""What is read one by one alone: the place of each was told to whoever asked for it."""

UNREAD = {
    "/api/v1/auth/session", "/api/v1/auth/totp",  # one's own: /auth/me tells of both
    "/api/v1/auth/sessions/{session_id}", "/api/v1/users/{user_id}/roles",  # parts of what is read above them
    "/api/v1/exports/jobs/{job_id}/links/{link_id}",
}  # fmt: skip
"""What is changed or removed where nothing is read."""


class Everybody:
    """Whoever comes has every role."""

    async def bearer(self, text: str, source: str) -> Principal:
        return Principal(PrincipalKind.USER, "all", "all", 1, tuple(Binding(one) for one in Role))

    async def cookie(self, text: str) -> tuple[Principal, str]:
        return await self.bearer(text, ""), "the session's token"


def paths(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Every path with its operations by method, as the OpenAPI document has them."""
    transport: Any = client._transport
    found = transport.app.openapi()["paths"]
    return {path: {method.upper(): one for method, one in several.items()} for path, several in found.items()}


def statuses(operation: dict[str, Any]) -> set[str]:
    return {one for one in operation["responses"] if one < "400"}


def unsound(path: str, several: dict[str, Any], every: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What is wrong with a resource."""
    for part in path.strip("/").split("/"):
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*|\{[a-z]+(_[a-z]+)*\}", part):
            yield f"{part} is no segment"
    for method, good in GOOD.items():
        if method in several and not statuses(several[method]) <= good:
            yield f"{method} ends in {statuses(several[method])}"
    if "requestBody" in several.get("GET", {}):
        yield "a GET has no body"
    for method in {"PUT", "PATCH"} & several.keys():
        if "requestBody" not in several[method]:
            yield f"{method} without a body"
    above, _, last = path.rpartition("/")
    if last.startswith("{") and "GET" in several and "GET" not in every.get(above, {}) and path not in UNLISTED:
        yield "one of many that nobody can list"
    if {"PUT", "PATCH", "DELETE"} & several.keys() and "GET" not in several and path not in UNREAD:
        yield "it is changed where nobody can read it"
    collection = any(re.fullmatch(re.escape(path) + r"/\{\w+\}", one) and "GET" in it for one, it in every.items())
    if collection and "POST" in several:
        made = statuses(several["POST"])
        if not made or not made <= {"201", "202"}:  # both: set-up may take longer than anybody waits
            yield f"what is added to a collection ends in {made}"
        elif any("Location" not in several["POST"]["responses"][one].get("headers", {}) for one in made):
            yield "it is not said where what was made is"


@pytest.mark.ledger_part("S0-40", "resource URLs; methods and their statuses, of every operation")
async def test_every_path_is_a_resource(serving: Serving) -> None:
    async with serving() as client:
        every = paths(client)
    assert len(every) > 100
    assert {path: found for path, several in every.items() if (found := list(unsound(path, several, every)))} == {}


@pytest.mark.ledger("S0-40")  # with the part above; tests/api/every has the statuses of every operation at work
async def test_every_path_knows_its_methods_and_media_types(serving: Serving) -> None:
    async with serving(identity=Everybody(), edge=EDGE) as client:
        every = paths(client)
        for path, several in every.items():
            url = "http://hub" + re.sub(r"\{\w+\}", str(uuid.UUID(int=0)), path)
            known = {*several, "OPTIONS", *({"HEAD"} if "GET" in several else ())}
            options = await client.options(url)
            assert options.status_code == 204, path
            assert set(options.headers["allow"].split(", ")) >= known, path
            for method in {*METHODS} - set(options.headers["allow"].split(", ")):
                wrong = await client.request(method, url)
                assert (wrong.status_code, wrong.headers["allow"]) == (405, options.headers["allow"]), (method, path)
            for method, operation in several.items():
                if "406" in operation["responses"]:
                    refused = await client.request(method, url, headers={"accept": "image/png"})
                    assert refused.status_code == 406, (method, path)
                if "415" in operation["responses"]:
                    refused = await client.request(method, url, content=b"a=1", headers={"content-type": "text/plain"})
                    assert refused.status_code == 415, (method, path)
            if "{" not in path and "304" in several.get("GET", {}).get("responses", {}):
                head, read = await client.head(url), await client.get(url)
                assert (head.status_code, head.content) == (read.status_code, b""), path
