"""CORS: pages of listed origins may call the API, no one else's."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from hilum.api import Edge

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]
EDGE = Edge.read(origins=["https://console.example.org"], logged=False)
ASKS = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization, if-match"}


async def test_a_listed_origin_may_call_with_credentials(serving: Serving) -> None:
    ours = {"origin": "https://console.example.org"}
    async with serving(edge=EDGE) as client:
        asked = await client.options("/studies", headers=ours | ASKS)
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "https://console.example.org"
        assert asked.headers["access-control-allow-credentials"] == "true"
        assert "PATCH" in asked.headers["access-control-allow-methods"]
        assert "If-Match" in asked.headers["access-control-allow-headers"]
        answer = await client.get("/studies", headers=ours)
        assert answer.headers["access-control-allow-origin"] == "https://console.example.org"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        failed = await client.get("/studies", headers={**ours, "authorization": ""})
        assert failed.status_code == 401
        assert failed.headers["access-control-allow-origin"] == "https://console.example.org"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://console.example.org.evil.example", "*"])
async def test_any_other_origin_is_told_nothing(serving: Serving, origin: str) -> None:
    async with serving(edge=EDGE) as client:
        for response in (
            await client.options("/studies", headers={"origin": origin, **ASKS}),
            await client.get("/studies", headers={"origin": origin}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control-")]
            assert response.headers["vary"] == "Origin"


async def test_it_is_off_unless_switched_on(serving: Serving) -> None:
    async with serving() as client:
        response = await client.options("/studies", headers={"origin": "https://console.example.org", **ASKS})
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert "vary" not in response.headers
