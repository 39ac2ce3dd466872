"""What a provider says of itself is believed where it is its own word, and encrypted."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from hilum.errors import Conflict, Refused
from hilum.jobs import Context, oidc_discover
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example"
KNOWN = {
    "issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}  # fmt: skip
Dialing = Callable[[Callable[[httpx.Request], httpx.Response]], Context]
Jobs = Callable[..., Job]


async def test_the_place_to_sign_in_is_found(dialing: Dialing, job: Jobs) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, str(request.url)))
        return httpx.Response(200, json=KNOWN)

    found = await oidc_discover.run(dialing(answer), job("oidc_discover", issuer=f"{ISSUER}", authority=""))
    assert found == {"place": f"{ISSUER}/authorize"}
    assert asked == [("GET", f"{ISSUER}/.well-known/openid-configuration")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(302, headers={"location": "https://evil.example"}), "answered 302"),
        (httpx.Response(500, text="<html>"), "answered 500"),
        (httpx.Response(404, json={"error": "not_found"}), "answered 404: not_found"),
        (httpx.Response(404, json={"error": "Ada Lovelace, born 1815"}), "answered 404"),
        (httpx.Response(200, text="<html>"), "no JSON object"),
        (httpx.Response(200, json=[]), "no JSON object"),
        (httpx.Response(200, content=b" " * 300_000), "too large"),
        (httpx.Response(200, json={**KNOWN, "issuer": "https://evil.example"}), "another issuer"),
        (httpx.Response(200, json={**KNOWN, "authorization_endpoint": "http://id.example/a"}), "no https address"),
        (httpx.Response(200, json={**KNOWN, "token_endpoint": 7}), "no https address"),
        (httpx.Response(200, json={**KNOWN, "jwks_uri": "https:///keys"}), "no https address"),
    ],
)
async def test_what_is_not_its_word_is_refused(dialing: Dialing, job: Jobs, answer: httpx.Response, why: str) -> None:
    with pytest.raises(Refused) as refused:
        await oidc_discover.run(dialing(lambda _: answer), job("oidc_discover", issuer=ISSUER, authority=""))
    assert why in str(refused.value)
    assert "Ada" not in str(refused.value)


async def test_a_provider_that_cannot_be_reached_is_told(dialing: Dialing, job: Jobs) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no way there")

    with pytest.raises(Refused, match=r"cannot be reached \(ConnectError\)"):
        await oidc_discover.run(dialing(answer), job("oidc_discover", issuer=ISSUER, authority=""))


async def test_it_needs_a_dialer(context: Context, job: Jobs) -> None:
    with pytest.raises(Conflict):
        await oidc_discover.run(context, job("oidc_discover", issuer=ISSUER, authority=""))


async def test_certificates_that_cannot_be_read_are_told(dialing: Dialing, job: Jobs) -> None:
    context = dialing(lambda _: httpx.Response(200, json=KNOWN))
    broken = job("oidc_discover", issuer=ISSUER, authority="-----BEGIN CERTIFICATE-----\nx")
    with pytest.raises(Refused, match="cannot be read"):
        await oidc_discover.run(context, broken)
