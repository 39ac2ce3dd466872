"""API keys over HTTP: shown once, narrowed, rotated, revoked; a machine's way in beside the access token."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.security.api_keys import PATTERN
from hilum.store import audit

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
FEED = {"name": "feed", "scopes": ["lanes:read"]}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    """That it is the envelope of this error."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]


async def created(client: httpx.AsyncClient, **values: Any) -> Any:
    response = await client.post("/api-keys", json={**FEED, **values})
    assert response.status_code == 201, response.text
    return response.json()


def bearer(made: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {made['key']}"}


@pytest.mark.ledger_part("S0-31", "prefix and checksum, shown once, scopes, last use")
async def test_a_key_is_shown_once_and_does_what_its_scopes_say(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/api-keys", json=FEED)
    made = response.json()
    path = f"/api-keys/{made['api_key']['id']}"
    assert (response.status_code, response.headers["location"]) == (201, f"/api/v1{path}")
    assert "no-store" in response.headers["cache-control"]
    assert PATTERN.fullmatch(made["key"])
    assert made["key"].startswith(f"{made['api_key']['prefix']}_")
    assert (await admin.get("/lanes", headers=bearer(made))).status_code == 200
    failed(await admin.get("/messages", headers=bearer(made)), 403, "INT003", "scope messages:read")
    failed(await admin.get("/users", headers=bearer(made)), 403, "INT003")
    shown = await admin.get(path)
    assert set(shown.json()) == set(made["api_key"])
    secret = made["key"].removeprefix(made["api_key"]["prefix"])
    for each in (shown, await admin.get("/api-keys"), await admin.get("/api-keys", params={"name": "feed"})):
        assert secret[1:] not in each.text
    used = shown.json()["used_at"]
    async with asyncio.timeout(20):
        while used is None:
            used = (await admin.get(path)).json()["used_at"]
    assert used.endswith(":00.000000Z")
    mistyped = made["key"][:-1] + ("0" if made["key"][-1] != "0" else "1")
    failed(await admin.get("/lanes", headers={"authorization": f"Bearer {mistyped}"}), 401, "INT003")


@pytest.mark.ledger_part("S0-31", "rotated with an overlap, revoked at once")
async def test_a_key_is_rotated_and_revoked(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    old = await created(admin)
    path = f"/api-keys/{old['api_key']['id']}"
    answer = await admin.post(f"{path}/rotate", json={"overlap": 3600})
    fresh = answer.json()
    assert (answer.status_code, fresh["api_key"]["name"]) == (201, "feed")
    for one in (old, fresh):
        assert (await admin.get("/lanes", headers=bearer(one))).status_code == 200
    ends = datetime.datetime.fromisoformat((await admin.get(path)).json()["expires_at"])
    assert abs(ends - clock.now() - datetime.timedelta(hours=1)) < datetime.timedelta(minutes=1)
    failed(await admin.post("/api-keys", json=FEED), 409, "INT004", "two keys are called feed")
    failed(await admin.post(f"{path}/rotate"), 409, "INT004")
    assert (await admin.delete(path)).status_code == 204
    failed(await admin.get("/lanes", headers=bearer(old)), 401, "INT003", "does not hold")
    failed(await admin.delete(path), 404, "INT001")
    assert (await admin.get("/lanes", headers=bearer(fresh))).status_code == 200
    again = (await admin.post(f"/api-keys/{fresh['api_key']['id']}/rotate")).json()
    usual = datetime.datetime.fromisoformat(
        (await admin.get(f"/api-keys/{fresh['api_key']['id']}")).json()["expires_at"]
    )
    assert abs(usual - clock.now() - datetime.timedelta(days=1)) < datetime.timedelta(minutes=1)
    found = (await admin.get("/api-keys", params={"state": "active"})).json()
    assert {one["id"] for one in found["items"]} == {again["api_key"]["id"], fresh["api_key"]["id"]}
    for overlap in (-1, 31 * 86_400):
        failed(
            await admin.post(f"/api-keys/{again['api_key']['id']}/rotate", json={"overlap": overlap}), 400, "INT002"
        )  # fmt: skip


@pytest.mark.ledger_part("S0-31", "an IP allow list")
async def test_a_key_comes_from_where_it_may(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    here = await created(admin, name="here", allow=["127.0.0.0/8"])
    there = await created(admin, name="there", allow=["198.51.100.0/24"])
    assert (await admin.get("/lanes", headers=bearer(here))).status_code == 200
    failed(await admin.get("/lanes", headers=bearer(there)), 401, "INT003", "does not hold")
    forged = {**bearer(there), "x-forwarded-for": "198.51.100.7", "forwarded": "for=198.51.100.7"}
    failed(await admin.get("/lanes", headers=forged), 401, "INT003", "does not hold")


async def test_three_at_once_are_two(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    answers = await asyncio.gather(*(admin.post("/api-keys", json=FEED) for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [201, 201, 409]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"name": "Two words"}, 400, "name"),
        ({"scopes": []}, 400, "scopes"),
        ({"scopes": ["nothing:read"]}, 400, "scopes"),
        ({"scopes": ["users:read"]}, 400, "scopes"),
        ({"scopes": ["messages:payload"]}, 403, None),
        ({"role": "platform_operator", "scopes": ["hub:write"]}, 403, None),
        ({"study": "nothing"}, 400, "study"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, 400, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, 400, "expires_at"),
        ({"allow": ["10.0.0.1/8"]}, 400, "allow"),
        ({"allow": ["partner.example"]}, 400, "allow[0]"),
        ({"allow": ["10.0.0.0/8"] * 33}, 400, "allow"),
        ({"key": "hilum_live_mine"}, 400, "key"),
    ],
)
async def test_what_cannot_be_is_refused(signed_in: Sign, change: Any, status: int, field: str | None) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/api-keys", json={**FEED, **change})
    failed(response, status, "INT002" if status == 400 else "INT003")
    assert response.json()["error"]["field"] == field
    assert (await admin.get("/api-keys")).json()["total"] == 0


@pytest.mark.ledger_part("S0-30", "a key of study A sees study A")
async def test_a_key_of_a_study_sees_that_one(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    for name in ("one", "other"):
        assert (await admin.post("/studies", json={"name": name})).status_code == 201
    made = await created(admin, study="one", scopes=["studies:read", "messages:read"])
    found = (await admin.get("/studies", headers=bearer(made))).json()
    assert ([one["name"] for one in found["items"]], found["total"]) == (["one"], 1)
    assert (await admin.get("/messages", headers=bearer(made))).json()["items"] == []


@pytest.mark.ledger_part("S4-76", "API keys of another organization are not there, and see nothing of this one")
async def test_another_organizations_key_is_not_there(running: Any, signed_in: Sign) -> None:
    administrator = {"email": "cleo@clinic.example", "name": "Cleo"}
    await running.post("/organizations", 201, name="clinic", administrator=administrator)
    cleo = await signed_in("tenant_admin", organization="clinic")
    theirs = await created(cleo, scopes=["lanes:read", "sources:read"])
    admin = await signed_in("tenant_admin")
    assert (await admin.get("/api-keys")).json()["items"] == []
    path = f"/api-keys/{theirs['api_key']['id']}"
    for method, one in (("GET", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        failed(await admin.request(method, one), 404, "INT001")
    assert (await admin.get("/lanes", headers=bearer(theirs))).json()["items"] == []
    assert len((await admin.get("/lanes")).json()["items"]) == 2
    assert (await cleo.get("/lanes", headers=bearer(theirs))).status_code == 200


@pytest.mark.ledger_part("S0-19", "a key's acts carry its id and name")
async def test_what_a_key_did_is_in_the_trail(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", "auditor")
    made = await created(admin)
    await admin.get("/lanes", headers={**bearer(made), "x-request-id": "the-keys-request"})
    events = [one.document for one in await newest(running)]
    [event] = [one for one in events if one["request_id"] == "the-keys-request"]
    assert event["actor"] == {"kind": "api_key", "id": made["api_key"]["id"], "name": "feed"}
    assert (event["action"], event["outcome"], event["source"]) == ("lane.list", "success", "127.0.0.1")
    [making] = [one for one in events if one["action"] == "api-key.create"]
    assert making["after"]["scopes"] == ["lanes:read"]
    assert made["key"][20:] not in str(events)


async def newest(running: Any) -> Any:
    """The newest events of the first organization."""
    return await running.hub.store.read(audit.newest, 1, audit.EventFilter(), limit=50)
