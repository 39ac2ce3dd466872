"""Access tokens over HTTP: who has none, or one that is not ours, is nobody; and what ends one before its time."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hilum import clock
from hilum.api import Edge, create_app
from hilum.api.surface import served
from hilum.security.tokens import SigningKey
from hilum.store import signing_keys

pytestmark = pytest.mark.anyio
ADA = {"email": "ada@example.org", "password": "correct horse battery"}
OPEN = {
    "/api/v1/oauth/callback",  # the state that people bring back is their proof
    "/health/live", "/health/ready", "/metrics",  # metrics: for this machine, or with a token of its own
    "/api/v1/docs", "/api/v1/openapi.json",  # where the operator switched them on
    "/api/v1/auth/oidc/callback", "/api/v1/auth/oidc/{organization}/start",
    "/api/v1/auth/jwks", "/api/v1/auth/token", "/api/v1/auth/session", "/api/v1/auth/refresh",
    "/api/v1/auth/link", "/api/v1/auth/link/look", "/api/v1/webhooks/in/{receiver_id}",
    "/api/v1/exports/links/{token}",
}  # fmt: skip
"""What answers without a token: it tells nothing, or is how one gets a token, by what it is given."""


@dataclasses.dataclass
class Door:
    """The TCP side of a running hub, and its newest signing key."""

    app: Any
    http: httpx.AsyncClient
    key: SigningKey

    async def ask(self, token: str | None, path: str = "/api/v1/auth/me", **options: Any) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.http.request(options.pop("method", "GET"), path, headers=headers, **options)

    async def sign_in(self) -> dict[str, str]:
        response = await self.http.post("/api/v1/auth/token", json=ADA)
        assert response.status_code == 200, response.text
        found: dict[str, str] = response.json()
        return found


@pytest.fixture
async def door(running: Any) -> AsyncIterator[Door]:
    app = create_app(running.hub.services(), local=False, edge=Edge.read(unknown=10_000, logged=False))
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        first = {"token": running.hub.first_link, "name": "Ada Lovelace", **ADA}
        assert (await http.post("/api/v1/auth/link", json=first)).status_code == 204
        await http.post("/api/v1/auth/token", json=ADA)
        keys = await running.hub.store.read(signing_keys.read, running.hub.store.sealer)
        yield Door(app, http, keys[-1])


def encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    return json.loads(base64.urlsafe_b64decode(header + "==")), json.loads(base64.urlsafe_b64decode(claims + "=="))


def forged(token: str, door: Door, header: Any = None, claims: Any = None, sign: Any = None) -> str:
    """A token with other words in it (None: without them), signed by the hub's own key unless told otherwise."""
    head, said = decode(token)
    parts = [{**head, **(header or {})}, {**said, **(claims or {})}]
    data = ".".join(encode({name: value for name, value in one.items() if value is not None}) for one in parts)
    own = Ed25519PrivateKey.from_private_bytes(door.key.private).sign
    return f"{data}.{encode((sign or own)(data.encode()))}"


def attacks(token: str, door: Door) -> dict[str, str]:
    """RFC 8725, section 2 and 3: each is a good token but for one thing."""
    now = clock.micros() // 1_000_000
    public = Ed25519PrivateKey.from_private_bytes(door.key.private).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    other, weak = SigningKey.make(clock.micros()), rsa.generate_private_key(65_537, 2_048)
    theirs = Ed25519PrivateKey.from_private_bytes(other.private).sign
    return {
        "no signature, as alg none": forged(token, door, {"alg": "none"}, sign=lambda _: b""),
        "no signature": token.rpartition(".")[0] + ".",
        "the public key as an HMAC's secret": forged(
            token, door, {"alg": "HS256"}, sign=lambda data: hmac.digest(pem, data, hashlib.sha256)
        ),
        "RSA": forged(
            token, door, {"alg": "RS256"}, sign=lambda data: weak.sign(data, padding.PKCS1v15(), hashes.SHA256())
        ),
        "another key under our kid": forged(token, door, sign=theirs),
        "an unknown kid": forged(token, door, {"kid": other.kid}, sign=theirs),
        "no kid": forged(token, door, {"kid": None}),
        "a key that it brings along": forged(token, door, {"kid": other.kid, "jwk": other.public}, sign=theirs),
        "a place to look for keys": forged(token, door, {"jku": "https://attacker.example/jwks"}),
        "typ JWT": forged(token, door, {"typ": "JWT"}),
        "no typ": forged(token, door, {"typ": None}),
        "another issuer": forged(token, door, claims={"iss": f"urn:uuid:{uuid.uuid4()}"}),
        "another audience": forged(token, door, claims={"aud": "another"}),
        "no audience": forged(token, door, claims={"aud": None}),
        "expired": forged(token, door, claims={"iat": now - 1_000, "nbf": now - 1_000, "exp": now - 100}),
        "without an end": forged(token, door, claims={"exp": None}),
        "for a day": forged(token, door, claims={"exp": now + 86_400}),
        "not yet": forged(token, door, claims={"nbf": now + 600}),
        "of nobody": forged(token, door, claims={"sub": str(uuid.uuid4())}),
        "of no session": forged(token, door, claims={"sid": str(uuid.uuid4())}),
        "of another organization": forged(token, door, claims={"org": str(uuid.uuid4())}),
    }


