"""Configurations lie in the hub so that nobody reads a secret out of them, and only who may sees the rest."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
SECRET = "kanarienvogel-gelb-und-laut"
LAB: dict[str, Any] = {
    "name": "Lab results", "type": "LAB_SYSTEM", "environment": "development",
    "authentication": {"type": "api_key", "key": SECRET},
    "endpoints": [{"name": "orders", "url": "https://lab.example.org/orders", "method": "POST"}],
}  # fmt: skip


@pytest.mark.ledger("S2-65")
async def test_a_configuration_is_kept_safe_and_shown_to_whom_it_concerns(
    running: Any, signed_in: Callable[..., Awaitable[httpx.AsyncClient]], tmp_path: Path
) -> None:
    admin, viewer = await signed_in("tenant_admin"), await signed_in("viewer")
    made = await admin.post("/integrations?initialize=false", json=LAB)
    assert made.status_code == 201, made.text
    path = f"/integrations/{made.json()['id']}"
    for client in (admin, viewer):  # whoever sees it, sees that there is a secret, not which
        shown = await client.get(path)
        assert shown.status_code == 200
        assert SECRET not in shown.text
    tag = {"if-match": made.headers["etag"]}
    assert (await viewer.patch(path, json={"provider": "mine"}, headers=tag)).status_code == 403
    assert (await viewer.delete(path)).status_code == 403
    assert (await viewer.get("/configuration/schema")).status_code == 403
    key = await admin.post("/api-keys", json={"name": "feed", "scopes": ["messages:read"]})
    for headers in ({"authorization": ""}, {"authorization": "Bearer nobody"}):
        assert (await viewer.get(path, headers=headers)).status_code == 401
    machine = {"authorization": f"Bearer {key.json()['key']}"}
    assert (await viewer.get(path, headers=machine)).status_code == 403
    operator = await signed_in("platform_operator")
    founded = await operator.post(
        "/organizations", json={"name": "clinic", "administrator": {"email": "cleo@clinic.example", "name": "Cleo"}}
    )
    assert founded.status_code == 201, founded.text
    stranger = await signed_in("tenant_admin", organization="clinic")
    assert (await stranger.get(path)).status_code == 404

    await running.stop()
    data = tmp_path / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    files = [one for one in data.rglob("*") if one.is_file()]
    assert any(one.name == "hub.db" for one in files)
    for one in files:
        assert SECRET.encode() not in one.read_bytes(), one.name
