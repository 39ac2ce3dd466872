"""Webhook subscriptions over HTTP, and what a receiver on the loopback is sent."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.sdk.testing.webhooks import WebhookReceiver
from hilum.store import Connection

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
Until = Callable[..., Awaitable[None]]
BASE = "/webhooks/subscriptions"


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    made = WebhookReceiver()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def specialist(signed_in: Sign) -> httpx.AsyncClient:
    return await signed_in("integration_specialist")


async def subscribed(client: httpx.AsyncClient, url: str, *events: str, **values: Any) -> dict[str, Any]:
    """The subscription's answer, its secret included."""
    response = await client.post(BASE, json={"url": url, "events": list(events) or ["study.*"], **values})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api/v1{BASE}/{made['subscription']['id']}"
    return made


async def happen(running: Any, action: str = "study.change", entity: str = "study/7", organization: int = 1) -> None:
    """Something that changed, as any service stores it."""

    def change(connection: Connection) -> Change:
        return Change(None, entity)

    await running.hub.store.within(organization).change(Act(HUB, Scope(organization), action), change)


async def deliveries(client: httpx.AsyncClient, one: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    response = await client.get(f"{BASE}/{one['subscription']['id']}/deliveries", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


async def states(client: httpx.AsyncClient, one: dict[str, Any], *wanted: str) -> bool:
    return sorted(each["state"] for each in await deliveries(client, one)) == sorted(wanted)


@pytest.mark.ledger("S0-39")  # headers, payload, by type, a delivery log; its parts are the rest of the row
async def test_an_event_is_told_to_whoever_wants_it(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    one = await subscribed(specialist, receiver.place, "study.create", description="the data lake")
    other = await subscribed(specialist, receiver.place, "integration.*")
    made = await running.post("/studies", 201, name="alpha", title="Alpha study of Jane Doe")
    await until(lambda: states(specialist, one, "delivered"))
    (heard,) = receiver.heard
    headers, body = heard.headers, heard.body
    assert (heard.method, heard.target) == ("POST", "/hook?tenant=7")
    assert headers["content-type"] == "application/json"
    told = json.loads(body)
    assert told["type"] == "study.create"
    assert told["data"] == {"entity": f"study/{made['id']}", "noun": "study", "id": made["id"]}
    assert set(told) == {"type", "timestamp", "data"}
    assert abs(clock.now().timestamp() - int(headers["webhook-timestamp"])) < 60
    assert b"Jane" not in body, "what changed is read through the API, by who may"
    receiver.proven(one["secret"])
    (delivery,) = await deliveries(specialist, one)
    assert (delivery["id"], delivery["type"], delivery["attempts"], delivery["status"]) == (
        headers["webhook-id"], "study.create", 1, 200
    )  # fmt: skip
    detail = (await specialist.get(f"{BASE}/{one['subscription']['id']}/deliveries/{delivery['id']}")).json()
    assert detail["payload"] == told
    assert [(each["number"], each["status"], each["detail"]) for each in detail["attempts"]] == [(1, 200, "ok")]
    assert await deliveries(specialist, other) == []


async def test_a_secret_is_shown_once_and_kept_sealed(specialist: httpx.AsyncClient, running: Any) -> None:
    made = await subscribed(specialist, "https://hooks.example.org/x")
    secret = made["secret"]
    assert secret.startswith("whsec_")
    path = f"{BASE}/{made['subscription']['id']}"
    for found in (await specialist.get(path), await specialist.get(BASE), await specialist.get("/audit")):
        assert secret not in found.text
    raw = running.hub.store.database.path.read_bytes()
    assert secret.encode() not in raw
    assert secret.removeprefix("whsec_").encode() not in raw


@pytest.mark.ledger_part("S0-39", "ed25519 (v1a)")
async def test_v1a_is_verified_in_public(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    one = await subscribed(specialist, receiver.place, scheme="v1a")
    assert one["secret"] is None
    (public,) = one["subscription"]["public_keys"]
    await happen(running)
    await until(lambda: states(specialist, one, "delivered"))
    assert receiver.heard[0].headers["webhook-signature"].startswith("v1a,")
    receiver.proven(public)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"url": "ftp://x/"}, "url"), ({"url": "https://user:pass@x.example/"}, "url"), ({"url": "https://"}, "url"),
        ({"url": "https://x.example/#a"}, "url"), ({"url": "https://x.example:99999/"}, "url"),
        ({"events": []}, "events"), ({"events": ["user.create"]}, "events[0]"), ({"events": ["study"]}, "events[0]"),
        ({"scheme": "v2"}, "scheme"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(specialist: httpx.AsyncClient, changed: Any, field: str) -> None:
    response = await specialist.post(BASE, json={"url": "https://x.example/", "events": ["*"], **changed})
    assert (response.status_code, response.json()["error"]["field"]) == (400, field), response.text


async def test_a_change_is_based_on_what_was_read(specialist: httpx.AsyncClient) -> None:
    made = await subscribed(specialist, "https://hooks.example.org/x")
    path = f"{BASE}/{made['subscription']['id']}"
    read = await specialist.get(path)
    patch = {"events": ["*"], "description": "all of it"}
    assert (await specialist.patch(path, json=patch)).status_code == 428
    match = {"if-match": read.headers["etag"]}
    changed = await specialist.patch(path, json=patch, headers=match)
    assert (changed.json()["events"], changed.json()["description"]) == (["*"], "all of it")
    assert (await specialist.patch(path, json=patch, headers=match)).status_code == 412
    refused = await specialist.patch(path, json={"url": "http://"}, headers={"if-match": changed.headers["etag"]})
    assert refused.status_code == 400
    assert (await specialist.delete(path, headers={"if-match": changed.headers["etag"]})).status_code == 204
    assert (await specialist.get(path)).status_code == 404
    assert (await specialist.get(BASE)).json()["total"] == 0


@pytest.mark.ledger_part("S0-39", "secret rotation with dual signing while deliveries wait")
async def test_a_rotation_signs_what_waits_with_both(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    one = await subscribed(specialist, receiver.place)
    path = f"{BASE}/{one['subscription']['id']}"
    receiver.status = 503
    await happen(running)
    await until(lambda: tried(receiver, 1))
    rotated = await specialist.post(f"{path}/rotate", headers={"if-match": '"v1"'})
    assert rotated.status_code == 200, rotated.text
    new = rotated.json()["secret"]
    assert new not in (None, one["secret"])
    assert rotated.json()["subscription"]["previous_until"] is not None
    receiver.heard.clear()
    receiver.status = 200
    await until(lambda: states(specialist, one, "delivered"))  # its second try, five seconds after the first
    assert len(receiver.heard[0].headers["webhook-signature"].split()) == 2
    receiver.proven(one["secret"], new)
    await running.hub.store.write(_overlap_ends)
    receiver.heard.clear()
    await happen(running)
    await until(lambda: states(specialist, one, "delivered", "delivered"))
    assert len(receiver.heard[0].headers["webhook-signature"].split()) == 1
    receiver.proven(new)


def _overlap_ends(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE webhook_subscription SET previous_until = 1")


async def tried(receiver: WebhookReceiver, count: int) -> bool:
    return len(receiver.heard) >= count


def _is_due(connection: Connection) -> None:
    """What waits for its next try waits no more."""
    connection.exec_driver_sql("UPDATE webhook_delivery SET next_at = 1 WHERE state = 'waiting'")


@pytest.mark.ledger_part("S0-39", "410 disables, with an event and in the audit trail; what waits rests until enabled")
async def test_gone_disables_and_others_are_told(
    specialist: httpx.AsyncClient, signed_in: Sign, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    watcher = WebhookReceiver()
    await watcher.start()
    try:
        one = await subscribed(specialist, receiver.place)
        watching = await subscribed(specialist, watcher.place, "webhook.disabled")
        path = f"{BASE}/{one['subscription']['id']}"
        receiver.status = 410
        await happen(running)
        await until(lambda: states(specialist, watching, "delivered"))
        found = (await specialist.get(path)).json()
        assert (found["state"], found["reason"]) == ("disabled", "the receiver answered 410: it is gone")
        assert json.loads(watcher.heard[0].body)["data"]["id"] == one["subscription"]["id"]
        assert (await deliveries(specialist, one))[0]["state"] == "failed"
        auditor = await signed_in("auditor")
        events = (await auditor.get("/audit", params={"action": "webhook-subscription.disable"})).json()["items"]
        assert [each["event"]["entity"] for each in events] == [f"webhook-subscription/{one['subscription']['id']}"]
        await happen(running)
        assert (await specialist.post(f"{path}/test")).status_code == 409
        receiver.status = 200
        enabled = await specialist.post(f"{path}/enable", headers={"if-match": f'"v{found["version"]}"'})
        assert (enabled.json()["state"], enabled.json()["reason"]) == ("active", "")
        await happen(running, "study.archive")
        await until(lambda: states(specialist, one, "failed", "delivered"))
        assert receiver.types[-1] == "study.archive", "what happened while it was disabled was not queued"
    finally:
        await watcher.stop()


@pytest.mark.ledger_part("S0-39", "Retry-After wins over the schedule")
async def test_who_asks_to_wait_is_waited_for(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    one = await subscribed(specialist, receiver.place)
    receiver.status, receiver.told = 429, {"retry-after": "3600"}
    await happen(running)
    await until(lambda: tried(receiver, 1))

    async def written() -> bool:
        return (await deliveries(specialist, one))[0]["attempts"] == 1

    await until(written)
    (delivery,) = await deliveries(specialist, one)
    until_then = datetime.datetime.fromisoformat(delivery["next_at"]).timestamp()
    assert 3_595 < until_then - int(receiver.heard[0].headers["webhook-timestamp"]) < 3_610


@pytest.mark.ledger_part("S0-39", "replay of one and of a range, under the ids that they had")
async def test_deliveries_are_replayed_under_their_ids(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    one = await subscribed(specialist, receiver.place)
    path = f"{BASE}/{one['subscription']['id']}"
    for number in range(3):
        await happen(running, entity=f"study/{number}")
    await until(lambda: states(specialist, one, "delivered", "delivered", "delivered"))
    first = list(receiver.ids)
    bodies = [each.body for each in receiver.heard]
    assert [json.loads(body)["data"]["id"] for body in bodies] == ["0", "1", "2"], "in the order in which they happened"
    replayed = await specialist.post(f"{path}/deliveries/{first[1]}/replay")
    assert (replayed.status_code, replayed.json()) == (202, {"deliveries": 1})
    await until(lambda: tried(receiver, 4))
    assert receiver.ids[3] == first[1]
    assert receiver.heard[3].body == bodies[1]
    since = (await deliveries(specialist, one))[1]["happened_at"]
    ranged = await specialist.post(f"{path}/replay", json={"since": since, "state": None})
    assert ranged.json() == {"deliveries": 2}
    await until(lambda: tried(receiver, 6))
    assert receiver.ids[4:] == first[1:]
    assert (await specialist.post(f"{path}/replay", json={})).json() == {"deliveries": 0}, "nothing has failed"
    detail = (await specialist.get(f"{path}/deliveries/{first[1]}")).json()
    assert [each["number"] for each in detail["attempts"]] == [1, 2, 3]
    unknown = await specialist.post(f"{path}/deliveries/{one['subscription']['id']}/replay")
    assert unknown.status_code == 404


async def test_one_who_hangs_does_not_hold_up_another(
    specialist: httpx.AsyncClient, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    slow = WebhookReceiver()
    slow.gate.clear()
    await slow.start()
    try:
        hangs = await subscribed(specialist, slow.place)
        one = await subscribed(specialist, receiver.place)
        for _ in range(3):
            await happen(running)
        await until(lambda: states(specialist, one, "delivered", "delivered", "delivered"))
        assert await states(specialist, hangs, "waiting", "waiting", "waiting")
        slow.gate.set()
        await until(lambda: states(specialist, hangs, "delivered", "delivered", "delivered"))
    finally:
        await slow.stop()


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [(302, {"location": "http://127.0.0.1/"}, "redirects are not followed"), (500, {}, "ok"), (404, {}, "ok")],
)
async def test_what_is_not_2xx_is_tried_again_and_redirects_are_not_followed(
    specialist: httpx.AsyncClient,
    receiver: WebhookReceiver,
    running: Any,
    until: Until,
    status: int,
    headers: dict[str, str],
    told: str,
) -> None:
    one = await subscribed(specialist, receiver.place)
    receiver.status, receiver.told = status, headers
    path = f"{BASE}/{one['subscription']['id']}"
    tested = await specialist.post(f"{path}/test")
    assert (tested.status_code, tested.json()["type"]) == (202, "webhook.test")

    async def written() -> bool:
        return (await deliveries(specialist, one))[0]["attempts"] == 1

    await until(written)
    detail = (await specialist.get(f"{path}/deliveries/{tested.json()['id']}")).json()
    assert (detail["delivery"]["state"], detail["delivery"]["status"]) == ("waiting", status)
    assert told in detail["attempts"][0]["detail"]
    assert (await specialist.get(path)).json()["failing_since"] is not None
    receiver.status, receiver.told = 204, {}
    receiver.said = b""
    await running.hub.store.write(_is_due)
    await until(lambda: states(specialist, one, "delivered"))
    assert (await specialist.get(path)).json()["failing_since"] is None
    assert len(set(receiver.ids)) == 1


async def test_where_nobody_may_go_a_webhook_does_not_go_either(
    specialist: httpx.AsyncClient, running: Any, until: Until
) -> None:
    """The hub of this test allows the loopback; nobody allows the cloud's metadata or private networks."""
    for url in ("http://169.254.169.254/latest", "http://10.1.2.3/"):
        one = await subscribed(specialist, url)
        await happen(running)

        async def written(one: dict[str, Any] = one) -> bool:
            found = await deliveries(specialist, one)
            return bool(found) and found[0]["attempts"] == 1

        await until(written)
        (delivery, *_) = await deliveries(specialist, one)
        detail = (await specialist.get(f"{BASE}/{one['subscription']['id']}/deliveries/{delivery['id']}")).json()
        assert delivery["status"] is None
        assert any(why in detail["attempts"][0]["detail"] for why in ("only the hub's operator", "never connected to"))


async def test_plain_http_is_refused_in_production(specialist: httpx.AsyncClient, running: Any) -> None:
    await running.hub.store.write(_production)
    for url, status in (("http://hooks.example.org/x", 400), ("http://127.0.0.1:9/", 201), ("https://x.example/", 201)):
        response = await specialist.post(BASE, json={"url": url, "events": ["*"]})
        assert response.status_code == status, response.text


def _production(connection: Connection) -> None:
    connection.exec_driver_sql('UPDATE organization SET document = \'{"environment": "production"}\'')


@pytest.mark.ledger_part("S4-75", "an organization's events reach its own subscriptions alone")
async def test_two_organizations_hear_of_their_own(
    specialist: httpx.AsyncClient, signed_in: Sign, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    south = WebhookReceiver()
    await south.start()
    try:
        body = {"name": "south", "title": "", "administrator": {"email": "ann@south.example", "name": "Ann"}}
        made = await running.local.post("/api/v1/organizations", json=body)
        assert made.status_code == 201, made.text
        theirs = await signed_in("integration_specialist", organization="south")
        one, other = await subscribed(specialist, receiver.place, "*"), await subscribed(theirs, south.place, "*")
        await happen(running, entity="study/north")
        await happen(running, entity="study/south", organization=2)
        await until(lambda: states(specialist, one, "delivered"))
        await until(lambda: states(theirs, other, "delivered"))
        assert [json.loads(each.body)["data"]["id"] for each in receiver.heard] == ["north"]
        assert [json.loads(each.body)["data"]["id"] for each in south.heard] == ["south"]
        path = f"{BASE}/{one['subscription']['id']}"
        for method, part in (("GET", ""), ("GET", "/deliveries"), ("POST", "/test"), ("DELETE", "")):
            response = await theirs.request(method, f"{path}{part}", headers={"if-match": '"v1"'})
            assert response.status_code == 404, f"{method} {part}"
    finally:
        await south.stop()


async def test_who_has_a_study_hears_of_that_study_alone(
    signed_in: Sign, receiver: WebhookReceiver, running: Any, until: Until
) -> None:
    for name in ("alpha", "beta"):
        await running.post("/studies", 201, name=name, title=name)
    mine = await signed_in({"role": "integration_specialist", "study": "alpha"})
    refused = await mine.post(BASE, json={"url": receiver.place, "events": ["*"]})
    assert refused.status_code == 403
    one = await subscribed(mine, receiver.place, "*", study="alpha")
    hook = {"type": "WEBHOOK", "environment": "development", "endpoints": []}
    wanted = {}
    for study in ("alpha", "beta", None):
        made = await running.local.post(
            "/api/v1/integrations?initialize=false", json={"name": f"Hook {study}", "study": study, **hook}
        )
        assert made.status_code == 201, made.text
        wanted[study] = made.json()["id"]
    await happen(running, "study.change", f"study/{(await running.get('/studies'))['items'][1]['id']}")
    await until(lambda: states(mine, one, "delivered"))
    assert [json.loads(each.body)["data"]["id"] for each in receiver.heard] == [wanted["alpha"]]
