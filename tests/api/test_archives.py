"""Retention over HTTP: what would go, what was archived, its verification and its way back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hilum.model.retention import CLASSES
from hilum.store import audit, jobs, schema

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
DAY = 86_400_000_000


async def ended(running: Any, kind: str) -> Any:
    """A scheduled job, done now."""
    number = await running.hub.store.write(jobs.insert, kind, {}, actor="schedule")
    running.hub.store.signal("job")
    job = None

    async def done() -> bool:
        nonlocal job
        job = await running.hub.store.read(jobs.get, number)
        return job.state in ("done", "failed")

    await running.until(done)
    assert job is not None
    assert job.state == "done", job.result
    return job.result


@pytest.fixture
async def archived(running: Any, message: Callable[..., bytes], until: Any) -> Any:
    """A running hub whose two messages are a hundred days old; it archives bodies after ninety."""
    running.until = until
    await running.send(message("C1"), message("C2", patient="4712"))
    await running.settled("delivered", "delivered")

    def age(connection: Any) -> None:
        table = schema.message
        connection.execute(sa.update(table).values(received_at=table.c.received_at - 100 * DAY))
        connection.execute(sa.update(schema.organization).values(settings={"archive_bodies": True}))

    await running.hub.store.write(age)
    return running


async def events(running: Any, action: str) -> list[dict[str, Any]]:
    found = await running.hub.store.within(1).read(
        audit.newest, 1, audit.EventFilter(action=action, outcome="success"), limit=100
    )
    return [one.document for one in found]


@pytest.mark.ledger("S0-65")
async def test_there_and_back(archived: Any, signed_in: Sign) -> None:
    admin, operator = await signed_in("tenant_admin"), await signed_in("operator")
    preview = (await operator.get("/retention/preview")).json()
    counts = {one["kind"]: (one["removed"], one["held"]) for one in preview["classes"]}
    assert counts == {**dict.fromkeys(CLASSES, (0, 0)), "bodies": (2, 0)}
    assert preview["archived"] == 2
    assert (await ended(archived, "retention"))["archived"] == {"demo": 2}
    found = (await admin.get("/archives")).json()
    (one,) = found["items"]
    second, first = (await archived.get("/messages"))["items"]
    assert (one["messages"], one["first_message"], one["last_message"]) == (2, first["id"], second["id"])
    assert (await admin.get(f"/archives/{one['id']}")).json() == one

    shown = await archived.get(f"/messages/{first['id']}", include="body")
    assert (shown["archive"], shown["size"], shown["body"]) == (one["id"], None, None)
    refused = await operator.get(f"/messages/{first['id']}/body")
    assert refused.status_code == 409
    assert f"archive {one['id']}" in refused.json()["error"]["message"]

    verified = (await operator.post(f"/archives/{one['id']}/verify")).json()
    assert verified == {"id": one["id"], "intact": True, "messages": 2, "problem": ""}
    assert (await operator.post(f"/archives/{one['id']}/restore", json={})).status_code == 403
    done = await admin.post(f"/archives/{one['id']}/restore", json={"days": 3, "reason": "claim 17"})
    assert (done.status_code, done.json()["result"]) == (200, {"bodies": 2, "messages": 2})
    assert b"PID|1||4711" in (await operator.get(f"/messages/{first['id']}/body")).content
    assert (await ended(archived, "retention"))["bodies"] == {"demo": 0}, "it is back for three days"
    (asked,) = await events(archived, "archive.restore")
    assert (asked["reason"], asked["entity"]) == ("claim 17", f"archive/{one['id']}")
    assert [each["details"]["bodies"] for each in await events(archived, "archive.restored")] == [2]
    assert [each["details"]["intact"] for each in await events(archived, "archive.verify")] == [True]
    assert len(await events(archived, "retention.preview")) == 1


@pytest.mark.ledger_part("S0-65", "a tampered archive is refused by name over the API")
async def test_a_changed_archive_is_told_by_name(archived: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    await ended(archived, "retention")
    (one,) = (await admin.get("/archives")).json()["items"]
    (file,) = (archived.hub.settings.data / "archive").rglob("*.sealed")
    file.write_bytes(file.read_bytes() + b"x")
    verified = (await admin.post(f"/archives/{one['id']}/verify")).json()
    assert (verified["intact"], verified["messages"]) == (False, 0)
    assert f"archive {one['id']} is not what was written" in verified["problem"]
    refused = await admin.post(f"/archives/{one['id']}/restore", json={})
    assert refused.status_code == 409
    assert f"archive {one['id']} is not what was written" in refused.json()["error"]["message"]
    first = (await archived.get("/messages"))["items"][0]
    assert (await archived.get(f"/messages/{first['id']}"))["size"] is None


async def test_a_hold_shows_in_the_preview_and_keeps(archived: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    hold = {"name": "case 17", "reason": "a claim", "patient": "4711"}
    assert (await admin.post("/legal-holds", json=hold)).status_code == 201
    bodies = (await admin.get("/retention/preview")).json()["classes"][0]
    assert (bodies["kind"], bodies["removed"], bodies["held"]) == ("bodies", 1, 1)
    done = await ended(archived, "retention")
    assert (done["bodies"], done["held"]) == ({"demo": 1}, {"demo": 1})
    sizes = [
        (await archived.get(f"/messages/{one['id']}"))["size"] for one in (await archived.get("/messages"))["items"]
    ]
    assert [size is None for size in sizes] == [True, False], "the newest first: 4712, 4711"


async def test_what_is_not_there_or_makes_no_sense(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    assert (await admin.get("/archives")).json()["items"] == []
    for method, path in (("GET", ""), ("POST", "/verify"), ("POST", "/restore")):
        options = {"json": {}} if path == "/restore" else {}
        response = await admin.request(method, f"/archives/{uuid.uuid4()}{path}", **options)
        assert response.status_code == 404, response.text
    for body in ({"days": 0}, {"days": 91}, {"days": 7, "x": 1}):
        assert (await admin.post(f"/archives/{uuid.uuid4()}/restore", json=body)).status_code == 400


async def test_how_bodies_are_archived_is_changed_with_a_signature_in_production(running: Any, signed_in: Sign) -> None:
    text = running.config.read_text("utf-8").replace(
        "organization: demo", "organization: demo\nenvironment: production"
    )
    documents = [{"name": "hub.yaml", "text": text}]
    applied = await running.local.post(
        "/api/v1/configuration/apply", json={"documents": documents, "reason": "go live"}
    )  # fmt: skip
    assert applied.status_code == 200, applied.text
    admin = await signed_in("tenant_admin")
    own = (await admin.get("/organizations")).json()["items"][0]
    given = {"if-match": f'"v{own["version"]}"', "x-reason": "CR-17"}
    for settings in ({"archive_bodies": True}, {"archive_years": 20}):
        refused = await admin.patch(f"/organizations/{own['id']}", json={"settings": settings}, headers=given)
        needed = refused.json()["error"]["details"]["signature_required"]
        assert (refused.status_code, needed["operation"]) == (403, "retention.change")
