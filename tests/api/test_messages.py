"""Messages over the local API: list, search, show, bodies, steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]


async def test_a_list_is_paged_newest_first(running: Any, message: Make) -> None:
    assert await running.send(*(message(f"C{number}") for number in range(7))) == ["AA"] * 7
    await running.settled("delivered", *["delivered"] * 6)
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    sizes = []
    while True:
        page = await running.get("/messages", size=3, **cursor)
        seen += [one["control_id"] for one in page["items"]]
        sizes.append(len(page["items"]))
        if page["next"] is None:
            break
        assert page["next"] == page["items"][-1]["id"]
        cursor = {"before": page["next"]}
    assert seen == [f"C{number}" for number in reversed(range(7))]
    assert sizes == [3, 3, 1]


async def test_a_summary_says_where_a_message_stands(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (one,) = await running.settled("delivered")
    assert uuid.UUID(one["id"]).version == 7
    assert one["received_at"].endswith("Z")
    assert len(one["received_at"]) == len("2026-01-02T03:04:05.000000Z")
    del one["id"], one["received_at"]
    assert one == {
        "endpoint": "adt/in", "type": "ADT^A01", "control_id": "C1", "disposition": "delivering",
        "state": "delivered", "ack": "AA", "origin": None, "note": "", "synthetic": False,
    }  # fmt: skip


async def test_filters_narrow_a_list(running: Any, message: Make) -> None:
    running.registry.code = "AR"  # a dead letter
    bodies = message("A"), message("B", kind="ORU^R01"), message("C", kind="SIU^S12"), b"MSH|^~"
    assert (await running.send(*bodies[:3])) == ["AA"] * 3
    await running.settled("delivered", "failed", "filtered")

    async def found(**query: Any) -> list[str]:
        return [one["control_id"] for one in (await running.get("/messages", **query))["items"]]

    assert await found(type="ADT") == ["A"]
    assert await found(type="ORU^R01") == ["B"]
    assert await found(disposition="filtered") == ["C"]
    assert await found(state="failed") == ["B"]
    assert await found(state="delivered") == ["A"]
    assert await found(state="pending") == []
    assert await found(state="filtered") == ["C"]
    assert await found(endpoint="adt/in", disposition="delivering") == ["B", "A"]
    (_, newest, oldest) = (await running.get("/messages"))["items"]
    assert await found(since=newest["received_at"]) == ["C", "B"]
    assert await found(until=newest["received_at"]) == ["A"]
    assert await found(since=newest["received_at"].rstrip("Z"), until=newest["received_at"]) == []
    assert await found(before=oldest["id"]) == []


@pytest.mark.ledger_part("S4-74", "a message that says so (MSH-11) is shown as synthetic, found by that, and goes on")
async def test_a_message_of_a_test_says_so(running: Any, message: Make) -> None:
    await running.send(message("REAL"), message("TEST").replace(b"|P|", b"|T|"))
    await running.settled("delivered", "delivered")

    async def found(**query: Any) -> list[tuple[str, bool]]:
        items = (await running.get("/messages", **query))["items"]
        return [(one["control_id"], one["synthetic"]) for one in items]

    assert await found() == [("TEST", True), ("REAL", False)]
    assert await found(synthetic=True) == [("TEST", True)]
    assert await found(synthetic=False) == [("REAL", False)]
    (test,) = (await running.get("/messages", synthetic=True))["items"]
    assert (await running.get(f"/messages/{test['id']}"))["synthetic"] is True
    sent = await running.local.get(f"/api/v1/messages/{test['id']}/deliveries/1/body")
    assert b"|T|2.5" in sent.content, "what it is goes on with it"
    again = await running.post("/messages/replay", synthetic=True, reason="once more")
    assert again["replayed"] == 1
    await running.settled("delivered", "delivered", "delivered")
    assert await found(synthetic=True) == [("TEST", True), ("TEST", True)]


async def test_an_unknown_endpoint_is_not_an_empty_list(running: Any) -> None:
    response = await running.local.get("/api/v1/messages", params={"endpoint": "adt/nope"})
    assert response.status_code == 404
    assert "adt/nope" in response.json()["error"]["message"]


@pytest.mark.ledger_part("S2-126", "search by metadata and by indexed content fields")
async def test_search_finds_by_what_the_message_holds(running: Any, message: Make) -> None:
    await running.send(*(message(f"C{number}", patient=str(number % 2)) for number in range(6)))
    await running.settled()

    async def found(key: str, value: str, **more: Any) -> list[str]:
        page = await running.get("/messages/search", key=key, value=value, **more)
        return [one["control_id"] for one in page["items"]]

    assert await found("patient", "1") == ["C5", "C3", "C1"]
    assert await found("control", "C4") == ["C4"]
    assert await found("visit", "VC2") == ["C2"]
    assert await found("patient", "2") == []
    page = await running.get("/messages/search", key="patient", value="1", size=2)
    assert [one["control_id"] for one in page["items"]] == ["C5", "C3"]
    assert await found("patient", "1", size=2, before=page["next"]) == ["C1"]
    assert page["items"][0]["body"] is None
    page = await running.get("/messages/search", key="control", value="C4", include="body")
    assert "MÜLLER^EVA" in page["items"][0]["body"]


@pytest.mark.ledger_part("S2-126", "per message: received, sent, failed attempts, ack, timings")
async def test_a_message_is_shown_with_its_deliveries_and_tries(running: Any, message: Make) -> None:
    running.registry.code = "AR"
    body = message("C1", kind="ORU^R01")
    await running.send(body)
    (summary,) = await running.settled("failed")
    detail = await running.get(f"/messages/{summary['id']}", include="body")
    assert {name: detail[name] for name in summary} == summary
    assert detail["body"] == body.decode()
    assert detail["body_base64"] is None
    assert detail["size"] == len(body)
    assert detail["routes"] == ["adt-to-lab v1", "oru-to-registry v1"]
    (delivery,) = detail["deliveries"]
    assert (delivery["number"], delivery["destination"], delivery["route"]) == (
        1, "registry/out", "oru-to-registry v1",
    )  # fmt: skip
    assert (delivery["state"], delivery["attempts"], delivery["lane"]) == ("dead", 1, None)
    (tried,) = delivery["tries"]
    assert tried["outcome"] == "permanent"
    assert tried["number"] == 1
    assert tried["milliseconds"] > 0
    assert "AR" in tried["detail"]
    assert summary["received_at"] < tried["started_at"] < delivery["done_at"]


async def test_bodies_are_exact(running: Any, message: Make) -> None:
    latin = message("C1").replace(b"UNICODE UTF-8", b"8859/1").replace("Ü".encode(), b"\xdc\x80")
    await running.send(latin)
    (summary,) = await running.settled("delivered")
    path = f"/api/v1/messages/{summary['id']}"
    came = await running.local.get(f"{path}/body")
    assert came.content == latin
    assert came.headers["content-type"] == "application/octet-stream"
    sent = await running.local.get(f"{path}/deliveries/1/body")
    assert sent.content == running.lab.bodies[0]
    assert hash(sent.content) != hash(latin)
    detail = (await running.local.get(path, params={"include": "body"})).json()
    assert "MÜ\x80LLER" in detail["body"]
    assert (await running.local.get(f"{path}/deliveries/2/body")).status_code == 404
    assert (await running.local.get(f"{path}/deliveries/0/body")).status_code == 404


async def test_a_body_that_is_no_text_comes_in_base64(running: Any, message: Make) -> None:
    await running.send(message("C1").replace("Ü".encode(), b"\xff"), message("C2", name="A\0B"))
    zero, broken = await running.settled(count=2)
    detail = await running.get(f"/messages/{broken['id']}", include="body")
    assert "M\ufffdLLER" in detail["body"]
    assert detail["body_base64"] is not None
    detail = await running.get(f"/messages/{zero['id']}", include="body")
    assert detail["body"] is None
    assert detail["body_base64"] is not None


@pytest.mark.ledger_part("S2-126", "each step in and out, with timings")
async def test_steps_tell_what_each_one_made(running: Any, message: Make) -> None:
    body = message("C1")
    await running.send(body)
    (summary,) = await running.settled("delivered")
    first, second = (await running.get(f"/messages/{summary['id']}/steps"))["items"]
    assert (first["route"], first["repeatable"], first["problem"]) == ("adt-to-lab v1", True, None)
    assert [one["place"] for one in first["steps"]] == ["steps[0].filter", "steps[1].map"]
    kept, changed = first["steps"]
    assert kept["given"] == kept["made"] == changed["given"] == [body.decode()]
    assert changed["made"] == [running.lab.bodies[0].decode()]
    assert changed["made"] != changed["given"]
    assert (kept["result"], changed["result"]) == ("passed", "passed")
    assert isinstance(kept["microseconds"], int)
    assert second["route"] == "oru-to-registry v1"
    assert second["steps"][0]["result"].startswith("filtered: ")
    assert second["steps"][0]["made"] == []


async def test_steps_are_those_of_the_version_that_routed_it(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (summary,) = await running.settled("delivered")
    changed = running.config.read_text(encoding="utf-8").replace("MSH-5: LAB", "MSH-5: OTHER")
    await running.post("/configuration/apply", documents=[{"name": "hub.yaml", "text": changed}])
    trace = (await running.get(f"/messages/{summary['id']}/steps"))["items"][0]
    assert trace["route"] == "adt-to-lab v1"
    assert "|LAB|" in trace["steps"][1]["made"][0]
    sent = await running.local.get(f"/api/v1/messages/{summary['id']}/deliveries/1/body")
    assert sent.content == running.lab.bodies[0]


@pytest.mark.parametrize("part", ["", "/body", "/steps", "/deliveries/1/body"])
async def test_what_is_not_there_is_404_and_what_is_no_id_400(running: Any, part: str) -> None:
    response = await running.local.get(f"/api/v1/messages/{uuid.uuid4()}{part}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "INT001"
    response = await running.local.get(f"/api/v1/messages/17{part}")
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "identifier"


async def test_another_organization_sees_nothing(running: Any, message: Make) -> None:
    await running.send(message("C1"))
    (one,) = await running.settled("delivered")
    other = "version: 1\norganization: other\n"
    await running.post("/configuration/apply", documents=[{"name": "other.yaml", "text": other}])
    theirs = {"organization": "other"}
    assert (await running.get("/messages", **theirs))["items"] == []
    assert (await running.get("/messages/search", key="patient", value="4711", **theirs))["items"] == []
    assert (await running.get("/lanes", **theirs))["items"] == []
    assert (await running.get("/sources", **theirs))["items"] == []
    for part in ("", "/body", "/steps", "/deliveries/1/body"):
        response = await running.local.get(f"/api/v1/messages/{one['id']}{part}", params=theirs)
        assert response.status_code == 404
    refused = await running.local.post(f"/api/v1/messages/{one['id']}/replay", params=theirs, json={"reason": "x"})
    assert refused.status_code == 404
    assert len((await running.get("/messages", organization="demo"))["items"]) == 1
    response = await running.local.get("/api/v1/messages", params={"organization": "nobody"})
    assert response.status_code == 404
