"""Signing in with an organization's own OpenID Connect provider, which speaks over TLS as a real one does."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
import trustme
from joserfc import jws
from joserfc.jwk import RSAKey

from hilum import clock
from hilum.app import Hub
from hilum.model.access import Role
from hilum.sdk.http import Answer, Limits, Listener, Refusal, Request
from hilum.sdk.testing import free_port
from hilum.store import Store, audit, sign_ins, users
from hilum.store.audit import EventFilter
from hilum.store.schema import job, organization
from hilum.store.schema_people import user
from hilum.store.users import Grant

pytestmark = pytest.mark.anyio
EMAIL = "ada@example.org"
CLIENT = "hilum-client"


class Running(Protocol):
    hub: Hub | None
    local: httpx.AsyncClient


class Idp:
    """A provider. `claims` are put over what its ID token says; `metadata` over what it says of itself."""

    def __init__(self) -> None:
        self.issuer = f"https://localhost:{free_port()}"
        self.authority = trustme.CA()
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.nonce = self.challenge = ""
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.listener = Listener(self, Limits())

    async def start(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("localhost").configure_cert(context)
        await self.listener.start("127.0.0.1", urlsplit(self.issuer).port or 0, context)

    def check(self, request: Request) -> None:
        """Everything is taken."""

    async def refused(self, peer: str, refusal: Refusal) -> None:
        """Nothing is."""

    async def take(self, request: Request) -> Answer:
        if request.path == "/.well-known/openid-configuration":
            known = {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
            } | self.metadata  # fmt: skip
            return Answer(200, json.dumps(known).encode())
        if request.path == "/keys":
            return Answer(200, json.dumps({"keys": [self.key.as_dict(private=False)]}).encode())
        form = dict(parse_qsl(request.body.decode()))
        self.asked.append((request.path, form, request.headers.get("authorization", "")))
        verifier = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if form["code"] != "good" or verifier.decode() != self.challenge:
            return Answer(400, b'{"error": "invalid_grant", "error_description": "no"}')
        return Answer(200, json.dumps({"access_token": "x", "token_type": "Bearer", "id_token": self.token()}).encode())

    def token(self) -> str:
        now = clock.micros() // 1_000_000
        said = {
            "iss": self.issuer, "aud": CLIENT, "sub": "subject-1", "nonce": self.nonce, "iat": now, "exp": now + 60,
            "email": EMAIL, "email_verified": True,
        } | self.claims  # fmt: skip
        return jws.serialize_compact({"alg": "RS256", "kid": "one"}, json.dumps(said).encode(), self.key)


@dataclasses.dataclass
class Way:
    """From a browser by the provider and back."""

    idp: Idp
    store: Store
    browser: httpx.AsyncClient

    async def begin(self, to: str = "/console", expected: int = 303) -> dict[str, str]:
        """What the provider is told."""
        response = await self.browser.get("/auth/oidc/demo/start", params={"to": to})
        assert response.status_code == expected, response.text
        if expected != 303:
            assert response.json()["error"]["code"] == ("INT009" if expected == 502 else "INT002")
            return {}
        place = urlsplit(response.headers["location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == f"{self.idp.issuer}/authorize"
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        self.idp.nonce, self.idp.challenge = query["nonce"], query["code_challenge"]
        return query

    async def end(self, **answer: str) -> httpx.Response:
        return await self.browser.get(f"/auth/oidc/callback?{urlencode(answer)}")

    async def sign_in(self) -> httpx.Response:
        query = await self.begin()
        return await self.end(state=query["state"], code="good", iss=self.idp.issuer)

    async def why(self) -> str:
        """Of the newest sign-in that was refused."""
        found = await self.store.read(audit.newest, 1, EventFilter(action="session.create"), limit=1)
        assert found[0].document["outcome"] == "denied"
        return str(found[0].document["details"]["why"])

    async def settings(self, **oidc: Any) -> None:
        known = {"issuer": self.idp.issuer, "client_id": CLIENT, "domain": "example.org"}
        known["authority"] = self.idp.authority.cert_pem.bytes().decode()
        query = organization.update().where(organization.c.id == 1).values(settings={"oidc": known | oidc})
        await self.store.write(lambda connection: connection.execute(query))


@pytest.fixture
async def way(running: Running) -> AsyncIterator[Way]:
    hub, idp = running.hub, Idp()
    assert hub is not None
    assert hub.http is not None
    await idp.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.http.port}/api/v1", timeout=30) as browser:
        way = Way(idp, hub.store, browser)
        await way.settings()
        await hub.store.write(users.add, hub.store.hash, 1, EMAIL, "Ada", [Grant(Role.VIEWER)])
        yield way
    await idp.listener.stop()


@pytest.mark.ledger_part("S0-37", "identity is a port: an OpenID Connect provider, or accounts of the hub")
async def test_a_person_who_was_invited_signs_in_by_a_verified_address(way: Way) -> None:
    query = await way.begin("/console?tab=1")
    assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == ("code", CLIENT, "S256")
    assert query["redirect_uri"].endswith("/api/v1/auth/oidc/callback")
    response = await way.end(state=query["state"], code="good", iss=way.idp.issuer)
    assert (response.status_code, response.headers["location"]) == (303, "/console?tab=1"), response.text
    cookies = [one for one in response.headers.get_list("set-cookie") if one.startswith("hilum_session=")]
    assert "HttpOnly" in cookies[0]
    assert "SameSite=lax" in cookies[0]
    me = (await way.browser.get("/auth/me")).json()
    assert (me["name"], me["csrf_token"] is not None) == ("Ada", True)
    ((path, form, authorization),) = way.idp.asked
    assert (path, form["client_id"], form["redirect_uri"], authorization) == (
        "/token", CLIENT, query["redirect_uri"], "",
    )  # fmt: skip
    (account,) = await way.store.read(sign_ins.by_email, way.store.hash, EMAIL)
    assert (account.state, account.password) == ("active", None)
    (linked,) = await way.store.read(audit.newest, 1, EventFilter(action="user.link-provider"), limit=9)
    assert linked.document["after"] == {"state": "active", "provider": "linked"}


async def test_the_subject_is_known_when_the_address_is_somebody_else_s(way: Way) -> None:
    await way.sign_in()
    await way.store.write(users.add, way.store.hash, 1, "eve@example.org", "Eve", [Grant(Role.VIEWER)])
    way.idp.claims = {"email": "eve@example.org"}
    await way.sign_in()
    assert (await way.browser.get("/auth/me")).json()["name"] == "Ada"


async def test_the_code_and_the_secret_are_in_no_job(way: Way, running: Running) -> None:
    body = {"name": "idp", "kind": "generic", "secrets": {"client_secret": "s3cret-canary/+"}}
    made = await running.local.post("/api/v1/credentials", json=body)
    assert made.status_code == 201, made.text
    await way.settings(credential="idp.client_secret")
    assert (await way.sign_in()).status_code == 303
    _, form, authorization = way.idp.asked[0]
    pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    assert pair == f"{CLIENT}:s3cret-canary%2F%2B"
    assert "client_id" not in form
    rows = await way.store.read(lambda connection: connection.execute(job.select()).all())
    assert {row.kind for row in rows} >= {"oidc_discover", "oidc_exchange"}
    for hidden in ("s3cret-canary", "good", form["code_verifier"], EMAIL):
        assert hidden not in repr([(row.arguments, row.result) for row in rows])


async def test_an_answer_for_another_browser_signs_nobody_in(way: Way) -> None:
    """Login CSRF: somebody else's code, state or cookie."""
    query = await way.begin()
    assert (await way.end(state="another", code="good")).status_code == 401
    assert (await way.end(state="", code="good")).status_code == 401
    assert (await way.end(state=query["state"])).status_code == 401
    pending = way.browser.cookies["hilum_oidc"]
    way.browser.cookies.clear()
    assert (await way.end(state=query["state"], code="good")).status_code == 401
    way.browser.cookies.set("hilum_oidc", pending[:-2] + "xx")
    assert (await way.end(state=query["state"], code="good")).status_code == 401
    assert (await way.browser.get("/auth/me")).status_code == 401
    assert not way.idp.asked


