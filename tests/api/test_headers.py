"""What every answer says, whatever it is."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from hilum.api import Edge

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]


@pytest.mark.ledger_part("S0-36", "a strict CSP, nosniff")
@pytest.mark.ledger_part("S0-67", "X-API-Version on every answer, errors included")
@pytest.mark.parametrize("path", ["/studies", "/nothing", "/studies?page=0", "http://hub/health/live", "/auth/me/x"])
async def test_security_headers_are_on_every_answer(serving: Serving, path: str) -> None:
    async with serving() as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "strict-transport-security" not in headers
    assert headers["x-api-version"] == "1.0"
    assert "server" not in headers


@pytest.mark.ledger_part("S0-50", "no-store by default; ETag and 304 on lists")
async def test_nothing_is_stored_on_the_way_and_repeating_a_read_is_cheap(serving: Serving) -> None:
    async with serving() as client:
        first = await client.get("/studies")
        assert first.headers["cache-control"] == "no-store"
        again = await client.get("/studies", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["x-request-id"]


async def test_over_tls_the_browser_is_told_to_stay_there(serving: Serving) -> None:
    async with serving(edge=Edge.read(proxies=["192.0.2.7"], logged=False)) as client:
        headers = (await client.get("/studies", headers={"x-forwarded-proto": "https"})).headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
