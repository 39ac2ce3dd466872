"""Exports about a person over HTTP: asked for with a reason, made by a job, fetched, and each time recorded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.store import audit

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
ASKED = {"patient": "P4711", "reason": "request 3 of 2026"}


async def done(client: httpx.AsyncClient, until: Any, identifier: str) -> Any:
    """The export, once it is."""
    found: Any = None

    async def ended() -> bool:
        nonlocal found
        found = (await client.get(f"/subject-exports/{identifier}")).json()
        return found["state"] in ("done", "failed")

    await until(ended)
    assert found["state"] == "done", found
    return found


@pytest.mark.ledger_part(
    "S0-26", "a data subject's export: asked for, progress, download as an attachment, all audited"
)
@pytest.mark.ledger_part("S4-49", "everything about a person in JSON, subject-scoped")
async def test_an_export_is_asked_for_and_fetched(
    running: Any, signed_in: Sign, message: Callable[..., bytes], until: Any
) -> None:
    await running.send(message("C1", "P4711"), message("C2", "P4712"), message("C3", "P4711"))
    await running.settled("delivered", "delivered", "delivered")
    operator = await signed_in("operator")
    response = await operator.post("/subject-exports", json=ASKED)
    asked = response.json()
    path = f"/subject-exports/{asked['id']}"
    assert (response.status_code, response.headers["location"]) == (202, f"/api/v1{path}")
    assert (asked["state"], asked["format"], asked["patient"]) == ("waiting", "json", "P4711")
    made = await done(operator, until, asked["id"])
    assert (made["messages"], made["written"]) == (2, 2)
    fetched = await operator.get(f"{path}/file")
    assert fetched.status_code == 200
    assert fetched.headers["content-disposition"] == f'attachment; filename="hilum-subject-{asked["id"]}.json"'
    assert (fetched.headers["x-content-type-options"], fetched.headers["cache-control"]) == ("nosniff", "no-store")
    found = json.loads(fetched.content)
    assert [one["control_id"] for one in found["messages"]] == ["C1", "C3"]
    assert "PID|1||P4711" in found["messages"][0]["body"]
    (file,) = (running.hub.settings.data / "exports").rglob("*.sealed")
    assert file.stat().st_size == made["bytes"]
    assert b"P4711" not in file.read_bytes()
    assert (await operator.get("/subject-exports")).json()["items"] == [made]

    await operator.get(f"{path}/file")
    where = audit.EventFilter(action="subject-export")
    events = [one.document for one in await running.hub.store.within(1).read(audit.newest, 1, where, limit=100)]
    downloads = [one for one in events if one["action"] == "subject-export.download"]
    assert len(downloads) == 2
    assert {(one["entity"], one["details"]["sha256"]) for one in downloads} == {
        (f"subject-export/{asked['id']}", made["sha256"])
    }
    assert [one["reason"] for one in events if one["action"] == "subject-export.ask"] == ["request 3 of 2026"]
    assert "P4711" not in json.dumps(events)


async def test_as_tables(running: Any, signed_in: Sign, message: Callable[..., bytes], until: Any) -> None:
    await running.send(message("C1", "P4711"))
    operator = await signed_in("operator")
    asked = (await operator.post("/subject-exports", json={**ASKED, "format": "csv"})).json()
    await done(operator, until, asked["id"])
    fetched = await operator.get(f"/subject-exports/{asked['id']}/file")
    assert fetched.headers["content-disposition"].endswith('.zip"')
    assert fetched.content.startswith(b"PK")


@pytest.mark.parametrize(
    "body", [{}, {"patient": "P4711"}, {**ASKED, "reason": " "}, {**ASKED, "format": "pdf"}, {**ASKED, "patient": ""}]
)
async def test_what_makes_no_sense_is_refused(signed_in: Sign, body: Any) -> None:
    operator = await signed_in("operator")
    assert (await operator.post("/subject-exports", json=body)).status_code == 400
    assert (await operator.get("/subject-exports")).json()["total"] == 0


@pytest.mark.ledger_part("S0-26", "an export about a person takes the right to all payloads of the organization")
async def test_who_may_not_see_all_payloads_gets_none(running: Any, signed_in: Sign, until: Any) -> None:
    operator, admin = await signed_in("operator"), await signed_in("tenant_admin")
    assert (await admin.post("/studies", json={"name": "trial"})).status_code == 201
    asked = (await operator.post("/subject-exports", json=ASKED)).json()
    await done(operator, until, asked["id"])
    bound = await signed_in({"role": "operator", "study": "trial"})
    for client in (admin, bound, await signed_in("auditor")):
        for path in ("", f"/{asked['id']}", f"/{asked['id']}/file"):
            assert (await client.get(f"/subject-exports{path}")).status_code == 403
        assert (await client.post("/subject-exports", json=ASKED)).status_code == 403


async def test_a_key_needs_both_scopes(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", "integration_specialist", "operator")
    made = await admin.post("/api-keys", json={"name": "portal", "scopes": ["subjects:export"], "role": "service"})
    key = made.json()["key"]
    response = await admin.post("/subject-exports", json=ASKED, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 403
    assert "messages:payload" in response.json()["error"]["message"]


@pytest.mark.ledger_part("S4-76", "an export about a person of another organization is not there")
async def test_another_organizations_export_is_not_there(running: Any, signed_in: Sign, until: Any) -> None:
    founder = {"email": "cleo@clinic.example", "name": "Cleo"}
    await running.post("/organizations", 201, name="clinic", administrator=founder)
    olga, otto = await signed_in("operator", organization="clinic"), await signed_in("operator")
    theirs = (await olga.post("/subject-exports", json=ASKED)).json()
    await done(olga, until, theirs["id"])
    assert (await otto.get("/subject-exports")).json()["total"] == 0
    for path in (f"/{theirs['id']}", f"/{theirs['id']}/file", f"/{uuid.uuid4()}/file"):
        assert (await otto.get(f"/subject-exports{path}")).status_code == 404
