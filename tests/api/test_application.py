"""Two apps: the public one says how the hub is and nothing else."""

from __future__ import annotations

import pkgutil
from typing import Any

import httpx
import pytest

from hilum.api import create_app, routes
from hilum.app import Hub

pytestmark = pytest.mark.anyio


async def test_the_public_app_has_nothing_else(running: Any) -> None:
    local = create_app(running.hub.services(), local=True)
    public = f"http://127.0.0.1:{running.hub.http.port}"
    async with httpx.AsyncClient(base_url=public) as client:
        for path in [*local.openapi()["paths"], "/api/v1/openapi.json", "/docs", "/redoc", "/openapi.json", "/"]:
            for method in ("GET", "POST"):
                response = await client.request(method, path)
                expected = (200, 405) if path.startswith(("/health/", "/metrics")) else (404,)
                assert response.status_code in expected, path


async def test_every_file_of_routes_is_served(stopped: Hub) -> None:
    served = set(create_app(stopped.services(), local=True).openapi()["paths"])
    for found in pkgutil.iter_modules(routes.__path__):
        router = __import__(f"{routes.__name__}.{found.name}", fromlist=["router"]).router
        for route in router.routes:
            assert served & {route.path, f"/api/v1{route.path}"}


async def test_every_operation_says_what_it_is_for(stopped: Hub) -> None:
    document = create_app(stopped.services(), local=True).openapi()
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) > 20
    assert [one["operationId"] for one in operations if not one.get("description")] == []


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
