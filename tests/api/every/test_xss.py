"""Scripts that somebody planted: whatever shows them, no browser runs them (stored XSS)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
TITLE = "<script>alert('title')</script>"
NAME = "<img src=x onerror=alert('name')>"
REASON = "<svg onload=alert('reason')>"
REMOTE = "<script>alert('remote')</script>"
BODY = "<script>alert('body')</script>"
PAGES = {"application/json", "text/plain", "text/event-stream", "application/fhir+json"}
"""What a browser shows as it stands, if it is told not to sniff: text."""


def harmless(response: httpx.Response, label: str) -> None:
    """No script of it runs: it is no page, nobody guesses that it is one, and if it were, its policy forbids all."""
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff", label
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy, label
    assert "unsafe-inline" not in policy, label
    assert "unsafe-eval" not in policy, label
    kind = headers.get("content-type", "").partition(";")[0]
    if kind and kind not in PAGES:
        assert headers["content-disposition"].startswith("attachment"), f"{label}: {kind}"


async def plant(world: Any, who: Any) -> None:
    """Where people and partners can write something that others read."""
    reason = {"x-reason": REASON}
    made = await who.ask("POST", "/api/v1/studies", json={"name": "planted", "title": TITLE}, headers=reason)
    assert made.status_code == 201, made.text
    body = {"email": "planted@example.org", "name": NAME}
    assert (await who.ask("POST", "/api/v1/users", json=body, headers=reason)).status_code == 201
    named = await who.ask("POST", "/api/v1/studies", json={"name": TITLE})  # what has a name has no such one
    assert named.status_code == 400
    assert TITLE not in named.text
    world.running.registry.code, world.running.registry.why = "AR", REMOTE
    control = f"X{BODY}".replace("&", "")
    assert await world.running.send(world.message(control, kind="ORU^R01", name=BODY)) == ["AA"]
    await world.running.settled()


@pytest.mark.ledger("S0-36")
async def test_no_script_that_was_stored_is_run(world: Any) -> None:
    who = await world.person()
    await plant(world, who)
    found = dict.fromkeys((TITLE, NAME, REASON, REMOTE, BODY), 0)
    for name, method, path, operation in world.operations():
        if method != "GET":
            continue
        asker = await world.person()
        query = await world.query(operation)
        several = (
            [query] if "include" not in str(operation.get("parameters")) else [query, {**query, "include": "body"}]
        )
        at = path.format_map(await world.place(asker, name, path))
        for one in several:
            response = await asker.ask("GET", at, params={**one, "size": "100"} if "size" in str(operation) else one)
            harmless(response, f"{method} {path}")
            text = response.text if response.headers.get("content-type", "").startswith("application/json") else ""
            for evil in found:
                found[evil] += evil in text or evil.replace("'", "\\u0027") in text
    (message,) = (one for one in (await who.get("/messages"))["items"] if one["type"] == "ORU^R01")
    detail = await who.ask("GET", f"/api/v1/messages/{message['id']}", params={"include": "body"})
    harmless(detail, "the message")
    assert REMOTE in str(detail.json()["deliveries"]), "the partner's own words"
    assert BODY in detail.json()["body"]
    raw = await who.ask("GET", f"/api/v1/messages/{message['id']}/body")
    assert raw.headers["content-disposition"].startswith("attachment")
    harmless(raw, "its bytes")
    for evil in (TITLE, NAME, REASON):
        assert found[evil] > 0, f"{evil} was shown nowhere: nothing was tested"
    for path in (f"/api/v1/studies/{TITLE}", "/api/v1/messages?endpoint=" + REMOTE, "/api/v1/nothing/" + BODY):
        wrong = await who.ask("GET", path)
        assert wrong.status_code in (400, 404)
        assert wrong.headers["content-type"] == "application/json"
        harmless(wrong, path)
