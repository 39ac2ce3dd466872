"""OAuth 2 against a server of our own: every grant, every way for a client to sign in, and what goes wrong."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import trustme
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from hilum.errors import ConfigError
from hilum.outbound.dialer import Dialer
from hilum.outbound.tokens import Tokens
from hilum.sdk.authentication import OAuth2, read
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.http import Answer
from hilum.sdk.testing import free_port
from hilum.security.egress import LOOPBACK, Policy

pytestmark = pytest.mark.anyio
SECRET = "canary-secret/with:odd & characters"  # what RFC 6749, 2.3.1 has to encode
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-384", {"kid": "ec-1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})


def pem(key: Key) -> str:
    return key.as_pem(private=True).decode()


def configured(server: Any, **values: Any) -> OAuth2:
    found = read({"type": "oauth2", "token_url": f"{server.url}/token", "client_id": "hub", **values})
    assert isinstance(found, OAuth2)
    return found


async def called(
    dialer: Dialer, server: Any, config: OAuth2, times: int = 1, tls: ssl.SSLContext | None = None
) -> list[int]:
    """What the API answers, by one transport. Raises Failed."""
    transport = dialer.transport(tls=tls, authentication=config)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        return [(await client.post(f"{server.url}/api", content=b"{}")).status_code for _ in range(times)]


# How the client signs in


@pytest.mark.ledger_part("S3-33", "client credentials with a secret, as basic and in the form")
@pytest.mark.ledger_part("S2-27", "client credentials against a server of our own")
@pytest.mark.parametrize("way", ["basic", "post", None])
async def test_a_client_signs_in_with_its_secret(server: Any, client: Any, dialer: Dialer, way: str | None) -> None:
    server.clients["hub"] = client(way or "basic", SECRET)
    config = configured(server, client_secret=SECRET, client_authentication=way, scopes=["a", "b"], audience="api")
    assert await called(dialer, server, config, 3) == [200, 200, 200]
    (form,) = server.asked
    assert (form["grant_type"], form["scope"], form["audience"]) == ("client_credentials", "a b", "api")
    assert ("client_secret" in form) is (way == "post")


@pytest.mark.ledger_part("S3-33", "private_key_jwt with RS384, ES384 and others, each assertion once")
@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS384"), (RSA, "PS256"), (EC, "ES384"), (ED, "EdDSA")],
    ids=lambda one: str(one) if isinstance(one, str) else one.key_type,
)
async def test_a_client_signs_in_with_its_key(
    server: Any, client: Any, dialer: Dialer, key: Key, algorithm: str
) -> None:
    server.answer = {"expires_in": 0}  # so that each call asks anew
    public = type(key).import_key({**key.as_dict(private=False)})
    server.clients["hub"] = client("private_key_jwt", key=public, algorithm=algorithm)
    private = json.dumps(key.as_dict(private=True)) if algorithm == "RS256" else pem(key)
    config = configured(
        server, client_authentication="private_key_jwt", private_key=private, algorithm=algorithm, key_id=key.kid
    )
    assert await called(dialer, server, config, 2) == [200, 200]
    assert len({form["client_assertion"] for form in server.asked}) == len(server.asked) == 2
    stranger = configured(
        server, client_authentication="private_key_jwt", private_key=pem(RSAKey.generate_key(2048)),
        algorithm="RS384", key_id=key.kid,
    )  # fmt: skip
    with pytest.raises(Failed, match="invalid_client"):
        await called(dialer, server, stranger)


@pytest.mark.ledger_part("S3-33", "tls_client_auth over mutual TLS")
async def test_a_client_signs_in_by_its_certificate(open_server: Any, client: Any, dialer: Dialer) -> None:
    authority = trustme.CA()
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(listening)
    authority.configure_trust(listening)
    listening.verify_mode = ssl.CERT_REQUIRED
    server = await open_server(listening, "localhost")
    server.clients["hub"] = client("tls")

    def trusting() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    def shown(by: trustme.CA) -> OAuth2:
        leaf = by.issue_cert("hub@hospital.example")
        chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
        return configured(server, client_authentication="tls_client_auth", certificate=chain, key=key)

    assert await called(dialer, server, shown(authority), 2, trusting()) == [200, 200]
    assert [form["client_id"] for form in server.asked] == ["hub"]
    with pytest.raises(Failed):
        await called(dialer, server, shown(trustme.CA()), 1, trusting())
    assert len(server.asked) == 1


# Grants


@pytest.fixture
def consenting(server: Any, client: Any) -> OAuth2:
    """A public client, by PKCE, of a server that rotates refresh tokens."""
    server.clients["hub"] = client("none")
    server.refreshing = True
    return configured(
        server, grant_type="authorization_code", authorization_url=f"{server.url}/authorize",
        redirect_uri="https://hub.example/back", scopes=["read"],
    )  # fmt: skip


async def code(config: OAuth2, verifier: str) -> str:
    """What a person who consents comes back with."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(config.consent("state-1", verifier))
    back = urlsplit(answer.headers["location"])
    said = dict(parse_qsl(back.query))
    assert (back.netloc, said["state"]) == ("hub.example", "state-1")
    return said["code"]


