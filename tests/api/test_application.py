"""Two apps with the same routes: what is open on TCP, and what is there at all."""

from __future__ import annotations

import pkgutil
import re
import uuid
from collections.abc import Callable

import httpx
import pytest

from hilum.api import Edge, create_app, routes
from hilum.api.surface import served
from hilum.app import Hub

pytestmark = pytest.mark.anyio
OPEN = {
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",  # it asks for itself: loopback, or the scope metrics:read
    "GET /api/v1/auth/jwks",
    "GET /api/v1/exports/links/{token}",  # its secret is its proof
    "GET /api/v1/auth/oidc/callback",
    "GET /api/v1/auth/oidc/{organization}/start",
    "GET /api/v1/oauth/callback",  # the state is its proof: once, and for ten minutes
    "GET /api/v1/docs",  # 404 unless switched on
    "GET /api/v1/openapi.json",
    "POST /api/v1/auth/link",
    "POST /api/v1/auth/link/look",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/session",
    "POST /api/v1/auth/token",
    "POST /api/v1/webhooks/in/{receiver_id}",  # its signature is its proof
}
"""What answers without a token. Whatever is added here authenticates in a way of its own, or tells nothing."""


@pytest.mark.ledger_part("S0-28", "without a token every route but the listed ones answers 401")
async def test_what_is_open_is_listed_here(stopped: Hub) -> None:
    app = create_app(stopped.services(), local=False)
    found = {f"{method} {path}" for method, path, route in served(app) if route.allowed.permission is None}
    assert found == OPEN


async def test_what_one_app_has_the_other_has_not(stopped: Hub) -> None:
    """They share what FastAPI made of the routes, and nothing else."""
    local, public = (create_app(stopped.services(), local=one) for one in (True, False))
    assert [id(one) for one in local.routes] == [id(one) for one in public.routes]
    mine = {path for _, path, _ in served(local)} - {path for _, path, _ in served(public)}
    assert "/api/v1/backup" in mine
    local.add_api_route("/another", lambda: None)
    assert len(local.routes) == len(public.routes) + 1


async def test_everything_else_asks_who_comes(serving: Callable[..., httpx.AsyncClient], stopped: Hub) -> None:
    async with serving(edge=Edge.read(unknown=10_000, logged=False)) as client:
        del client.headers["authorization"]
        client.base_url = httpx.URL("http://hub")
        several = [(method, path) for method, path, _ in served(create_app(stopped.services(), local=False))]
        assert len(several) > 60
        for method, path in several:
            if f"{method} {path}" in OPEN:
                continue
            filled = re.sub(r"\{[^}]*\}", str(uuid.UUID(int=0)), path)
            response = await client.request(method, filled)
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"]


async def test_metrics_are_for_this_machine_or_for_who_may(serving: Callable[..., httpx.AsyncClient]) -> None:
    url = "http://hub/metrics"
    async with serving(client="127.0.0.1") as client:
        assert (await client.get(url, headers={"authorization": ""})).status_code == 200
        assert (await client.get(url, headers={"authorization": "", "x-forwarded-for": "127.0.0.1"})).status_code == 401
    async with serving() as client:
        assert (await client.get(url, headers={"authorization": ""})).status_code == 401
        assert (await client.get(url, headers={"authorization": "Bearer viewer"})).status_code == 403
        assert (await client.get(url, headers={"authorization": "Bearer platform_operator"})).status_code == 200


async def test_health_tells_others_no_detail(serving: Callable[..., httpx.AsyncClient]) -> None:
    async with serving() as client:
        response = await client.get("http://hub/health/ready", headers={"authorization": ""})
    assert response.status_code in (200, 503)
    assert set(response.json()) <= {"status", "unhealthy"}


async def test_every_file_of_routes_is_served(stopped: Hub) -> None:
    paths = {path for _, path, _ in served(create_app(stopped.services(), local=True))}
    for found in pkgutil.iter_modules(routes.__path__):
        router = __import__(f"{routes.__name__}.{found.name}", fromlist=["router"]).router
        for route in router.routes:
            assert paths & {route.path, f"/api/v1{route.path}"}


async def test_the_catalogue_describes_connectors_and_steps(stopped: Hub) -> None:
    transport = httpx.ASGITransport(create_app(stopped.services(), local=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
        connectors = {one["name"]: one for one in (await client.get("/connectors")).json()["items"]}
        steps = {one["name"]: one for one in (await client.get("/steps")).json()["items"]}
    assert connectors["mllp"]["schemes"] == ["mllp", "mllps"]
    assert connectors["mllp"]["parts"] == ["source", "destination", "probe"]
    assert connectors["mllp"]["format"] == "hl7v2"
    assert all(one["summary"] and "\n" not in one["summary"] for one in (*connectors.values(), *steps.values()))
    assert "url" in connectors["file"]["schema"]["properties"]
    assert {"filter", "map", "script"} <= steps.keys()
    assert (steps["map"]["repeatable"], steps["script"]["repeatable"]) == (True, False)
    assert "where" in steps["filter"]["schema"]["properties"]
