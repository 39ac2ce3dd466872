"""Signing in over a running hub's HTTP edge: what a client sees, and every attack on it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any, Protocol

import httpx
import pyotp
import pytest

from hilum import clock
from hilum.api import create_app
from hilum.app import Hub
from hilum.services.proofs import WRONG
from hilum.store import audit
from hilum.store.audit import EventFilter
from hilum.store.schema_people import session, user

pytestmark = pytest.mark.anyio
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"


class Running(Protocol):
    hub: Hub | None
    local: httpx.AsyncClient


class Door:
    """The hub's TCP side, and its first administrator."""

    def __init__(self, hub: Hub, http: httpx.AsyncClient) -> None:
        self.hub = hub
        self.http = http

    async def ask(self, method: str, path: str, expected: int, token: str | None = None, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        response = await self.http.request(method, path, headers=headers | options.pop("headers", {}), **options)
        assert response.status_code == expected, response.text
        return response.json() if response.content else None

    async def sign_in(self, expected: int = 200, **more: Any) -> Any:
        return await self.ask("POST", "/auth/token", expected, json={"email": EMAIL, "password": PASSWORD, **more})

    async def put(self, table: Any, topic: str, **values: Any) -> None:
        await self.hub.store.write(lambda connection: connection.execute(table.update().values(values)))
        self.hub.store.signal(f"changed/{topic}")

    async def events(self, action: str) -> list[dict[str, Any]]:
        found = await self.hub.store.read(audit.newest, 1, EventFilter(action=action), limit=100)
        return [one.document for one in found]


@pytest.fixture
async def door(running: Running) -> AsyncIterator[Door]:
    hub = running.hub
    assert hub is not None
    assert hub.http is not None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.http.port}/api/v1", timeout=30) as http:
        door = Door(hub, http)
        first = {"token": hub.first_link, "email": EMAIL, "name": "Ada Lovelace", "password": PASSWORD}
        await door.ask("POST", "/auth/link", 204, json=first)
        yield door


async def test_a_first_link_makes_the_first_administrator_and_then_no_more(door: Door, running: Running) -> None:
    again = {"token": door.hub.first_link, "email": "eve@example.org", "name": "Eve", "password": PASSWORD}
    await door.ask("POST", "/auth/link", 404, json=again)
    await door.ask("POST", "/auth/link/look", 404, json={"token": door.hub.first_link})
    tokens = await door.sign_in()
    me = await door.ask("GET", "/auth/me", 200, tokens["access_token"])
    assert (me["name"], me["organization"], me["kind"]) == ("Ada Lovelace", "demo", "user")
    assert me["roles"] == [{"role": "tenant_admin", "study": None}, {"role": "platform_operator", "study": None}]
    assert "users:write" in me["permissions"]
    assert "messages:payload" not in me["permissions"]
    refused = await running.local.post("/api/v1/auth/link/first")
    assert refused.status_code == 409
    await door.ask("POST", "/auth/link/first", 404, tokens["access_token"])  # only at the hub's own machine
    event = (await door.events("link.use"))[-1]
    assert (event["outcome"], event["actor"]["name"]) == ("success", "Ada Lovelace")


async def test_an_answer_with_tokens_is_stored_nowhere_on_its_way(door: Door) -> None:
    response = await door.http.post("/auth/token", json={"email": EMAIL, "password": PASSWORD})
    assert response.headers["cache-control"] == "no-store"
    assert response.json().keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (response.json()["token_type"], response.json()["expires_in"]) == ("Bearer", 900)


async def test_one_answer_for_whatever_is_wrong(door: Door) -> None:
    unknown = await door.sign_in(401, email="eve@example.org")
    wrong = await door.sign_in(401, password="wrong")
    assert unknown["error"]["message"] == wrong["error"]["message"] == WRONG
    assert unknown["error"]["code"] == wrong["error"]["code"] == "INT003"
    assert unknown["error"]["details"] == wrong["error"]["details"] == {}


