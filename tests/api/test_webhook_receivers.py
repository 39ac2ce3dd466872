"""Webhook receivers over HTTP: what others post becomes a message that a route delivers, once."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.api import create_app
from hilum.app import Hub
from hilum.security import webhooks
from hilum.security.webhooks import GitHub, Hmac, Scheme, Standard, Stripe
from hilum.store import Connection

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
Until = Callable[..., Awaitable[None]]
BASE = "/webhooks/receivers"
SECRET = "a secret of the sender"


@pytest.fixture
def config(config: Path) -> Path:
    """An integration that takes webhooks, and a route that delivers them to the laboratory."""
    text = config.read_text()
    hook = """integrations:
  - name: hook
    type: WEBHOOK
    protocol: rest_api
    endpoints: [{name: in, direction: inbound, url: "webhook://receiver", format: hl7v2}]
"""
    routes = "routes:\n  - {name: hook-to-lab, from: hook/in, to: [lab/out]}\n"
    config.write_text(text.replace("integrations:\n", hook).replace("routes:\n", routes))
    return config


@pytest.fixture
async def specialist(signed_in: Sign) -> httpx.AsyncClient:
    return await signed_in("integration_specialist")


@pytest.fixture
async def anybody(running: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody at the hub's TCP port who has nothing but what they know."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.hub.http.port}", timeout=30) as client:
        yield client


async def made(client: httpx.AsyncClient, name: str = "Hook", **endpoint: Any) -> str:
    """The id of a new integration of type WEBHOOK."""
    body = {"name": name, "type": "WEBHOOK", "environment": "development"}
    if endpoint:
        body["endpoints"] = [{"name": "in", "direction": "inbound", "url": "webhook://receiver", **endpoint}]  # type: ignore[assignment]  # JSON
    response = await client.post("/integrations", json=body)
    assert response.status_code == 201, response.text
    assert response.json()["status"] == "active", response.text
    return str(response.json()["id"])


async def receiver(client: httpx.AsyncClient, integration: str, scheme: str = "standard", **values: Any) -> Any:
    response = await client.post(BASE, json={"integration": integration, "scheme": scheme, **values})
    assert response.status_code == 201, response.text
    return response.json()


def signed(scheme: Scheme, key: str, identifier: str, body: bytes, ago: int = 0) -> Mapping[str, str]:
    return scheme.sign([key], identifier, clock.micros() // 1_000_000 - ago, body)


async def of_file(client: httpx.AsyncClient) -> str:
    items = (await client.get("/integrations", params={"type": "WEBHOOK"})).json()["items"]
    return str(items[0]["id"])


SCHEMES = {
    "standard": (Standard(), {}, webhooks.new_secret()),
    "stripe": (Stripe(), {}, SECRET),
    "github": (GitHub(), {}, SECRET),
    "hmac": (
        Hmac("x-sign", "sha512", "base64", "v1=", "x-time"),
        {
            "hmac": {
                "header": "X-Sign", "algorithm": "sha512", "encoding": "base64", "prefix": "v1=",
                "timestamp_header": "X-Time",
            },
            "event_id": {"path": "event.id"},
        },
        SECRET,
    ),
}  # fmt: skip


@pytest.mark.ledger("S2-54")
@pytest.mark.ledger_part("S0-03", "an inbound webhook reaches the target without a human step")
async def test_a_webhook_becomes_a_message_that_a_route_delivers(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any, message: Callable[..., bytes]
) -> None:
    given = await receiver(specialist, await of_file(specialist))
    url, secret, body = given["receiver"]["url"], given["secret"], message("W1", patient="4712")
    for number in range(3):
        async with asyncio.timeout(1):  # the row's own bound
            response = await anybody.post(url, content=body, headers=signed(Standard(), secret, "msg_1", body))
        assert response.status_code == 200, response.text
        assert response.json()["duplicate"] is (number > 0)
    (found,) = await running.settled("delivered")
    assert running.lab.bodies == [body]
    assert found["endpoint"] == "hook/in"
    shown = await running.get(f"/messages/{found['id']}", include="body")
    assert shown["attributes"]["event_id"] == "msg_1"
    searched = await running.get("/messages/search", key="patient", value="4712")
    assert [one["id"] for one in searched["items"]] == [found["id"]]
    await running.post(f"/messages/{found['id']}/replay", 201, reason="the laboratory lost it")
    await running.settled("delivered", "delivered")
    assert running.lab.bodies == [body, body]


@pytest.mark.ledger_part("S2-25", "receiver with each signature scheme: sound, changed, old and repeated ones")
@pytest.mark.parametrize("name", SCHEMES)
async def test_each_scheme_takes_its_own_once(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any, name: str
) -> None:
    scheme, values, key = SCHEMES[name]
    given = await receiver(specialist, await made(specialist), name, secret=key, **values)
    assert given["secret"] is None, "the sender's own is never shown"
    url = given["receiver"]["url"]
    body = json.dumps({"id": "evt_1", "event": {"id": "evt_1"}, "n": 1}).encode()
    sound = signed(scheme, key, "evt_1", body)
    assert (await anybody.post(url, content=body, headers=sound)).json()["duplicate"] is False
    assert (await anybody.post(url, content=body, headers=sound)).json() == {"id": None, "duplicate": True}
    again = await anybody.post(url, content=body, headers=signed(scheme, key, "evt_1", body, ago=2))
    assert again.json()["duplicate"], "signed anew, it is the same event"
    for headers, content in (
        (sound, body.replace(b"1}", b"2}")), ({}, body), (signed(scheme, "another secret" * 3, "evt_2", body)
         if name != "standard" else signed(scheme, webhooks.new_secret(), "evt_2", body), body),
    ):  # fmt: skip
        refused = await anybody.post(url, content=content, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "INT003"), refused.text
    if name != "github":  # which has no time
        other = body.replace(b"evt_1", b"evt_3")
        old = await anybody.post(url, content=other, headers=signed(scheme, key, "evt_3", other, ago=301))
        assert old.status_code == 401
        assert "300 seconds" in old.json()["error"]["message"]
    new = body.replace(b"evt_1", b"evt_4")
    assert not (await anybody.post(url, content=new, headers=signed(scheme, key, "evt_4", new))).json()["duplicate"]
    assert len((await running.get("/messages"))["items"]) == 2


async def test_who_caught_a_request_gains_nothing_by_another_id(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    """GitHub's signature does not cover the id of the delivery."""
    given = await receiver(specialist, await made(specialist), "github", secret=SECRET)
    url, body = given["receiver"]["url"], b'{"action":"opened"}'
    caught = dict(signed(GitHub(), SECRET, "one", body))
    assert not (await anybody.post(url, content=body, headers=caught)).json()["duplicate"]
    assert (await anybody.post(url, content=body, headers=caught | {"x-github-delivery": "two"})).json()["duplicate"]