@pytest.mark.ledger_part("S3-33", "authorization code with PKCE, refreshed by rotating refresh tokens")
@pytest.mark.ledger_part("S2-27", "authorization code with PKCE, refresh rotation")
async def test_a_person_consents_once(server: Any, dialer: Dialer, consenting: OAuth2) -> None:
    with pytest.raises(Failed, match="nobody has consented") as caught:
        await called(dialer, server, consenting)
    assert caught.value.fault is Fault.CONSENT
    await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    assert await called(dialer, server, consenting) == [200]
    for _ in range(3):
        server.revoke()
        assert await called(dialer, server, consenting) == [200]
    refreshed = [form["refresh_token"] for form in server.asked if form["grant_type"] == "refresh_token"]
    assert len(set(refreshed)) == len(refreshed) == 3, "each refresh token was shown once"
    async with httpx.AsyncClient(trust_env=False) as thief:
        stolen = {"grant_type": "refresh_token", "refresh_token": refreshed[0], "client_id": "hub"}
        assert (await thief.post(consenting.token_url, data=stolen)).json()["error"] == "invalid_grant"
    for _ in range(2):  # the server ended the family: a person has to consent again
        asked = len(server.asked)
        with pytest.raises(Failed, match="authorize this connection again") as caught:
            await called(dialer, server, consenting)
        assert caught.value.fault is Fault.CONSENT
    assert len(server.asked) == asked, "what is over is not asked for again"
    await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    assert await called(dialer, server, consenting) == [200]


async def test_a_consent_is_for_one_holder(server: Any, tokens: Tokens, consenting: OAuth2) -> None:
    one, other = (Dialer([], Policy(allowed=LOOPBACK), "demo", tokens=tokens, holder=name) for name in ("lab", "er"))
    await one.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    assert await called(one, server, consenting) == [200]
    with pytest.raises(Failed, match="nobody has consented"):
        await called(other, server, consenting)


async def test_what_a_person_takes_back_is_used_no_more(server: Any, dialer: Dialer, consenting: OAuth2) -> None:
    await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    token = await dialer.forget(dialer.grant(consenting))
    assert token is not None
    with pytest.raises(Failed, match="nobody has consented"):
        await called(dialer, server, consenting)
    assert server.live, "until it is told, the server knows nothing of it"
    revoking = consenting.model_copy(update={"revocation_url": f"{server.url}/revoke"})
    await dialer.give_back(revoking, token)
    assert [(form["token_type_hint"], form["client_id"]) for form in server.revoked] == [("refresh_token", "hub")]
    assert not server.live
    assert await dialer.forget(dialer.grant(consenting)) is None


async def test_without_a_refresh_token_a_consent_ends_with_its_token(
    server: Any, dialer: Dialer, consenting: OAuth2
) -> None:
    server.refreshing = False
    await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    assert await called(dialer, server, consenting) == [200]
    server.revoke()
    with pytest.raises(Failed, match="gave no refresh token") as caught:
        await called(dialer, server, consenting)
    assert caught.value.fault is Fault.CONSENT


async def test_a_code_needs_its_verifier(server: Any, dialer: Dialer, consenting: OAuth2) -> None:
    with pytest.raises(Failed, match="400: invalid_grant") as caught:
        await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-2")
    assert caught.value.fault is Fault.AUTH
    assert not server.live


@pytest.mark.ledger_part("S3-33", "the grants refresh_token and JWT bearer")
async def test_other_grants(server: Any, client: Any, dialer: Dialer) -> None:
    server.clients["hub"] = client("none")
    server.keys["hub"] = (RSAKey.import_key(RSA.as_dict(private=False)), "RS384")
    bearer = configured(server, grant_type="jwt_bearer", private_key=pem(RSA), key_id="rsa-1", subject="patient-app")
    assert await called(dialer, server, bearer) == [200]
    server.refreshing, server.refresh["first"] = True, "family-1"
    refreshing = configured(server, grant_type="refresh_token", refresh_token="first")
    assert await called(dialer, server, refreshing) == [200]
    server.revoke()
    assert await called(dialer, server, refreshing) == [200]
    assert [form["grant_type"].rpartition(":")[2] for form in server.asked] == [
        "jwt-bearer", "refresh_token", "refresh_token",
    ]  # fmt: skip