async def test_a_provider_that_refuses_signs_nobody_in(way: Way) -> None:
    query = await way.begin()
    assert (await way.end(state=query["state"], error="access_denied")).status_code == 401
    assert (await way.end(state=query["state"], code="wrong")).status_code == 401
    assert await way.why() == "the provider answered 400: invalid_grant"
    assert (await way.end(state=query["state"], code="good", iss="https://evil.example")).status_code == 401


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "another"}, "the ID token is for another client"),
        ({"iss": "https://evil.example"}, "the ID token is another issuer's"),
        ({"nonce": "another"}, "the ID token is of another sign-in"),
        ({"exp": 1}, "the ID token does not hold now"),
        ({"email_verified": False}, "the provider verified no address of the organization's domain"),
        ({"email": "ada@evil.example"}, "the provider verified no address of the organization's domain"),
        ({"email": "eve@example.org"}, "the organization has no user of this address"),
    ],
)
async def test_an_id_token_that_does_not_fit_signs_nobody_in(way: Way, claims: dict[str, Any], why: str) -> None:
    way.idp.claims = claims
    response = await way.sign_in()
    assert (response.status_code, response.json()["error"]["message"]) == (401, "the provider's answer signs nobody in")
    assert await way.why() == why
    assert (await way.browser.get("/auth/me")).status_code == 401


async def test_who_is_disabled_does_not_come_in_by_a_provider(way: Way) -> None:
    await way.sign_in()
    await way.store.write(lambda connection: connection.execute(user.update().values(state="disabled")))
    way.store.signal("changed/user")
    assert (await way.sign_in()).status_code == 401
    assert await way.why() == "the user is disabled"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "http://localhost/authorize"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
async def test_a_provider_that_says_odd_things_of_itself_is_not_gone_to(way: Way, metadata: dict[str, Any]) -> None:
    way.idp.metadata = metadata
    await way.begin(expected=502)


async def test_another_certificate_is_not_the_provider(way: Way) -> None:
    await way.settings(authority=trustme.CA().cert_pem.bytes().decode())
    await way.begin(expected=502)


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a b"])
async def test_the_way_back_stays_on_the_hub(way: Way, to: str) -> None:
    await way.begin(to, 400)


async def test_an_organization_without_a_provider_is_as_if_there_were_none(way: Way) -> None:
    query = organization.update().where(organization.c.id == 1).values(settings={})
    await way.store.write(lambda connection: connection.execute(query))
    without = await way.browser.get("/auth/oidc/demo/start")
    unknown = await way.browser.get("/auth/oidc/nobody/start")
    assert without.status_code == unknown.status_code == 404
    assert without.json()["error"]["message"] == unknown.json()["error"]["message"]


async def test_the_way_back_is_the_hubs_own_address_whatever_the_browser_says(way: Way, running: Running) -> None:
    """With HILUM_URL a Host header that somebody made up leads nowhere."""
    assert running.hub is not None
    running.hub.services().oidc._url = "https://hub.example.org"
    way.browser.headers["host"] = "evil.example.org"
    assert (await way.begin())["redirect_uri"] == "https://hub.example.org/api/v1/auth/oidc/callback"