async def test_many_at_once_are_one(specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any) -> None:
    given = await receiver(specialist, await made(specialist))
    url, body = given["receiver"]["url"], b'{"x":1}'
    headers = signed(Standard(), given["secret"], "msg_1", body)
    answers = await asyncio.gather(*(anybody.post(url, content=body, headers=headers) for _ in range(8)))
    assert sorted(one.json()["duplicate"] for one in answers) == [False, *[True] * 7]
    assert len((await running.get("/messages"))["items"]) == 1


async def test_what_was_taken_is_known_after_a_restart(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any, tmp_path: Path
) -> None:
    given = await receiver(specialist, await of_file(specialist))
    path, body = given["receiver"]["url"], b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||4711\r"
    headers = signed(Standard(), given["secret"], "msg_1", body)
    assert not (await anybody.post(path, content=body, headers=headers)).json()["duplicate"]
    settings = running.hub.settings
    await running.stop()
    hub = Hub(settings)
    await hub.open()
    try:
        await hub.run()
        assert hub.http is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.http.port}") as client:
            assert (await client.post(path, content=body, headers=headers)).json()["duplicate"]
    finally:
        await hub.close()


async def test_a_rotation_takes_both_for_a_day(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any
) -> None:
    given = await receiver(specialist, await made(specialist))
    one, old = given["receiver"], given["secret"]
    path = f"{BASE}/{one['id']}"
    rotated = await specialist.post(f"{path}/rotate", json={}, headers={"if-match": '"v1"'})
    assert rotated.status_code == 200, rotated.text
    new = rotated.json()["secret"]
    assert rotated.json()["receiver"]["previous_until"] is not None
    for number, key in enumerate((old, new)):
        response = await anybody.post(one["url"], content=b"{}", headers=signed(Standard(), key, f"m{number}", b"{}"))
        assert response.status_code == 200
    await running.hub.store.write(_overlap_ends)
    for key, status in ((old, 401), (new, 200)):
        response = await anybody.post(one["url"], content=b"{}", headers=signed(Standard(), key, f"m{status}", b"{}"))
        assert response.status_code == status


