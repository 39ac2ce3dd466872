"""Organizations over HTTP: two share a hub; each sees itself, and only a platform operator sees both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
CLINIC = {
    "name": "clinic", "title": "The clinic", "administrator": {"email": "cleo@clinic.example", "name": "Cleo"}
}  # fmt: skip


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    """That it is the envelope of this error."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]


async def own(client: httpx.AsyncClient) -> Any:
    [found] = (await client.get("/organizations")).json()["items"]
    return found


async def test_a_platform_operator_makes_one_and_its_administrator_signs_in(signed_in: Sign) -> None:
    boss = await signed_in("platform_operator")
    response = await boss.post("/organizations", json=CLINIC)
    made = response.json()
    path = f"/organizations/{made['organization']['id']}"
    assert (response.status_code, response.headers["location"]) == (201, f"/api/v1{path}")
    assert "no-store" in response.headers["cache-control"]
    assert made["organization"]["environment"] == "production"
    first = {"token": made["administrator"]["link"]["token"], "password": "a long enough phrase"}
    assert (await boss.post("/auth/link", json=first)).status_code == 204
    tokens = await boss.post("/auth/token", json={"email": "cleo@clinic.example", "password": first["password"]})
    cleo = {"authorization": f"Bearer {tokens.json()['access_token']}"}
    me = (await boss.get("/auth/me", headers=cleo)).json()
    assert (me["organization"], [one["role"] for one in me["roles"]]) == ("clinic", ["tenant_admin"])
    assert [one["name"] for one in (await boss.get("/organizations")).json()["items"]] == ["clinic", "demo"]
    assert [one["name"] for one in (await boss.get("/organizations", headers=cleo)).json()["items"]] == ["clinic"]
    assert (await boss.get(path)).json() == (await boss.get(path, headers=cleo)).json() == made["organization"]


async def test_a_name_is_there_once_and_the_hubs_own_never(signed_in: Sign) -> None:
    boss = await signed_in("platform_operator")
    both = await asyncio.gather(*(boss.post("/organizations", json=CLINIC) for _ in range(2)))
    assert sorted(one.status_code for one in both) == [201, 409]
    failed(await boss.post("/organizations", json={**CLINIC, "name": "system"}), 409, "INT004", "the hub's own name")
    failed(await boss.post("/organizations", json={**CLINIC, "name": "No Name"}), 400, "INT002")


@pytest.mark.ledger_part("S2-63", "another organization's id answers 404, to each of its people")
@pytest.mark.parametrize("role", ["tenant_admin", "auditor", "viewer", "operator", "integration_specialist"])
async def test_another_one_is_not_there(signed_in: Sign, running: Any, role: str) -> None:
    made = await running.post("/organizations", 201, **CLINIC)
    path = f"/organizations/{made['organization']['id']}"
    somebody = await signed_in(role)
    assert (await own(somebody))["name"] == "demo"
    failed(await somebody.get(path), 404, "INT001")
    change = await somebody.patch(path, json={"title": "Mine"}, headers={"if-match": '"v1"'})
    failed(change, *((404, "INT001") if role == "tenant_admin" else (403, "INT003")))
    failed(await somebody.post("/organizations", json={**CLINIC, "name": "third"}), 403, "INT003")


async def test_settings_have_bounds_and_are_replaced_as_a_whole(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    mine = await own(admin)
    path, tag = f"/organizations/{mine['id']}", f'"v{mine["version"]}"'
    for settings in (
        {"password_days": -1}, {"session_idle": 4}, {"session_idle": 61}, {"session_hours": 25}, {"unknown": 1},
        {"lockout_failures": 2}, {"lockout_minutes": 4}, {"second_factor": "never"}, {"session_idle": "x"},
        {"policy": [{"operation": "nothing.known"}]}, {"policy": [{"operation": "*", "signature": []}]},
    ):  # fmt: skip
        response = await admin.patch(path, json={"settings": settings}, headers={"if-match": tag})
        failed(response, 400, "INT002")
        assert response.json()["error"]["field"].startswith("settings.")
    failed(await admin.patch(path, json={"title": "x"}), 428, "INT008")
    wanted = {"session_idle": 30, "password_days": 0}
    changed = await admin.patch(path, json={"title": "Demo", "settings": wanted}, headers={"if-match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "Demo")
    assert changed.json()["settings"] == {**mine["settings"], **wanted}
    failed(await admin.patch(path, json={"title": "x"}, headers={"if-match": tag}), 412, "INT004")
    tag = changed.headers["etag"]
    again = await admin.patch(path, json={"settings": {}}, headers={"if-match": tag})
    assert (again.json()["title"], again.json()["settings"]) == ("Demo", mine["settings"])


async def test_rules_of_its_own_are_kept(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    mine = await own(admin)
    path = f"/organizations/{mine['id']}"
    rule = {"operation": "user.roles", "reason": True}
    changed = await admin.patch(
        path, json={"settings": {"policy": [rule]}}, headers={"if-match": f'"v{mine["version"]}"'}
    )
    assert changed.status_code == 200, changed.text
    [kept] = (await own(admin))["settings"]["policy"]
    assert (kept["operation"], kept["reason"]) == ("user.roles", True)
    body = {"email": "zoe@demo.example", "name": "Zoë", "roles": [{"role": "viewer"}]}
    failed(await admin.post("/users", json=body), 400, "INT002")
    assert (await admin.post("/users", json={**body, "roles": []})).status_code == 201
    given = await admin.post(
        "/users", json={**body, "email": "z@demo.example"}, headers={"x-reason": "joins the night shift"}
    )
    assert given.status_code == 201


async def test_a_policy_change_in_production_needs_a_signature(signed_in: Sign, running: Any) -> None:
    """A new organization is of production until a file says otherwise."""
    await running.post("/organizations", 201, **CLINIC)
    response = await running.local.get("/api/v1/organizations?organization=clinic")
    clinic = next(one for one in response.json()["items"] if one["name"] == "clinic")
    path = f"/api/v1/organizations/{clinic['id']}?organization=clinic"
    body = {"settings": {"policy": [{"operation": "user.roles", "four_eyes": True}]}}
    headers = {"if-match": '"v1"', "x-reason": "two are better than one"}
    failed(await running.local.patch(path, json=body, headers=headers), 403, "INT011")
    longer = await running.local.patch(path, json={"settings": {"session_idle": 60}}, headers=headers)
    assert longer.status_code == 200