@pytest.mark.ledger("S0-28")
async def test_without_a_token_of_ours_that_holds_one_is_nobody(door: Door) -> None:
    walked = 0
    for method, path, _ in served(door.app):
        if path not in OPEN:
            walked += 1
            at = re.sub(r"\{[^}]*\}", str(uuid.UUID(int=0)), path)
            response = await door.ask(None, at, method=method)
            assert response.status_code == 401, (method, path)
            code = "EXP003" if at.startswith("/api/v1/exports") else "INT003"
            assert response.json()["error"]["code"] == code
            assert response.headers["www-authenticate"].startswith("Bearer")
    assert walked > 80

    tokens = await door.sign_in()
    token = tokens["access_token"]
    assert (await door.ask(token)).json()["name"] == "Ada Lovelace"
    assert (await door.ask(forged(token, door))).status_code == 200, "what the attacks below begin with does hold"
    for name, text in attacks(token, door).items():
        assert (await door.ask(text)).status_code == 401, name

    jti = decode(token)[1]["jti"]
    newer = (await door.ask(None, "/api/v1/auth/refresh", method="POST", json={
        "refresh_token": tokens["refresh_token"]
    })).json()["access_token"]  # fmt: skip
    assert decode(newer)[1]["sid"] == decode(token)[1]["sid"]
    revoked = await door.ask(newer, "/api/v1/auth/revoke", method="POST", json={"token": token})
    assert revoked.status_code == 204, revoked.text
    assert (await door.ask(token)).status_code == 401, "its jti is on the list"
    assert (await door.ask(forged(token, door, claims={"exp": decode(token)[1]["exp"] - 1}))).status_code == 401
    assert (await door.ask(newer)).status_code == 200, "another one of the same session is not"
    event = (await door.ask(newer, "/api/v1/audit?action=token.revoke")).json()["items"][0]["event"]
    assert (event["before"], event["outcome"]) == ({"token": jti}, "success")

    before = (await door.ask(None, "/api/v1/auth/jwks")).json()["keys"]
    assert (await door.ask(newer, "/api/v1/auth/keys", method="POST")).status_code == 204
    after = (await door.ask(None, "/api/v1/auth/jwks")).json()["keys"]
    assert [one["kid"] for one in after[:-1]] == [one["kid"] for one in before]
    assert (await door.ask(newer)).status_code == 200, "what the old key signed holds until it expires"
    last = (await door.sign_in())["access_token"]
    assert decode(last)[0]["kid"] == after[-1]["kid"] != decode(newer)[0]["kid"]
    assert (await door.ask(last)).status_code == 200

    assert (await door.ask(last, "/api/v1/auth/sessions", method="DELETE")).status_code == 204
    assert [(await door.ask(one)).status_code for one in (newer, last)] == [401, 401]


async def test_one_revokes_one_s_own_tokens_alone(door: Door, running: Any) -> None:
    mine, other = (await door.sign_in())["access_token"], (await door.sign_in())["access_token"]
    for text in ("nonsense", attacks(mine, door)["expired"]):
        assert (await door.ask(mine, "/api/v1/auth/revoke", method="POST", json={"token": text})).status_code == 404
    invited = await door.ask(mine, "/api/v1/users", method="POST", json={
        "email": "eve@example.org", "name": "Eve", "roles": [{"role": "viewer"}]
    })  # fmt: skip
    eve = {"email": "eve@example.org", "password": "violet umbrella 9"}
    link = {"token": invited.json()["link"]["token"], "password": eve["password"]}
    assert (await door.http.post("/api/v1/auth/link", json=link)).status_code == 204
    hers = (await door.http.post("/api/v1/auth/token", json=eve)).json()["access_token"]
    assert (await door.ask(hers, "/api/v1/auth/revoke", method="POST", json={"token": mine})).status_code == 404
    assert (await door.ask(mine)).status_code == 200
    for _ in range(2):  # once more changes nothing
        assert (await door.ask(mine, "/api/v1/auth/revoke", method="POST", json={"token": other})).status_code == 204
    assert [(await door.ask(one)).status_code for one in (mine, other, hers)] == [200, 401, 200]