@pytest.mark.ledger("S3-33")
async def test_every_grant_and_every_way_to_sign_in(
    open_server: Any, server: Any, client: Any, dialer: Dialer, consenting: OAuth2
) -> None:
    await dialer.consent(consenting, await code(consenting, "verifier-1"), "verifier-1")
    server.revoke()
    assert await called(dialer, server, consenting) == [200], "by PKCE, then refreshed"
    authority = trustme.CA()
    listening, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    for context in (listening, trusting):
        authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(listening)
    listening.verify_mode = ssl.CERT_REQUIRED
    mutual = await open_server(listening, "localhost")
    leaf = authority.issue_cert("hub@hospital.example")
    shown = {"certificate": leaf.cert_chain_pems[0].bytes().decode(), "key": leaf.private_key_pem.bytes().decode()}
    server.refresh["first"] = "family"
    server.keys["hub"] = (RSA, "RS384")
    for known, values in (
        (client("basic", SECRET), {"client_secret": SECRET}),
        (client("post", SECRET), {"client_secret": SECRET, "client_authentication": "post"}),
        (client("private_key_jwt", key=RSA, algorithm="RS384"), {
            "client_authentication": "private_key_jwt", "private_key": pem(RSA), "key_id": "rsa-1"}),
        (client("private_key_jwt", key=EC, algorithm="ES384"), {
            "client_authentication": "private_key_jwt", "private_key": pem(EC), "key_id": "ec-1",
            "algorithm": "ES384"}),
        (client("none"), {"grant_type": "refresh_token", "refresh_token": "first"}),
        (client("none"), {"grant_type": "jwt_bearer", "private_key": pem(RSA), "key_id": "rsa-1"}),
        (client("tls"), {"client_authentication": "tls_client_auth", **shown}),
    ):  # fmt: skip
        asked = mutual if known.way == "tls" else server
        asked.clients["hub"] = known
        assert await called(dialer, asked, configured(asked, **values), tls=trusting) == [200], values
    with pytest.raises(ConfigError, match="the password grant is refused"):
        configured(server, grant_type="password", client_secret=SECRET)


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "fault", "reason"),
    [
        (Answer(400, b'{"error": "invalid_scope", "error_description": "canary"}'), Fault.AUTH, "400: invalid_scope"),
        (Answer(401, b'{"error": "canary <b>code</b>"}'), Fault.AUTH, "it answered 401"),
        (Answer(403, b"{}"), Fault.FORBIDDEN, "403"),
        (Answer(404, b"<html>canary"), Fault.NOT_FOUND, "404"),
        (Answer(429, b""), Fault.RATE_LIMITED, "429"),
        (Answer(503, b'{"error": "temporarily_unavailable"}'), Fault.HTTP_5XX, "503"),
        (Answer(302, b"", headers={"location": "http://127.0.0.1:1/"}), Fault.PROTOCOL, "302"),
        (Answer(200, b"canary"), Fault.PROTOCOL, "no access token"),
        (Answer(200, b"[" * 9_999), Fault.PROTOCOL, "no access token"),
        (Answer(200, b'{"access_token": "a\\r\\nX: canary"}'), Fault.PROTOCOL, "no access token"),
        (Answer(200, b'{"access_token": "abcdef", "token_type": "mac"}'), Fault.PROTOCOL, "another type"),
        (Answer(200, b"x" * 300_000), Fault.PROTOCOL, "too large"),
    ],
)
async def test_an_error_is_told_by_its_code_alone(
    server: Any, dialer: Dialer, answer: Answer, fault: Fault, reason: str, served_log: Callable[[], str]
) -> None:
    server.broken = answer
    with pytest.raises(Failed, match=reason) as caught:
        await called(dialer, server, configured(server, client_secret=SECRET))
    assert caught.value.fault is fault
    assert "canary" not in str(caught.value) + served_log()
    assert "no token" in served_log()
    assert not server.requests


async def test_a_server_that_is_not_there_or_not_allowed(server: Any, tokens: Tokens, dialer: Dialer) -> None:
    values = {"client_secret": SECRET, "token_url": f"http://127.0.0.1:{free_port()}/token"}
    with pytest.raises(Failed, match="the token URL: Connection refused") as caught:
        await called(dialer, server, configured(server, **values))
    assert caught.value.fault is Fault.REFUSED
    with pytest.raises(Failed, match="operator") as caught:
        await called(Dialer([], Policy(), tokens=tokens), server, configured(server, client_secret=SECRET))
    assert caught.value.fault is Fault.BLOCKED_BY_POLICY
    values["token_url"] = "https://no-such-host.invalid/token"
    with pytest.raises(Failed) as caught:
        await called(dialer, server, configured(server, **values))
    assert caught.value.fault is Fault.DNS


async def test_what_cannot_work_is_said_before_anybody_is_asked(server: Any, tmp_path: Path) -> None:
    config = configured(server, client_authentication="private_key_jwt", private_key="canary")
    with pytest.raises(ConfigError, match="OAuth2: the key cannot be read") as caught:
        Dialer([tmp_path], Policy(allowed=LOOPBACK)).transport(authentication=config)
    assert "canary" not in str(caught.value)
