"""Users over HTTP: invited by a link, given roles, shut out at once; nobody sets another one's password."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
ZOE = {"email": "Zoe@Demo.example", "name": "Zoë", "roles": [{"role": "viewer"}]}


async def invited(client: httpx.AsyncClient, **values: Any) -> Any:
    """A new user, and the link's token."""
    response = await client.post("/users", json={**ZOE, **values})
    assert response.status_code == 201, response.text
    return response.json()


def tag(version: int) -> dict[str, str]:
    return {"if-match": f'"v{version}"'}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    """That it is the envelope of this error."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]


async def test_an_invited_user_sets_a_password_by_the_link_and_signs_in(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/users", json=ZOE)
    user, link = response.json()["user"], response.json()["link"]
    assert (response.status_code, response.headers["location"], response.headers["etag"]) == (
        201, f"/api/v1/users/{user['id']}", '"v1"'
    )  # fmt: skip
    assert "no-store" in response.headers["cache-control"]
    assert (user["email"], user["name"], user["state"]) == ("zoe@demo.example", "Zoë", "invited")
    assert user["roles"] == [{"role": "viewer", "study": None}]
    wanted = {"token": link["token"], "password": "a long enough phrase"}
    assert (await admin.post("/auth/link", json=wanted)).status_code == 204
    failed(await admin.post("/auth/link", json=wanted), 404, "INT001")
    tokens = await admin.post("/auth/token", json={"email": "zoe@demo.example", "password": wanted["password"]})
    mine = {"authorization": f"Bearer {tokens.json()['access_token']}"}
    assert (await admin.get("/auth/me", headers=mine)).json()["name"] == "Zoë"
    failed(await admin.get("/users", headers=mine), 403, "INT003")
    shown = (await admin.get(f"/users/{user['id']}")).json()
    assert (shown["state"], shown["signed_in_at"] is None) == ("active", False)
    assert link["token"] not in (await admin.get("/users")).text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "known to the administrator"}, "password"),
        ({"email": "nobody"}, "email"),
        ({"name": "two\nlines"}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"roles": [{"role": "king"}]}, "roles[0].role"),
        ({"roles": [{"role": "viewer", "study": "nothing"}]}, "roles"),
        ({"roles": [{"role": "viewer"}] * 51}, "roles"),
    ],
)
async def test_what_makes_no_sense_is_refused(signed_in: Sign, change: Any, field: str) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/users", json={**ZOE, **change})
    failed(response, 400, "INT002")
    assert response.json()["error"]["field"] == field
    assert (await admin.get("/users", params={"q": "zo"})).json()["total"] == 0


async def test_of_two_that_create_one_user_at_once_one_gets_409(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    both = await asyncio.gather(admin.post("/users", json=ZOE), admin.post("/users", json=ZOE))
    assert sorted(one.status_code for one in both) == [201, 409]
    failed(next(one for one in both if one.status_code == 409), 409, "INT004", "already")


async def test_a_list_has_pages_and_filters(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", email="ann@demo.example")
    for number in range(3):
        await invited(admin, email=f"zoe{number}@demo.example", name=f"Zoë {number}")
    page = await admin.get("/users", params={"size": 2, "page": 2})
    assert [one["name"] for one in page.json()["items"]] == ["Zoë 1", "Zoë 2"]
    assert {key: page.json()[key] for key in ("total", "page", "size", "pages")} == {
        "total": 4, "page": 2, "size": 2, "pages": 2
    }  # fmt: skip
    for query, names in (
        ({"state": "active"}, ["ann"]), ({"role": "viewer", "q": "2"}, ["Zoë 2"]), ({"q": "nobody"}, [])
    ):  # fmt: skip
        found = (await admin.get("/users", params=query)).json()
        assert ([one["name"] for one in found["items"]], found["total"]) == (names, len(names))
    for query in ({"size": 101}, {"page": 0}, {"state": "asleep"}, {"role": "king"}):
        failed(await admin.get("/users", params=query), 400, "INT002")


@pytest.mark.ledger_part("S0-64", "If-Match: 428 without, 412 where somebody was faster, one winner of 100 over HTTP")
async def test_a_change_says_which_version_it_is_based_on(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    path = f"/users/{(await invited(admin))['user']['id']}"
    failed(await admin.patch(path, json={"name": "Zoë B."}), 428, "INT008")
    failed(await admin.put(f"{path}/roles", json={"roles": []}), 428, "INT008")
    many = [admin.patch(path, json={"name": f"Zoë {number}"}, headers=tag(1)) for number in range(100)]
    answers = await asyncio.gather(*many)
    assert sorted(one.status_code for one in answers) == [200] + [412] * 99
    [winner] = [one for one in answers if one.status_code == 200]
    failed(next(one for one in answers if one.status_code == 412), 412, "INT004", "read it again")
    shown = await admin.get(path)
    assert (shown.json(), shown.headers["etag"]) == (winner.json(), '"v2"')
    assert (await admin.get(path, headers={"if-none-match": '"v2"'})).status_code == 304


@pytest.mark.ledger_part("S4-56", "a leaver is shut out at once by the API")
async def test_who_is_disabled_is_out_with_the_next_request(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    leaver = await signed_in("viewer", email="leaver@demo.example")
    me = (await leaver.get("/auth/me")).json()
    path = f"/users/{me['id']}"
    version = (await admin.get(path)).headers["etag"]
    off = await admin.patch(path, json={"state": "disabled"}, headers={"if-match": version})
    assert off.json()["state"] == "disabled"
    failed(await leaver.get("/auth/me"), 401, "INT003")
    again = {"email": "leaver@demo.example", "password": "correct horse battery staple"}
    failed(await leaver.post("/auth/token", json=again), 401, "INT003")
    failed(await admin.post(f"{path}/link"), 409, "INT004", "disabled")
    on = await admin.patch(path, json={"state": "active"}, headers={"if-match": off.headers["etag"]})
    assert on.json()["state"] == "active"
    failed(await leaver.get("/auth/me"), 401, "INT003")
    assert (await leaver.post("/auth/token", json=again)).status_code == 200


async def test_roles_are_put_and_hold_from_the_next_request(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    assert (await admin.post("/studies", json={"name": "trial"})).status_code == 201
    other = await signed_in("viewer")
    path = f"/users/{(await other.get('/auth/me')).json()['id']}"
    assert (await other.get("/users")).status_code == 403
    roles = [{"role": "auditor", "study": None}, {"role": "viewer", "study": None}]
    version = (await admin.get(path)).headers["etag"]
    put = await admin.put(f"{path}/roles", json={"roles": roles}, headers={"if-match": version})
    assert (put.status_code, put.json()["roles"]) == (200, roles)
    assert (await other.get("/users")).status_code == 200, "more rights, the same session"
    narrowed = [{"role": "viewer", "study": "trial"}]
    put = await admin.put(f"{path}/roles", json={"roles": narrowed}, headers={"if-match": put.headers["etag"]})
    assert put.json()["roles"] == narrowed
    failed(await other.get("/users"), 401, "INT003")


async def test_a_new_link_signs_out_and_sets_a_password_once(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    other = await signed_in("viewer", email="bob@demo.example")
    path = f"/users/{(await other.get('/auth/me')).json()['id']}"
    first, second = [(await admin.post(f"{path}/link")).json()["token"] for _ in range(2)]
    failed(await other.get("/auth/me"), 401, "INT003")
    failed(await other.post("/auth/link", json={"token": first, "password": "a long enough phrase"}), 404, "INT001")
    done = await other.post("/auth/link", json={"token": second, "password": "a long enough phrase"})
    assert done.status_code == 204
    tokens = await other.post("/auth/token", json={"email": "bob@demo.example", "password": "a long enough phrase"})
    assert tokens.status_code == 200
    failed(await admin.post(f"/users/{uuid.uuid4()}/link"), 404, "INT001")


@pytest.mark.ledger_part("S4-77", "administrators make no platform operators and take none over; the last one stays")
async def test_what_an_administrator_may_not(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", email="ann@demo.example")
    boss = await signed_in("platform_operator", "tenant_admin", email="boss@demo.example")
    mine, theirs = [f"/users/{(await one.get('/auth/me')).json()['id']}" for one in (admin, boss)]
    platform = {"roles": [{"role": "platform_operator"}]}
    failed(await admin.post("/users", json={**ZOE, **platform}), 403, "INT003", "platform operator")
    version = {"if-match": (await admin.get(mine)).headers["etag"]}
    failed(await admin.put(f"{mine}/roles", json=platform, headers=version), 403, "INT003", "platform operator")
    failed(await admin.post(f"{theirs}/link"), 403, "INT003", "platform operator")
    failed(await admin.delete(theirs), 403, "INT003", "platform operator")
    assert (await boss.post("/users", json={**ZOE, **platform})).status_code == 201
    assert (await boss.delete(mine)).status_code == 204
    version = {"if-match": (await boss.get(theirs)).headers["etag"]}
    failed(await boss.delete(theirs), 409, "INT004", "last administrator")
    failed(await boss.put(f"{theirs}/roles", json=platform, headers=version), 409, "INT004", "last administrator")
    failed(await boss.patch(theirs, json={"state": "disabled"}, headers=version), 409, "INT004", "last administrator")
    assert (await boss.get("/auth/me")).status_code == 200


async def test_who_was_removed_is_evidence_alone(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    gone = await signed_in("viewer", email="zoe@demo.example")
    path = f"/users/{(await gone.get('/auth/me')).json()['id']}"
    assert (await admin.delete(path)).status_code == 204
    failed(await gone.get("/auth/me"), 401, "INT003")
    failed(await admin.delete(path), 404, "INT001")
    left = await admin.get(path)
    assert (left.json()["state"], left.json()["name"], left.json()["roles"]) == ("removed", "zoe", [])
    failed(await admin.patch(path, json={"state": "active"}, headers={"if-match": left.headers["etag"]}), 404, "INT001")
    again = await invited(admin)
    assert again["user"]["id"] not in path, "its id is never used again"
    assert [one["id"] for one in (await admin.get("/users", params={"q": "zoe"})).json()["items"]] == [
        again["user"]["id"]
    ]


@pytest.mark.ledger_part("S4-76", "users of another organization: not in lists, not by id, not in counts")
async def test_another_organizations_users_are_not_there(running: Any, signed_in: Sign) -> None:
    made = await running.post(
        "/organizations", 201, name="clinic", administrator={"email": "cleo@clinic.example", "name": "Cleo"}
    )
    theirs = f"/users/{made['administrator']['user']['id']}"
    admin = await signed_in("tenant_admin", email="ann@demo.example")
    found = (await admin.get("/users")).json()
    assert ([one["email"] for one in found["items"]], found["total"]) == (["ann@demo.example"], 1)
    assert (await admin.get("/users", params={"q": "cleo"})).json()["total"] == 0
    assert (await admin.get("/users", params={"organization": "clinic"})).json()["total"] == 1
    for method, under, options in (
        ("GET", "", {}),
        ("PATCH", "", {"json": {"name": "Mine"}, "headers": tag(1)}),
        ("PUT", "/roles", {"json": {"roles": []}, "headers": tag(1)}),
        ("POST", "/link", {}),
        ("DELETE", "", {}),
    ):
        told = []
        for one in (theirs, f"/users/{uuid.UUID(int=0)}"):
            response = await admin.request(method, one + under, **options)
            failed(response, 404, "INT001")
            told.append(response.json()["error"]["message"].replace(one[7:], "ID"))
        assert told[0] == told[1], "no other words than for none at all"
    shown = await running.local.get(f"/api/v1{theirs}?organization=clinic")
    assert (shown.json()["name"], shown.json()["version"]) == ("Cleo", 1)
