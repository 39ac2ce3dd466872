"""The whole life of a message can be read, searched for, and repeated: ledger row S2-126 in one journey."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.ledger("S2-126")
async def test_the_log_of_a_message_is_complete(
    running: Any, message: Callable[..., bytes], until: Callable[..., Awaitable[None]]
) -> None:
    running.lab.code = "AE"  # retries: 0, on_dead: block
    body, other = message("C1", patient="4711"), message("C2", patient="0815", kind="ORU^R01")
    assert await running.send(body, other) == ["AA", "AA"]

    async def blocked() -> bool:
        return any(one["state"] == "blocked" for one in (await running.get("/lanes"))["items"])

    await until(blocked)
    running.lab.code = "AA"
    await running.post("/lanes/lab/out/retry")
    second, first = await running.settled("delivered", "delivered")

    log = await running.get(f"/messages/{first['id']}", include="body")
    assert (log["body"], log["ack"], log["control_id"]) == (body.decode(), "AA", "C1")  # received, answered
    (delivery,) = log["deliveries"]
    assert (delivery["destination"], delivery["detail"]) == ("lab/out", "AA")  # sent, and its ACK
    (tried,) = delivery["tries"]
    assert tried["outcome"] == "transient"
    assert tried["milliseconds"] >= 0  # timings
    assert log["received_at"] < tried["started_at"] < delivery["done_at"]
    sent = await running.local.get(f"/api/v1/messages/{first['id']}/deliveries/1/body")
    assert sent.content == running.lab.bodies[-1]
    steps = (await running.get(f"/messages/{first['id']}/steps"))["items"][0]["steps"]
    assert [step["place"] for step in steps] == ["steps[0].filter", "steps[1].map"]
    assert steps[1]["given"] == [body.decode()]
    assert steps[1]["made"] == [sent.content.decode()]  # each step in and out

    by_metadata = await running.get("/messages", type="ORU^R01", endpoint="adt/in")
    assert [one["id"] for one in by_metadata["items"]] == [second["id"]]
    for key, value in (("patient", "4711"), ("control", "C1"), ("visit", "VC1")):  # indexed content
        found = await running.get("/messages/search", key=key, value=value)
        assert [one["id"] for one in found["items"]] == [first["id"]]

    one = await running.post(f"/messages/{first['id']}/replay", 201, reason="the lab lost it")
    many = await running.post("/messages/replay", type="ORU^R01", reason="the registry was restored")
    assert many["replayed"] == 1
    refused = await running.local.post(
        f"/api/v1/messages/{first['id']}/replay", json={"body": base64.b64encode(body).decode()}
    )
    assert refused.status_code == 400  # an edit needs its reason
    edited = body.replace(b"EVA", b"EVE")
    changed = await running.post(
        f"/messages/{first['id']}/replay", 201, reason="name corrected", body=base64.b64encode(edited).decode()
    )
    await running.settled(*["delivered"] * 5)
    for again, origin, reason, text in (
        (one["id"], first["id"], "the lab lost it", body),
        (many["ids"][0], second["id"], "the registry was restored", other),
        (changed["id"], first["id"], "name corrected", edited),
    ):
        detail = await running.get(f"/messages/{again}", include="body")
        assert (detail["origin"], detail["note"], detail["body"]) == (origin, reason, text.decode())
    original = await running.get(f"/messages/{first['id']}", include="body")
    assert original["body"] == body.decode()  # it stays as it was
