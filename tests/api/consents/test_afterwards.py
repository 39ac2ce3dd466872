"""What becomes of a consent: refreshed, lapsed, taken back; and nobody sees a token."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.sdk.http import Answer
from hilum.sdk.testing.oauth2 import Client, authorization_server
from hilum.store import schema
from hilum.store.schema import partner_token

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
SECRET = "canary-secret-of-the-client"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.ledger_part(
    "S3-32", "what a person consented to is refreshed once, however many wait, also after a restart"
)
async def test_tokens_are_refreshed_once_however_many_wait(open_site: Any, url: str | None) -> None:
    async with authorization_server() as server:
        server.clients["hub"], server.refreshing = Client("basic", SECRET), True
        async with open_site(server, url) as site:
            ann = await site.person()
            lab = await site.integration(ann, client_secret=SECRET, run=True)
            await site.allowed(ann, lab)
            assert (await site.tested(ann, lab))["success"]
            endpoint = (await ann.get(f"/integrations/{lab}")).json()["endpoints"][0]["id"]
            server.revoke()
            path = f"/integrations/{lab}/endpoints/{endpoint}/execute"
            server.pause.clear()
            calls = [asyncio.create_task(ann.post(path, json={"data": {"n": n}})) for n in range(20)]
            async with asyncio.timeout(20):
                while len(server.asked) < 2:  # noqa: ASYNC110 - the server has no event for this
                    await asyncio.sleep(0.02)
            server.pause.set()
            assert {one.status_code for one in await asyncio.gather(*calls)} == {200}
            assert [form["grant_type"] for form in server.asked] == ["authorization_code", "refresh_token"]
        server.revoke()
        async with open_site(server, url) as again:
            tested = (await again.local.post(f"/api/v1/integrations/{lab}/test")).json()
            assert tested["overall"]["success"], tested
            assert (len(server.asked), len(server.used)) == (3, 2), "no refresh token was shown twice"


@pytest.mark.ledger("S2-27")  # with its parts, and S3-32: code with PKCE, rotation, tokens that are kept
async def test_a_consent_that_lapsed_is_said_everywhere(site: Any) -> None:
    server = site.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET, run=True)
    for state, text in (("missing", "nobody has consented"), ("lapsed", "has lapsed")):
        if state == "lapsed":
            await site.allowed(ann, lab)
            assert (await site.tested(ann, lab))["success"]
            healthy = (await ann.get(f"/integrations/{lab}/health")).json()
            assert (healthy["status"], healthy["advice"]) == ("healthy", None)
            warnings = (await ann.post(f"/integrations/{lab}/validate")).json()["warnings"]
            assert not [one for one in warnings if "consent" in one]
            server.refresh.clear()
            server.revoke()
        test = await site.tested(ann, lab)
        assert (test["success"], test["errorClass"]) == (False, "consent")
        assert text in test["error"]
        assert "authorize" in test["advice"]
        shown = await site.shown(ann, lab)
        assert shown["state"] == state
        assert text in shown["advice"]
        assert (shown["lapsed_at"] is not None) is (state == "lapsed")
        health = (await ann.get(f"/integrations/{lab}/health")).json()
        assert health["status"] == "unhealthy"
        assert text in health["advice"]
        valid = (await ann.post(f"/integrations/{lab}/validate")).json()
        assert valid["valid"]
        assert any(text in one for one in valid["warnings"])
        tried = (await ann.post(f"/integrations/{lab}/initialize")).json()
        assert text in tried["error"]
    asked = len(server.asked)
    assert not (await site.tested(ann, lab))["success"]
    assert len(server.asked) == asked, "what is over is not asked for again and again"
    (event,) = await site.events("consent.lapse")
    assert (event["entity"], event["after"]) == (f"integration/{lab}", {"consent": "lapsed"})
    await site.allowed(ann, lab)
    assert (await site.tested(ann, lab))["success"]
    assert (await site.shown(ann, lab))["state"] == "given"

    async def told(*types: str) -> list[str]:
        """What webhooks, the stream and the socket tell of it, in order."""
        items = (await ann.get("/events", params={"type": types, "size": 100})).json()["items"]
        return [one["type"] for one in items if one["entity"] == f"integration/{lab}"]

    assert await told("consent.give", "consent.lapse") == ["consent.give", "consent.lapse", "consent.give"]
    healths = [one["after"]["health"] for one in reversed(await site.events("integration.health"))]
    turns = [health for health, _ in itertools.groupby(healths)]  # a consent is tested by itself as well
    assert (turns[0], turns[-1], len(turns) >= 4) == ("unhealthy", "healthy", True), "each failure, and that it is over"
    assert len(await told("integration.health")) >= len(healths)


async def test_until_when_it_holds(embedded: Any) -> None:
    site, server = embedded, embedded.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    server.answer = {"expires_in": 60, "refresh_expires_in": 7_200}
    await site.allowed(ann, lab)
    first = (await site.shown(ann, lab))["expires_at"]
    server.revoke()
    server.answer = {"expires_in": 60, "refresh_expires_in": 14_400}
    assert (await site.tested(ann, lab))["success"]
    assert (await site.shown(ann, lab))["expires_at"] > first
    server.refreshing, server.answer = False, {"expires_in": 0}
    await site.allowed(ann, lab)
    assert (await site.shown(ann, lab))["state"] == "lapsed", "without a refresh token it ends with its token"


@pytest.mark.parametrize("answers", ["revoked", "unknown", "away"])
async def test_a_person_takes_it_back(site: Any, answers: str) -> None:
    server = site.server
    ann = await site.person()
    values = {} if answers == "unknown" else {"revocation_url": f"{server.url}/revoke"}
    lab = await site.integration(ann, client_secret=SECRET, **values)
    await site.allowed(ann, lab)
    assert (await site.tested(ann, lab))["success"]
    if answers == "away":
        server.clients["hub"] = Client("basic", "another-secret-by-now")
    done = await ann.delete(f"/integrations/{lab}/consents")
    assert done.status_code == 200, done.text
    (told,) = done.json()["told"]
    assert told == answers if answers != "away" else "401" in told
    assert bool(server.live) is (answers != "revoked")
    assert (await site.shown(ann, lab))["state"] == "missing"
    test = await site.tested(ann, lab)
    assert (test["success"], test["errorClass"]) == (False, "consent")
    rows = await site.hub.store.read(lambda connection: connection.execute(sa.select(partner_token)).all())
    assert not rows
    (event,) = await site.events("consent.revoke")
    assert (event["actor"]["name"], event["before"], event["after"]) == ("ann", {"consents": 1}, {"consents": 0})
    assert (await ann.delete(f"/integrations/{lab}/consents")).json() == {"revoked": 0, "told": []}


async def test_an_archived_integration_has_no_consent(site: Any, until: Until) -> None:
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET)
    await site.allowed(ann, lab)
    pending = await site.consent(await site.begin(ann, lab))
    gone = await ann.delete(f"/integrations/{lab}", headers={"x-reason": "replaced"})
    assert gone.status_code == 204, gone.text

    async def is_dropped() -> bool:
        return not await site.hub.store.read(lambda connection: connection.execute(sa.select(partner_token)).all())

    await until(is_dropped)
    assert "not known" in await site.why(pending)
    assert not [form for form in site.server.asked if form.get("code") == pending["code"]]


async def test_no_code_token_or_secret_is_anywhere(site: Any, served_log: Callable[[], str]) -> None:
    server = site.server
    ann = await site.person()
    lab = await site.integration(ann, client_secret=SECRET, revocation_url=f"{server.url}/revoke", run=True)
    said = await site.consent(await site.begin(ann, lab))
    begun = site.told[-1]
    await site.back(said, accept=HTML["accept"])
    await site.why(said)
    again = await site.consent(await site.begin(ann, lab))
    begun += site.told[-1]
    server.broken = Answer(400, json.dumps({"error": "invalid_grant", "error_description": again["code"]}).encode())
    await site.why(again, 502)
    server.broken = None
    server.revoke()
    assert (await site.tested(ann, lab))["success"]
    await site.shown(ann, lab)
    await ann.get(f"/integrations/{lab}")
    await ann.get(f"/integrations/{lab}/health")
    hidden = {SECRET, said["code"], again["code"], *server.live, *server.refresh, *server.used}
    hidden |= {form["code_verifier"] for form in server.asked if "code_verifier" in form}
    assert len(hidden) > 6
    await ann.delete(f"/integrations/{lab}/consents")
    states = {said["state"], again["state"]}
    assert all(state in begun for state in states), "the one place where they belong"
    answers = "".join(one for one in site.told if one not in begun)
    events = json.dumps((await site.local.get("/api/v1/audit", params={"size": 100})).json())

    def everything(connection: sa.Connection) -> str:
        return "".join(repr(connection.execute(sa.select(table)).all()) for table in schema.metadata.sorted_tables)

    rows = await site.hub.store.read(everything)
    for place, text in (("answers", answers), ("log", served_log()), ("audit", events), ("rows", rows)):
        for one in hidden | states:
            assert one not in text, place
