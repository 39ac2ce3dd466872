"""The audit trail over HTTP: who may read it, what it says of an act, and that what it proves can be checked."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.security import chain

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


async def sealed(running: Any) -> None:
    """Everything so far has its place and its checkpoint."""
    await running.hub.evidence.look(sign=True)


async def test_a_message_has_its_own_trail(running: Any, message: Callable[..., bytes], signed_in: Sign) -> None:
    await running.send(message("A1"))
    (one,) = await running.settled()
    viewer, auditor = await signed_in("viewer"), await signed_in("auditor")
    assert (await viewer.get(f"/messages/{one['id']}")).status_code == 200
    assert (await viewer.get(f"/messages/{one['id']}/body")).status_code == 403
    found = (await auditor.get("/audit", params={"entity": f"message/{one['id']}"})).json()["items"]
    assert [row["event"]["action"] for row in found] == ["message.show"]
    assert found[0]["event"]["actor"]["kind"] == "user"
    denied = (await auditor.get("/audit", params={"outcome": "denied", "action": "message"})).json()["items"]
    assert denied[0]["event"]["code"] == "INT003"


@pytest.mark.ledger("S4-106")
async def test_who_may_not_is_in_the_trail(running: Any, signed_in: Sign) -> None:
    viewer, auditor = await signed_in("viewer"), await signed_in("auditor")
    assert (await viewer.get("/audit")).status_code == 403
    assert (await viewer.get("/audit/export")).status_code == 403
    rows = (await auditor.get("/audit", params={"outcome": "denied"})).json()["items"]
    assert {(row["event"]["action"], row["event"]["code"]) for row in rows} >= {
        ("audit.list", "INT003"), ("audit.export", "INT003"),
    }  # fmt: skip
    admin = await signed_in("tenant_admin")
    assert (await admin.get("/audit")).status_code == 200
    assert (await admin.get("/audit/export")).status_code == 403


@pytest.mark.ledger("S4-62")
async def test_each_event_is_of_one_of_four_kinds(running: Any, signed_in: Sign) -> None:
    auditor, admin = await signed_in("auditor"), await signed_in("tenant_admin")
    made = await admin.post("/studies", json={"name": "trial", "title": "Trial"}, headers={"x-reason": "new"})
    assert made.status_code == 201, made.text
    await admin.get("/studies")
    rows = (await auditor.get("/audit", params={"size": 100})).json()["items"]
    kinds = {row["event"]["action"]: row["kind"] for row in rows}
    assert set(kinds.values()) <= {"CREATE", "READ", "UPDATE", "DELETE"}
    assert (kinds["study.create"], kinds["study.list"]) == ("CREATE", "READ")
    (created,) = [row["event"] for row in rows if row["event"]["action"] == "study.create"]
    assert created["entity"] == f"study/{made.json()['id']}"


@pytest.mark.ledger("S4-64")
async def test_an_event_says_who_when_from_where_and_of_whom(running: Any, signed_in: Sign) -> None:
    auditor = await signed_in("auditor", email="ada@demo.example")
    asked = await auditor.get("/audit/key")
    await sealed(running)
    (row,) = (await auditor.get("/audit", params={"action": "audit.key"})).json()["items"]
    event = row["event"]
    me = (await auditor.get("/auth/me")).json()
    assert event["actor"] == {"kind": "user", "id": me["id"], "name": "ada"}
    assert event["time"].endswith("Z")
    assert event["organization"] == 1
    assert event["source"] == "127.0.0.1"
    assert event["request_id"] == asked.headers["x-request-id"]
    assert len(row["hash"]) == 64
    await running.hub.evidence.check()
    (checked,) = (await auditor.get("/audit", params={"action": "audit.check"})).json()["items"]
    assert checked["event"]["actor"] == {"kind": "system", "id": "hub", "name": "Hilum"}


async def test_pages_follow_each_other(signed_in: Sign) -> None:
    auditor = await signed_in("auditor")
    for _ in range(5):
        await auditor.get("/audit/key")
    query: dict[str, Any] = {"action": "audit.key", "size": 2}
    seen: list[str] = []
    while True:
        page = (await auditor.get("/audit", params=query)).json()
        seen += [row["event"]["id"] for row in page["items"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)
    assert (await auditor.get("/audit", params={"size": 101})).status_code == 400
    assert (await auditor.get("/audit", params={"since": "2999-01-01T00:00:00Z"})).json()["items"] == []


async def test_an_event_comes_with_its_proof(running: Any, signed_in: Sign) -> None:
    auditor = await signed_in("auditor")
    for _ in range(4):
        await auditor.get("/audit/key")
    await sealed(running)
    key = chain.PublicKey.read((await auditor.get("/audit/key")).json()["pem"])
    rows = (await auditor.get("/audit", params={"action": "audit.key"})).json()["items"]
    one = (await auditor.get(f"/audit/{rows[-1]['event']['id']}")).json()
    made = chain.link(bytes.fromhex(one["follows"]), one["position"], one["text"])
    assert made.hex() == one["hash"]
    proof, checkpoint = one["proof"], chain.read_checkpoint(json.dumps(one["proof"]["checkpoint"]))
    assert checkpoint.holds(key)
    path = [bytes.fromhex(step) for step in proof["path"]]
    assert chain.includes(bytes.fromhex(checkpoint.events_root), made, proof["index"], proof["count"], path)
    fresh = (await auditor.get("/audit", params={"size": 1})).json()["items"][0]
    assert (await auditor.get(f"/audit/{fresh['event']['id']}")).json()["proof"] is None
    assert (await auditor.get("/audit/019a0000-0000-7000-8000-000000000001")).status_code == 404


async def test_the_trail_can_be_taken_along(running: Any, message: Callable[..., bytes], signed_in: Sign) -> None:
    auditor = await signed_in("auditor")
    await running.send(message("A1"), message("A2"))
    await sealed(running)
    response = await auditor.get("/audit/export")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        names = set(archive.namelist())
        rows = [json.loads(line) for line in archive.read("messages.jsonl").splitlines()]
        text = b"".join(archive.read(name) for name in names)
    assert names >= {
        "manifest.json",
        "events.jsonl",
        "unsealed.jsonl",
        "messages.jsonl",
        "checkpoints.jsonl",
        "key.pub",
    }
    assert [row["body"] == row["hash"] for row in rows] == [True, True]
    assert b"4711" not in text  # the patient's number
    checkpoints = (await auditor.get("/audit/checkpoints")).json()["items"]
    assert checkpoints[-1]["messages"]["count"] == 2
    exported = (await auditor.get("/audit", params={"action": "audit.export"})).json()["items"]
    assert len(exported) == 1


async def test_it_speaks_fhir(signed_in: Sign) -> None:
    auditor = await signed_in("auditor")
    await auditor.get("/audit/key")
    asked = await auditor.get("/audit", params={"format": "fhir", "action": "audit.key"})
    assert asked.headers["content-type"].startswith("application/fhir+json")
    bundle = asked.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    assert bundle["entry"][0]["resource"]["resourceType"] == "AuditEvent"
    accepted = await auditor.get("/audit", headers={"accept": "application/fhir+json"})
    assert accepted.json()["resourceType"] == "Bundle"


async def test_organizations_do_not_see_each_other(running: Any, signed_in: Sign) -> None:
    mine = await signed_in("auditor")
    await mine.get("/audit/key")
    administrator = {"email": "root@other.example", "name": "Root"}
    body = {"name": "other", "title": "Other", "administrator": administrator}
    made = await running.local.post("/api/v1/organizations", json=body, headers={"x-reason": "a second one"})
    assert made.status_code == 201, made.text
    theirs = await signed_in("auditor", organization="other")
    (row,) = (await mine.get("/audit", params={"action": "audit.key"})).json()["items"]
    assert (await theirs.get("/audit", params={"action": "audit.key"})).json()["items"] == []
    assert (await theirs.get(f"/audit/{row['event']['id']}")).status_code == 404
    await sealed(running)
    pieces = [(await one.get("/audit/export")).content for one in (mine, theirs)]
    chains = []
    for piece in pieces:
        with zipfile.ZipFile(io.BytesIO(piece)) as archive:
            chains.append(json.loads(archive.read("manifest.json"))["chain"])
    assert len(set(chains)) == 2


async def test_sealing_goes_on_by_itself(running: Any, signed_in: Sign) -> None:
    auditor = await signed_in("auditor")
    await auditor.get("/audit/key")
    async with asyncio.timeout(20):
        while True:
            row = (await auditor.get("/audit", params={"action": "audit.key"})).json()["items"][0]
            if row["position"] is not None:
                break
            await asyncio.sleep(0.1)
    assert len(row["hash"]) == 64