def _overlap_ends(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE webhook_receiver SET previous_until = 1")


async def test_ed25519_needs_only_the_public_key(specialist: httpx.AsyncClient, anybody: httpx.AsyncClient) -> None:
    private = webhooks.new_private()
    given = await receiver(specialist, await made(specialist), secret=webhooks.public_of(private))
    url = given["receiver"]["url"]
    assert (await anybody.post(url, content=b"{}", headers=signed(Standard(), private, "m", b"{}"))).status_code == 200


@pytest.mark.ledger("S2-59")
@pytest.mark.ledger_part("S2-25", "the receiver's URL on each surface")
async def test_every_surface_shows_the_url_and_lets_nobody_set_it(
    specialist: httpx.AsyncClient, signed_in: Sign, running: Any
) -> None:
    integration = await made(specialist)
    dto = specialist.base_url.copy_with(path=f"/api/integration/configs/{integration}")
    assert (await specialist.get(f"/integrations/{integration}")).json()["webhook_url"] is None
    assert (await specialist.get(dto)).json()["data"]["webhookUrl"] is None
    given = (await receiver(specialist, integration))["receiver"]
    assert given["url"] == f"/api/v1/webhooks/in/{given['id']}"
    assert (await specialist.get(f"/integrations/{integration}")).json()["webhook_url"] == given["url"]
    shown = (await specialist.get(dto)).json()["data"]
    assert (shown["webhookUrl"], shown["endpoint"]) == (given["url"], None)
    changed = await specialist.patch(dto, json={"name": "Hook 2", "webhookUrl": "https://evil.example/"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["data"]["name"], changed.json()["data"]["webhookUrl"]) == ("Hook 2", given["url"])
    ended = await specialist.delete(f"{BASE}/{given['id']}", headers={"if-match": '"v1"'})
    assert ended.status_code == 204
    assert (await specialist.get(f"/integrations/{integration}")).json()["webhook_url"] is None


async def test_an_integration_has_one_and_needs_a_place_for_it(specialist: httpx.AsyncClient, running: Any) -> None:
    integration = await made(specialist)
    await receiver(specialist, integration)
    again = await specialist.post(BASE, json={"integration": integration})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "INT004")
    lab = next(one for one in (await running.get("/integrations"))["items"] if one["handle"] == "lab")
    other = await specialist.post(BASE, json={"integration": lab["id"]})
    assert (other.status_code, other.json()["error"]["field"]) == (400, "integration")
    for values, field in (
        ({"scheme": "hmac"}, "hmac"), ({"hmac": {"header": "x"}}, "hmac"), ({"secret": "whsec_tooshort"}, "secret"),
        ({"event_id": {"header": "a", "path": "b"}}, "event_id"), ({"tolerance": 1}, "tolerance"),
    ):  # fmt: skip
        refused = await specialist.post(BASE, json={"integration": await made(specialist, uuid.uuid4().hex), **values})
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field), refused.text


