"""A person lets the hub in at a partner's authorization server, however the client signs in there."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from joserfc.jwk import ECKey

from hilum.sdk.testing.oauth2 import Client, authorization_server
from hilum.services.consents import CALLBACK

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
SECRET = "canary-secret-of-the-client"
PUBLIC = "https://hub.example.org"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EC = ECKey.generate_key("P-384", {"kid": "ec-1"})


@pytest.mark.ledger_part("S3-33", "a person consents through the API, and comes back to the hub")
@pytest.mark.ledger_part("S2-27", "consent through the API, on both databases")
async def test_a_person_consents(site: Any, until: Until) -> None:
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET, run=True)
    before = (await ann.get(f"/integrations/{lab}")).json()
    assert before["status"] == "error"
    assert "nobody has consented" in before["last_error"]
    url = await site.begin(ann, lab)
    query = dict(parse_qsl(urlsplit(url).query))
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert (query["client_id"], query["scope"], query["redirect_uri"]) == ("hub", "read write", PUBLIC + CALLBACK)
    given = (await site.back(await site.consent(url))).json()
    assert given == {"integration_id": lab, "integration": "Lab", "scopes": ["read", "write"], "lacking": []}
    shown = await site.shown(ann, lab)
    assert (shown["state"], shown["given_by"], shown["scopes"]) == ("given", "ann", ["read", "write"])
    assert (shown["endpoints"], shown["expires_at"], shown["advice"]) == (["api"], None, None)
    assert (await site.tested(ann, lab))["success"]

    async def is_active() -> bool:
        return bool((await ann.get(f"/integrations/{lab}")).json()["status"] == "active")

    await until(is_active)
    (event,) = await site.events("consent.give")
    assert (event["actor"]["name"], event["entity"]) == ("ann", f"integration/{lab}")
    assert event["after"] == {"consent": "given", "scopes": ["read", "write"]}
    (answer,) = await site.events("consent.answer")
    assert (answer["outcome"], answer["actor"]["name"], answer["entity"]) == ("success", "ann", f"integration/{lab}")
    (begun,) = await site.events("consent.begin")
    assert begun["after"] == {"authorize": ["api"], "scopes": ["read", "write"]}


@pytest.mark.ledger_part("S3-33", "authorization code with every way for a client to sign in")
@pytest.mark.parametrize("way", ["basic", "post", "private_key_jwt", "none"])
async def test_however_the_client_signs_in(embedded: Any, way: str) -> None:
    site, server = embedded, embedded.server
    server.clients["hub"] = Client(way, SECRET, EC, "ES384")
    values: dict[str, Any] = {"client_authentication": way}
    if way in ("basic", "post"):
        values["client_secret"] = SECRET
    if way == "private_key_jwt":
        pem = EC.as_pem(private=True).decode()
        values |= {"private_key": pem, "algorithm": "ES384", "key_id": "ec-1"}
    ann = await site.person()
    lab = await site.integration(ann, **values)
    await site.allowed(ann, lab)
    assert (await site.tested(ann, lab))["success"]
    server.revoke()
    assert (await site.tested(ann, lab))["success"], "refreshed in the same way"
    assert [form["grant_type"] for form in server.asked] == ["authorization_code", "refresh_token"]


async def test_by_a_certificate(open_site: Any) -> None:
    authority = trustme.CA()
    listening, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    for context in (listening, trusting):
        authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(listening)
    listening.verify_mode = ssl.CERT_REQUIRED
    leaf = authority.issue_cert("hub@hospital.example")
    leaf.configure_cert(trusting)
    chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
    async with (
        authorization_server(listening, "localhost") as server,
        open_site(server) as site,
    ):
        server.clients["hub"], server.refreshing = Client("tls"), True
        ann = await site.person()
        lab = await site.integration(
            ann, client_authentication="tls_client_auth", certificate=chain, key=key,
            tls={"ca": authority.cert_pem.bytes().decode()},
        )  # fmt: skip
        await site.allowed(ann, lab, trusting)
        assert (await site.tested(ann, lab))["success"]


async def test_a_browser_gets_a_page(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET, name="<b>Lab</b> & more")
    page = await site.back(await site.consent(await site.begin(ann, lab)), accept=HTML["accept"])
    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;Lab&lt;/b&gt; &amp; more may use: read write." in page.text
    assert "<b>Lab" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in page.text.lower() + policy.replace("default-src", "")
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    odd = {"state": "<script>", "error": "<script>alert(1)</script>", "error_description": "<script>"}
    refused = await site.back(odd, 409, accept=HTML["accept"])
    assert refused.headers["content-type"].startswith("text/html")
    assert "begin again" in refused.text
    assert "<script" not in refused.text
    assert [one["outcome"] for one in await site.events("consent.answer")] == ["success"]


async def test_scopes_that_were_not_given_are_named(embedded: Any) -> None:
    site = embedded
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    site.server.grants = "read"
    said = await site.consent(await site.begin(ann, lab))
    given = (await site.back(said)).json()
    assert (given["scopes"], given["lacking"]) == (["read"], ["write"])
    assert (await site.shown(ann, lab))["scopes"] == ["read"]
    said = await site.consent(await site.begin(ann, lab))
    page = await site.back(said, accept=HTML["accept"])
    assert "It was not given: write." in page.text
