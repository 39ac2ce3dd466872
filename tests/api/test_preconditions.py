"""ETags: If-Match for changes, If-None-Match for reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse

from hilum.api import errors
from hilum.api.preconditions import IfMatch, etag, unchanged
from hilum.errors import Stale

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A thing at version 3."""
    app = FastAPI()
    errors.install(app)

    @app.patch("/thing")
    async def change(response: Response, version: IfMatch) -> None:
        if version != 3:
            raise Stale("moved on")
        etag(response, 4)

    @app.get("/thing")
    async def show(request: Request) -> Response:
        response = JSONResponse({"name": "a"}, headers={"cache-control": "no-store", "x-other": "1"})
        etag(response, 3)
        return unchanged(request, response)

    @app.get("/list")
    async def several(request: Request, status: int = 200) -> Response:
        return unchanged(request, JSONResponse([1, 2], status))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield client


@pytest.mark.ledger_part("S0-64", "If-Match: 428 where absent, 412 where stale")
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ('"v3"', 200), ('"v2", "v3"', 200), (' "v3" ,"other"', 200), ('W/"v2", "v3"', 200),
        (None, 428), ("", 428), ("*", 428),
        ('"v2"', 412), ('"v4"', 412), ('W/"v3"', 412), ('"other"', 412), ('"v03"', 412), ('"v99999999999999999"', 412),
        ("v3", 400), ('"v3', 400), ('"v3" "v4"', 400),
    ],
)  # fmt: skip
async def test_a_change_says_what_it_is_based_on(client: httpx.AsyncClient, given: str | None, status: int) -> None:
    response = await client.patch("/thing", headers={} if given is None else {"If-Match": given})
    assert response.status_code == status
    if status == 200:
        assert response.headers["etag"] == '"v4"'
    else:
        assert response.json()["error"]["code"] == {428: "INT008", 412: "INT004", 400: "INT002"}[status]


@pytest.mark.parametrize(
    ("given", "status"),
    [('"v3"', 304), ('W/"v3"', 304), ('"v1", "v3"', 304), ("*", 304), ('"v2"', 200), ("v3", 200), ("", 200)],
)
async def test_who_has_it_already_is_told_so(client: httpx.AsyncClient, given: str, status: int) -> None:
    response = await client.get("/thing", headers={"If-None-Match": given})
    assert (response.status_code, response.headers["etag"]) == (status, '"v3"')
    assert response.headers["cache-control"] == "no-store"
    if status == 304:
        assert response.content == b""
        assert "content-type" not in response.headers


async def test_a_list_has_the_digest_of_its_bytes(client: httpx.AsyncClient) -> None:
    first = await client.get("/list")
    assert (await client.get("/list", headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    assert "etag" not in (await client.get("/list?status=201")).headers