async def test_where_nothing_receives_the_sender_comes_again(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    integration = await made(specialist)
    given = await receiver(specialist, integration)
    url = given["receiver"]["url"]
    headers = signed(Standard(), given["secret"], "msg_1", b"{}")
    found = await specialist.get(f"/integrations/{integration}")
    off = await specialist.patch(
        f"/integrations/{integration}", json={"status": "inactive"}, headers={"if-match": found.headers["etag"]}
    )
    assert off.status_code == 200, off.text

    async def held() -> httpx.Response:
        return await anybody.post(url, content=b"{}", headers=headers)

    async with asyncio.timeout(10):
        while (await held()).status_code != 503:
            await asyncio.sleep(0.05)
            headers = signed(Standard(), given["secret"], uuid.uuid4().hex, b"{}")
    disabled = await specialist.patch(
        f"{BASE}/{given['receiver']['id']}", json={"state": "disabled"}, headers={"if-match": '"v1"'}
    )
    assert disabled.json()["state"] == "disabled"
    assert (await held()).status_code == 404
    assert (await anybody.post(f"/api/v1/webhooks/in/{uuid.uuid4()}", content=b"{}")).status_code == 404


@pytest.mark.ledger_part("S0-28", "inbound webhooks have their own authentication; who tries is slowed down and noted")
async def test_who_guesses_is_slowed_down_and_noted(
    specialist: httpx.AsyncClient, signed_in: Sign, anybody: httpx.AsyncClient
) -> None:
    auditor = await signed_in("auditor")
    given = await receiver(specialist, await made(specialist))
    url = given["receiver"]["url"]
    statuses = [(await anybody.post(url, content=b"{}", headers={"webhook-id": "x"})).status_code for _ in range(70)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    sound = await anybody.post(url, content=b"{}", headers=signed(Standard(), given["secret"], "msg_1", b"{}"))
    assert sound.status_code == 200, "who signs is not among them"
    events = (await auditor.get("/audit", params={"action": "webhook-receiver.receive"})).json()["items"]
    assert events
    assert {one["event"]["outcome"] for one in events} == {"denied"}
    assert {one["event"]["entity"] for one in events} == {f"webhook-receiver/{given['receiver']['id']}"}


async def test_what_is_too_big_is_turned_away(specialist: httpx.AsyncClient, running: Any) -> None:
    given = await receiver(specialist, await made(specialist))
    url, key = given["receiver"]["url"], given["secret"]
    app = create_app(running.hub.services(), local=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as anybody:
        for size, status in ((3 << 20, 200), (6 << 20, 413)):
            body = b"x" * size
            response = await anybody.post(url, content=body, headers=signed(Standard(), key, f"m{size}", body))
            assert response.status_code == status, response.text


async def test_another_organization_neither_sees_nor_feeds_it(
    specialist: httpx.AsyncClient, signed_in: Sign, anybody: httpx.AsyncClient, running: Any
) -> None:
    text = "version: 1\norganization: south\nenvironment: development\n"
    await running.post("/configuration/apply", documents=[{"name": "south.yaml", "text": text}])
    theirs = await signed_in("integration_specialist", organization="south")
    one = await receiver(specialist, await made(specialist))
    other = await receiver(theirs, await made(theirs))
    assert (await theirs.get(f"{BASE}/{one['receiver']['id']}")).status_code == 404
    assert [each["id"] for each in (await theirs.get(BASE)).json()["items"]] == [other["receiver"]["id"]]
    crossed = signed(Standard(), other["secret"], "msg_1", b"{}")
    assert (await anybody.post(one["receiver"]["url"], content=b"{}", headers=crossed)).status_code == 401
    assert (await anybody.post(other["receiver"]["url"], content=b"{}", headers=crossed)).status_code == 200
    assert (await running.get("/messages"))["items"] == [], "it is the south's"


@pytest.mark.ledger("S2-25")
async def test_the_hub_takes_its_own_webhooks_both_ways(
    specialist: httpx.AsyncClient, anybody: httpx.AsyncClient, running: Any, until: Until
) -> None:
    """What it signs it verifies, stores as it came, and knows when it comes again."""
    given = (await receiver(specialist, await made(specialist)))["receiver"]
    url = f"http://127.0.0.1:{running.hub.http.port}{given['url']}"
    told = await specialist.post("/webhooks/subscriptions", json={"url": url, "events": ["study.create"]})
    subscription = f"/webhooks/subscriptions/{told.json()['subscription']['id']}"
    refused = await specialist.post(f"{subscription}/test")
    log = f"{subscription}/deliveries/{refused.json()['id']}"

    async def answered() -> bool:
        return bool((await specialist.get(log)).json()["attempts"])

    await until(answered)
    assert (await specialist.get(log)).json()["delivery"]["status"] == 401, "the receiver does not know the secret yet"
    rotated = await specialist.post(
        f"{BASE}/{given['id']}/rotate", json={"secret": told.json()["secret"]}, headers={"if-match": '"v1"'}
    )
    assert rotated.status_code == 200, rotated.text
    await running.post("/studies", 201, name="alpha", title="Alpha")

    async def stored() -> bool:
        return len((await running.get("/messages"))["items"]) >= 1

    await until(stored)
    replayed = await specialist.post(f"{subscription}/replay", json={"state": None})
    assert replayed.json() == {"deliveries": 2}

    async def delivered() -> bool:
        items = (await specialist.get(f"{subscription}/deliveries")).json()["items"]
        return {one["state"] for one in items} == {"delivered"}

    await until(delivered)
    messages = (await running.get("/messages"))["items"]
    bodies = [(await running.local.get(f"/api/v1/messages/{one['id']}/body")).content for one in messages]
    assert sorted(json.loads(body)["type"] for body in bodies) == ["study.create", "webhook.test"], "each is kept once"