async def test_five_failures_lock_and_the_trail_says_so(door: Door) -> None:
    for _ in range(5):
        await door.sign_in(401, password="wrong")
    locked = await door.sign_in(401)
    assert locked["error"]["message"] == WRONG
    events = await door.events("session.create")
    assert [one["details"]["why"] for one in events[:6]] == ["the account is locked"] + ["wrong password"] * 5
    assert {one["outcome"] for one in events[:6]} == {"denied"}
    assert {one["entity"] for one in events[:6]} == {(await door.events("user.lock"))[0]["entity"]}
    await door.put(user, "user", locked_until=clock.micros() - 1)
    await door.sign_in()


async def test_a_code_is_asked_for_and_holds_once(door: Door) -> None:
    token = (await door.sign_in())["access_token"]
    begun = await door.ask("POST", "/auth/totp", 200, token, json={"password": PASSWORD})
    assert begun["uri"].startswith("otpauth://totp/Hilum")
    code = pyotp.TOTP(begun["secret"]).at(clock.micros() // 1_000_000)
    confirmation = {"enrolment": begun["enrolment"], "code": code}
    await door.ask("POST", "/auth/totp/confirm", 204, token, json=confirmation)
    needed = await door.sign_in(401)
    assert needed["error"]["details"] == {"code_needed": True}
    await door.sign_in(401, code=code)  # it confirmed the enrolment
    await door.put(user, "user", totp_step=0)
    await door.sign_in(code=code)
    replayed = await door.sign_in(401, code=code)
    assert (replayed["error"]["message"], replayed["error"]["details"]) == (WRONG, {})
    await door.put(user, "user", totp_step=0)
    await door.ask("DELETE", "/auth/totp", 204, token, json={"password": PASSWORD, "code": code})
    await door.sign_in()
    secrets = json.dumps(await door.events("user")) + json.dumps(await door.events("session"))
    assert begun["secret"] not in secrets
    assert PASSWORD not in secrets


@pytest.mark.ledger_part("S0-28", "a refresh token holds once; one that comes back ends its session")
async def test_a_refresh_token_that_comes_back_ends_the_session(door: Door) -> None:
    first = await door.sign_in()
    second = await door.ask("POST", "/auth/refresh", 200, json={"refresh_token": first["refresh_token"]})
    await door.ask("GET", "/auth/me", 200, second["access_token"])
    await door.ask("POST", "/auth/refresh", 401, json={"refresh_token": first["refresh_token"]})
    await door.ask("POST", "/auth/refresh", 401, json={"refresh_token": second["refresh_token"]})
    await door.ask("GET", "/auth/me", 401, second["access_token"])


@pytest.mark.ledger_part("S0-28", "revoked with its session, the access token is refused at once")
async def test_who_signed_out_is_refused_with_the_next_request(door: Door) -> None:
    tokens, other = await door.sign_in(), await door.sign_in()
    sessions = (await door.ask("GET", "/auth/sessions", 200, tokens["access_token"]))["items"]
    assert [(one["kind"], one["current"]) for one in sessions] == [("token", False), ("token", True)]
    await door.ask("DELETE", f"/auth/sessions/{uuid.uuid4()}", 404, tokens["access_token"])
    await door.ask("DELETE", f"/auth/sessions/{sessions[0]['id']}", 204, tokens["access_token"])
    await door.ask("GET", "/auth/me", 401, other["access_token"])
    await door.ask("POST", "/auth/sign-out", 204, tokens["access_token"])
    response = await door.http.get("/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.ledger_part("S0-28", "alg none and broken signatures are 401 over HTTP")
async def test_a_forged_token_is_nobody(door: Door) -> None:
    token = (await door.sign_in())["access_token"]
    header, claims, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    for forged in (
        f"{none}.{claims}.",
        f"{none}.{claims}.{signature}",
        f"{header}.{claims}.",
        token[:-4] + "AAAA",
        "x",
    ):
        await door.ask("GET", "/auth/me", 401, forged)
    await door.ask("GET", "/auth/me", 401, headers={"authorization": f"Basic {token}"})
    await door.ask("GET", "/auth/me", 401, headers={"authorization": "Bearer"})


async def test_the_keys_of_tokens_are_open_and_replaced_by_the_operator(door: Door) -> None:
    tokens = await door.sign_in()
    before = (await door.ask("GET", "/auth/jwks", 200))["keys"]
    assert [set(one) for one in before] == [{"kty", "crv", "x", "kid", "use", "alg"}]
    await door.ask("POST", "/auth/keys", 401)
    await door.ask("POST", "/auth/keys", 204, tokens["access_token"])
    after = (await door.ask("GET", "/auth/jwks", 200))["keys"]
    assert after[0] == before[0]
    assert len(after) == 2
    await door.ask("GET", "/auth/me", 200, tokens["access_token"])
    await door.ask("GET", "/auth/me", 200, (await door.sign_in())["access_token"])


async def test_a_console_has_a_cookie_and_sends_its_csrf_token(door: Door) -> None:
    response = await door.http.post("/auth/session", json={"email": EMAIL, "password": PASSWORD})
    token, cookie = response.json()["csrf_token"], response.headers["set-cookie"]
    assert cookie.startswith("hilum_session=")
    flags = {one.strip().lower() for one in cookie.split(";")[1:]}
    assert flags == {"httponly", "max-age=43200", "path=/", "samesite=lax"}  # no Secure: this hub is reached by http
    assert (await door.ask("GET", "/auth/me", 200))["csrf_token"] == token
    for headers in (
        {},
        {"x-csrf-token": "wrong"},
        {"x-csrf-token": token[:-1]},
        {"x-csrf-token": "é".encode("latin-1")},
    ):
        await door.ask("POST", "/auth/password", 403, headers=headers, json={})
        await door.ask("DELETE", "/auth/session", 403, headers=headers)
    await door.ask("GET", "/auth/me", 200)
    await door.ask("DELETE", "/auth/session", 204, headers={"x-csrf-token": token})
    door.http.cookies.set("hilum_session", cookie.partition("=")[2].partition(";")[0])
    await door.ask("GET", "/auth/me", 401)


async def test_a_cookie_is_secure_where_the_hub_is_reached_so(door: Door) -> None:
    transport = httpx.ASGITransport(create_app(door.hub.services(), local=False))
    async with httpx.AsyncClient(transport=transport, base_url="https://hub") as http:
        response = await http.post("/api/v1/auth/session", json={"email": EMAIL, "password": PASSWORD})
    assert "; Secure" in response.headers["set-cookie"]


@pytest.mark.ledger_part("S0-25", "automatic logoff after 15 minutes")
async def test_a_console_that_nobody_uses_is_signed_out(door: Door) -> None:
    await door.ask("POST", "/auth/session", 200, json={"email": EMAIL, "password": PASSWORD})
    await door.ask("GET", "/auth/me", 200)
    await door.put(session, "session", seen_at=clock.micros() - 15 * 60_000_000)
    await door.ask("GET", "/auth/me", 401)


async def test_one_changes_one_s_own_password(door: Door) -> None:
    token, wanted = (await door.sign_in())["access_token"], "vanilla staple quiver"
    change = {"current_password": "wrong", "new_password": wanted}
    await door.ask("POST", "/auth/password", 403, token, json=change)
    weak = await door.ask("POST", "/auth/password", 400, token, json={**change, "new_password": "password1234"})
    assert "password1234" not in json.dumps(weak)
    await door.ask("POST", "/auth/password", 204, token, json={**change, "current_password": PASSWORD})
    await door.sign_in(401)
    await door.sign_in(password=wanted)
    await door.ask("GET", "/auth/me", 200, token)


async def test_a_link_for_a_colleague_sets_a_password(door: Door) -> None:
    token = (await door.sign_in())["access_token"]
    invited = await door.ask(
        "POST", "/users", 201, token, json={"email": "eve@example.org", "name": "Eve", "roles": [{"role": "viewer"}]}
    )
    link = invited["link"]["token"]
    whose = await door.ask("POST", "/auth/link/look", 200, json={"token": link})
    assert (whose["purpose"], whose["email"], whose["organization"]) == ("password", "eve@example.org", "demo")
    await door.ask("POST", "/auth/link", 204, json={"token": link, "password": "violet umbrella 9"})
    mine = await door.sign_in(email="eve@example.org", password="violet umbrella 9")
    await door.ask("GET", "/users", 403, mine["access_token"])
    assert (await door.ask("GET", "/auth/me", 200, mine["access_token"]))["name"] == "Eve"


async def test_passwords_are_not_guessed_without_end(door: Door) -> None:
    statuses = []
    for _ in range(80):
        response = await door.http.post("/auth/token", json={"email": "eve@example.org", "password": "x"})
        statuses.append(response.status_code)
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
            break
    assert statuses[-1] == 429


async def test_what_is_no_person_has_no_session(running: Running) -> None:
    for method, path in (("GET", "/auth/sessions"), ("POST", "/auth/sign-out"), ("DELETE", "/auth/session")):
        response = await running.local.request(method, f"/api/v1{path}")
        assert response.status_code == 403, path
    me = (await running.local.get("/api/v1/auth/me")).json()
    assert me["kind"] == "local"
    assert "hub:write" in me["permissions"]


@pytest.fixture
async def cleo(door: Door) -> str:
    """An access token of another organization's administrator."""
    admin = (await door.sign_in())["access_token"]
    founded = await door.ask(
        "POST", "/organizations", 201, admin,
        json={"name": "clinic", "administrator": {"email": "cleo@clinic.example", "name": "Cleo"}},
    )  # fmt: skip
    link = founded["administrator"]["link"]["token"]
    await door.ask("POST", "/auth/link", 204, json={"token": link, "password": "violet umbrella 9"})
    tokens = await door.sign_in(email="cleo@clinic.example", password="violet umbrella 9")
    claims = json.loads(base64.urlsafe_b64decode(tokens["access_token"].split(".")[1] + "=="))
    assert claims["org"] == founded["organization"]["id"]
    return str(tokens["access_token"])


@pytest.mark.ledger("S2-04")
async def test_the_token_decides_whose_rows_and_who_looks_elsewhere_is_in_their_trail(door: Door, cleo: str) -> None:
    admin = (await door.sign_in())["access_token"]
    elsewhere = {"x-tenant-id": "1", "organization": "demo", "x-tenant": "demo"}
    queries: list[dict[str, Any]] = [{"params": {"organization": one}} for one in ("demo", "clinic")]
    for token, home, people in ((cleo, "clinic", ["Cleo"]), (admin, "demo", ["Ada Lovelace"])):
        for more in ({}, {"headers": elsewhere}, *queries):
            assert (await door.ask("GET", "/auth/me", 200, token, **more))["organization"] == home
            found = await door.ask("GET", "/users", 200, token, **more)
            assert [one["name"] for one in found["items"]] == people

    await door.ask("POST", "/studies", 201, cleo, json={"name": "theirs"})
    for name in ("demo", "clinic"):
        await door.ask("GET", "/studies", 403, cleo, headers={"x-organization": name, "x-reason": "I want to"})
    there = {"x-organization": "clinic"}
    said = await door.ask("GET", "/studies", 400, admin, headers=there)
    assert said["error"]["field"] == "x-reason"
    there["x-reason"] = "their feed stands still, ticket 17"
    found = await door.ask("GET", "/studies", 200, admin, headers=there)
    assert [one["name"] for one in found["items"]] == ["theirs"]
    assert (await door.ask("GET", "/studies", 200, admin))["items"] == []  # the next request is at home again
    await door.ask("GET", "/studies", 404, admin, headers={**there, "x-organization": "nowhere"})
    await door.ask("GET", "/studies", 404, admin, headers={**there, "x-organization": "system"})
    await door.ask("POST", "/studies", 403, admin, headers=there, json={"name": "mine"})
    for path in ("/users", "/audit", "/credentials", f"/messages/{uuid.uuid4()}/body", "/auth/me"):
        await door.ask("GET", path, 403, admin, headers=there)  # a viewer sees no people, no secret, no payload
    trail = (await door.ask("GET", "/audit?action=study.list", 200, cleo))["items"]
    (event,) = [one["event"] for one in trail if one["event"]["actor"]["name"] == "Ada Lovelace"]
    assert event["details"] == {"impersonation": {"from": "demo", "as": "viewer"}}
    assert (event["reason"], event["outcome"]) == (there["x-reason"], "success")
    assert not [one for one in await door.events("study.list") if "impersonation" in str(one)]
