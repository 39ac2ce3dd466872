"""One service, two databases: what the API was told is there after a restart, each organization's for itself alone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.app import SOCKET, Hub
from hilum.security.passwords import Cost, Passwords
from hilum.settings import Settings

pytestmark = pytest.mark.anyio
CONFIG = "version: 1\norganization: demo\n"
CONFIGS = "/api/integration/configs"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """None: the file in the data folder. On PostgreSQL the role that owns nothing."""
    return request.getfixturevalue("role_url") if request.param == "postgresql" else None


@contextlib.asynccontextmanager
async def served(folder: Path, url: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A hub's life: a client of its socket."""
    config = folder / "hub.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    data = folder / "data"
    hub = Hub(Settings(data=data, database=url, http=None, config=config), Passwords(Cost(time=1, memory=8, lanes=1)))
    await hub.open()
    transport = httpx.AsyncHTTPTransport(uds=str(data / SOCKET))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as client:
        try:
            await hub.run()
            yield client
        finally:
            await hub.close()


async def listed(client: httpx.AsyncClient, organization: str) -> list[dict[str, Any]]:
    response = await client.get(CONFIGS, params={"organization": organization})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


@pytest.mark.ledger("S2-05")
@pytest.mark.ledger_part("S0-37", "it runs alone, with nothing but a data folder or a database")
async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, url: str | None) -> None:
    """C-22: nothing is in memory alone."""
    before: dict[str, list[dict[str, Any]]] = {}
    async with served(tmp_path, url) as client:
        clinic = {"name": "clinic", "administrator": {"email": "cleo@clinic.example", "name": "Cleo"}}
        assert (await client.post("/api/v1/organizations", json=clinic)).status_code == 201
        for organization in ("demo", "clinic"):
            wanted = {"name": "Payments", "type": "PAYMENT_GATEWAY", "provider": f"Of {organization}", "timeout": 5_000,
                      "endpoint": "https://pay.example/", "authType": "TOKEN", "apiKey": f"canary-{organization}",
                      "status": "INACTIVE"}  # fmt: skip
            made = await client.post(CONFIGS, json=wanted, params={"organization": organization})
            assert made.status_code == 201, made.text
            before[organization] = await listed(client, organization)
            assert [one["provider"] for one in before[organization]] == [f"Of {organization}"]
            assert before[organization][0]["tenantId"] == organization
    async with served(tmp_path, url) as client:
        for organization, found in before.items():
            assert await listed(client, organization) == found
        stats = (await client.get("/api/integration/stats", params={"organization": "clinic"})).json()["data"]
        assert (stats["totalIntegrations"], stats["inactiveIntegrations"]) == (1, 1)
        path, other = f"{CONFIGS}/{before['clinic'][0]['id']}", {"organization": "demo"}
        assert (await client.get(path, params=other)).status_code == 404, "another organization's"
        changed = await client.patch(path, json={"provider": "New"}, params={"organization": "clinic"})
        assert (changed.status_code, changed.json()["data"]["provider"]) == (200, "New")
    assert (tmp_path / "data" / "hub.db").exists() is (url is None)
