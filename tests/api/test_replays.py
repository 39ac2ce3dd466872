"""Replays over the local API: one, many, edited."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from hilum.store import schema

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]


def packed(body: bytes) -> str:
    return base64.b64encode(body).decode()


@pytest.mark.ledger_part("S2-126", "reprocess one with link to the original")
async def test_a_replay_is_a_new_message_that_points_to_its_original(running: Any, message: Make) -> None:
    body = message("C1")
    await running.send(body)
    (original,) = await running.settled("delivered")
    made = await running.post(f"/messages/{original['id']}/replay", 201, reason="lab lost it")
    new, _ = await running.settled("delivered", "delivered")
    assert made == {"id": new["id"]}
    assert new["origin"] == original["id"]
    assert (new["note"], new["ack"], new["control_id"]) == ("lab lost it", "", "C1")
    assert running.lab.bodies[0] == running.lab.bodies[1]
    detail = await running.get(f"/messages/{new['id']}", include="body")
    assert detail["body"] == body.decode()
    found = await running.get("/messages/search", key="patient", value="4711")
    assert [one["id"] for one in found["items"]] == [new["id"], original["id"]]


async def test_a_replay_takes_the_routes_of_today(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (original,) = await running.settled("delivered")
    changed = running.config.read_text(encoding="utf-8").replace("MSH-5: LAB", "MSH-5: OTHER")
    await running.post("/configuration/apply", documents=[{"name": "hub.yaml", "text": changed}])
    await running.post(f"/messages/{original['id']}/replay", 201, reason="new mapping")
    new, _ = await running.settled("delivered", "delivered")
    detail = await running.get(f"/messages/{new['id']}", include="body")
    assert detail["routes"] == ["adt-to-lab v2", "oru-to-registry v1"]
    assert b"|OTHER|" in running.lab.bodies[1]


async def test_a_repeat_of_the_sender_is_recognised_after_a_replay_too(running: Any, message: Make) -> None:
    body = message("C1")
    await running.send(body)
    (original,) = await running.settled("delivered")
    await running.post(f"/messages/{original['id']}/replay", 201, reason="again")
    await running.settled("delivered", "delivered")
    assert await running.send(body) == ["AA"]
    assert len(await running.settled()) == 2


@pytest.mark.ledger_part("S2-126", "edit-and-resend with a reason")
async def test_an_edited_message_needs_a_reason(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (original,) = await running.settled("delivered")
    path = f"/messages/{original['id']}/replay"
    edited = message("C1", patient="4712")
    refused = await running.post(path, 400, reason=" ", body=packed(edited))
    assert refused["error"]["field"] == "reason"
    refused = await running.post(path, 400, reason="fixed", body=packed(b"not HL7"))
    assert (refused["error"]["code"], refused["error"]["field"]) == ("INT002", "body")
    refused = await running.post(path, 400, reason="fixed", body="no base64!")
    assert refused["error"]["field"] == "body"
    assert len(await running.settled()) == 1
    await running.post(path, 201, reason="wrong patient", body=packed(edited))
    new, _ = await running.settled("delivered", "delivered")
    assert (new["origin"], new["note"]) == (original["id"], "wrong patient")
    assert b"4712^^^HIS" in running.lab.bodies[1]
    found = await running.get("/messages/search", key="patient", value="4712")
    assert [one["id"] for one in found["items"]] == [new["id"]]


async def test_what_retention_removed_can_only_go_again_edited(running: Any, message: Make) -> None:
    body = message("C1")
    await running.send(body)
    (original,) = await running.settled("delivered")
    await running.hub.store.write(lambda connection: connection.execute(schema.body.delete()))
    detail = await running.get(f"/messages/{original['id']}", include="body")
    assert (detail["body"], detail["body_base64"], detail["size"]) == (None, None, None)
    for part in ("body", "steps", "deliveries/1/body"):
        assert (await running.local.get(f"/api/v1/messages/{original['id']}/{part}")).status_code == 409
    refused = await running.post(f"/messages/{original['id']}/replay", 409, reason="again")
    assert refused["error"]["code"] == "INT004"
    assert "retention" in refused["error"]["message"]
    bulk = await running.post("/messages/replay", type="ADT", reason="again")
    assert bulk == {"replayed": 0, "ids": [], "purged": 1, "more": False}
    await running.post(f"/messages/{original['id']}/replay", 201, reason="from the archive", body=packed(body))
    await running.settled("delivered", "delivered")


@pytest.mark.ledger_part("S2-126", "reprocess many")
async def test_many_go_again_in_their_order(running: Any, message: Make) -> None:
    running.registry.code = "AR"
    bodies = [message(f"C{number}", kind="ORU^R01") for number in range(5)]
    await running.send(*bodies, message("ADT1"))
    await running.settled(*["failed"] * 5, "delivered")
    running.registry.code = "AA"
    running.registry.bodies.clear()
    done = await running.post("/messages/replay", state="failed", reason="registry is back")
    assert (done["replayed"], len(done["ids"]), done["more"]) == (5, 5, False)
    found = await running.settled(*["delivered"] * 6, *["failed"] * 5)
    assert [one["control_id"] for one in found[:5]] == ["C4", "C3", "C2", "C1", "C0"]
    assert [one["id"] for one in reversed(found[:5])] == done["ids"]
    assert {one["note"] for one in found[:5]} == {"registry is back"}
    assert running.registry.bodies == bodies


async def test_many_by_search_key_and_limit(running: Any, message: Make) -> None:
    await running.send(*(message(f"C{number}", patient=str(number % 2)) for number in range(6)))
    await running.settled(*["delivered"] * 6)
    done = await running.post("/messages/replay", key="patient", value="1", reason="again", limit=2)
    assert (done["replayed"], done["more"]) == (2, True)
    found = await running.settled(*["delivered"] * 8)
    assert [one["control_id"] for one in found[:2]] == ["C3", "C1"]  # the oldest ones, in their order
    done = await running.post("/messages/replay", key="patient", value="1", type="ORU", reason="none of these")
    assert done == {"replayed": 0, "ids": [], "purged": 0, "more": False}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"reason": "everything"}, "endpoint"),
        ({"key": "patient"}, "value"),
        ({"value": "1"}, "key"),
        ({"type": "ADT", "limit": 10_001}, "limit"),
        ({"state": "lost"}, "state"),
        ({"typo": "ADT"}, "typo"),
    ],
)
async def test_a_vague_or_wrong_filter_is_refused(running: Any, wanted: dict[str, Any], field: str) -> None:
    refused = await running.post("/messages/replay", 400, **wanted)
    assert refused["error"]["field"] == field


async def test_an_unreadable_message_stays_an_error_when_it_goes_again(running: Any, message: Make) -> None:
    await running.drop(b"no header" + message("C1"))
    (original,) = await running.settled("error")
    await running.post(f"/messages/{original['id']}/replay", 201, reason="try")
    new, _ = await running.settled("error", "error")
    assert new["note"].startswith("try; unreadable: ")
    assert new["origin"] == original["id"]


async def test_a_message_of_a_removed_endpoint_ends_unrouted(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (original,) = await running.settled("delivered")
    text = "version: 1\norganization: demo\n"
    await running.post("/configuration/apply", documents=[{"name": "hub.yaml", "text": text}])
    await running.post(f"/messages/{original['id']}/replay", 201, reason="try")
    new, _ = await running.settled("unrouted", "delivered")
    assert (new["endpoint"], new["origin"]) == ("adt/in", original["id"])
    assert new["note"] == "try; no route starts at this endpoint"


async def test_an_unknown_message_cannot_go_again(running: Any) -> None:
    refused = await running.post(f"/messages/{uuid.uuid4()}/replay", 404, reason="x")
    assert refused["error"]["code"] == "INT001"
