"""A code becomes a person: asked with PKCE and the client's secret, sealed on its way in and out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from hilum import clock
from hilum.errors import Conflict, Refused, StoreError
from hilum.jobs import Context, oidc_exchange
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
QUESTION = {
    "issuer": ISSUER, "authority": "", "client": "hilum", "secret": None, "code": "good", "verifier": "v" * 43,
    "redirect": "https://hub.example/callback", "nonce": "n-1",
}  # fmt: skip
Dialing = Callable[[Callable[[httpx.Request], httpx.Response]], Context]
Jobs = Callable[..., Job]


class Provider:
    """Answers as one does. `claims` are put over those of its ID token, `answer` in the place of its token answer."""

    def __init__(self, answer: dict[str, Any] | None = None, **claims: Any) -> None:
        self.answer, self.claims = answer, claims
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [KEY.as_dict(private=False)]})
        if request.url.path == "/token":
            return httpx.Response(200, json=self.answer or {"id_token": self.token()})
        known = {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/a", "token_endpoint": f"{ISSUER}/token"}
        return httpx.Response(200, json={**known, "jwks_uri": f"{ISSUER}/keys"})

    def token(self) -> str:
        now = clock.micros() // 1_000_000
        said = {
            "iss": ISSUER, "aud": "hilum", "sub": "s-1", "nonce": "n-1", "iat": now, "exp": now + 60,
            "email": "ada@example.org", "email_verified": True, **self.claims,
        }  # fmt: skip
        return jws.serialize_compact({"alg": "RS256", "kid": "one"}, json.dumps(said).encode(), KEY)


async def exchanged(context: Context, job: Jobs, **question: Any) -> dict[str, Any]:
    """What the job found out, opened."""
    sealed = context.store.sealer.seal(json.dumps({**QUESTION, **question}).encode(), oidc_exchange.QUESTION)
    result = await oidc_exchange.run(context, job("oidc_exchange", question=sealed.hex()))
    assert "ada" not in repr(result)
    opened: dict[str, Any] = json.loads(
        context.store.sealer.open(bytes.fromhex(result["answer"]), oidc_exchange.ANSWER)
    )
    return opened


async def test_a_public_client_shows_its_verifier(dialing: Dialing, job: Jobs) -> None:
    provider = Provider()
    assert await exchanged(dialing(provider), job) == {"subject": "s-1", "email": "ada@example.org"}
    asked = next(one for one in provider.asked if one.url.path == "/token")
    assert dict(parse_qsl(asked.content.decode())) == {
        "grant_type": "authorization_code", "code": "good", "code_verifier": "v" * 43, "client_id": "hilum",
        "redirect_uri": "https://hub.example/callback",
    }  # fmt: skip
    assert "authorization" not in asked.headers


async def test_a_client_with_a_secret_says_it_in_the_header_alone(dialing: Dialing, job: Jobs) -> None:
    provider = Provider()
    await exchanged(dialing(provider), job, secret="a/b+c: é")
    asked = next(one for one in provider.asked if one.url.path == "/token")
    pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "hilum:a%2Fb%2Bc%3A%20%C3%A9"  # RFC 6749, section 2.3.1
    assert "a%2Fb" not in asked.content.decode()


@pytest.mark.parametrize("provider", [Provider(nonce="n-2"), Provider(aud="another"), Provider({"access_token": "x"}),
                                      Provider({"id_token": "x.y.z"}), Provider({"id_token": 7})])  # fmt: skip
async def test_what_does_not_fit_is_refused(dialing: Dialing, job: Jobs, provider: Provider) -> None:
    with pytest.raises(Refused):
        await exchanged(dialing(provider), job)


async def test_a_question_that_the_hub_did_not_seal_is_not_asked(context: Context, dialing: Dialing, job: Jobs) -> None:
    provider = Provider()
    sealed = context.store.sealer.seal(json.dumps(QUESTION).encode(), oidc_exchange.ANSWER)
    with pytest.raises(StoreError):
        await oidc_exchange.run(dialing(provider), job("oidc_exchange", question=sealed.hex()))
    assert provider.asked == []
    with pytest.raises(Conflict):
        await exchanged(context, job)
