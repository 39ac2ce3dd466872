"""An organization that leaves its integrations to administrators, and one that does not (ledger S2-62)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.model.access import Role

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
SECRET = {"name": "lab-login", "kind": "basic", "fields": {"username": "hub"}, "secrets": {"password": "kept secret"}}
READS = ("/sources", "/credentials", "/certificates")


async def strict(admin: httpx.AsyncClient, wanted: bool) -> None:
    (home,) = (one for one in (await admin.get("/organizations")).json()["items"] if one["name"] == "demo")
    path = f"/organizations/{home['id']}"
    tag = (await admin.get(path)).headers["etag"]
    changed = await admin.patch(path, json={"settings": {"strict": wanted}}, headers={"if-match": tag})
    assert changed.status_code == 200, changed.text


@pytest.mark.ledger("S2-62")
async def test_who_may_look_at_integrations_and_who_may_change_them(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    others = {role: await signed_in(role) for role in Role if role != Role.TENANT_ADMIN}
    specialist = others[Role.INTEGRATION_SPECIALIST]
    made = await specialist.post("/credentials", json=SECRET)  # administrators and specialists write
    assert made.status_code == 201
    for role, client in others.items():
        if role != Role.INTEGRATION_SPECIALIST:
            assert (await client.post("/credentials", json=SECRET)).status_code == 403, role
            assert (await client.post("/configuration/release", json={"name": "lab"})).status_code == 403, role
    for role, path in ((Role.VIEWER, "/sources"), (Role.AUDITOR, "/credentials"), (Role.VIEWER, "/certificates")):
        shown = await others[role].get(path)  # others look, and see no secret
        assert shown.status_code == 200
        assert "kept secret" not in shown.text

    key = await admin.post("/api-keys", json={"name": "feed", "scopes": ["sources:read", "lanes:read"]})
    machine = {"authorization": f"Bearer {key.json()['key']}"}
    assert (await admin.get("/sources", headers=machine)).status_code == 200
    await strict(admin, True)
    for client in (*others.values(),):
        for path in READS:
            assert (await client.get(path)).status_code == 403, (client.headers, path)
        assert (await client.post("/credentials", json={**SECRET, "name": "other"})).status_code == 403
    assert (await admin.get("/sources", headers=machine)).status_code == 403
    assert (await admin.get("/lanes", headers=machine)).status_code == 200
    for path in READS:
        assert (await admin.get(path)).status_code == 200, path
    assert (await admin.post("/credentials", json={**SECRET, "name": "other"})).status_code == 201
    for role in (Role.OPERATOR, Role.VIEWER):  # who runs them still sees how they run
        assert (await others[role].get("/lanes")).status_code == 200
        assert (await others[role].get("/messages")).status_code == 200
    await strict(admin, False)
    assert (await others[Role.VIEWER].get("/sources")).status_code == 200
    events = (await admin.get("/audit?action=organization.change")).json()["items"]
    assert [one["event"]["after"]["settings"] for one in events[:2]] == [{}, {"strict": True}]
