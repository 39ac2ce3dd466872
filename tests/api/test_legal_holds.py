"""Legal holds over HTTP: placed by an administrator, lifted with a reason and a signature, each in the trail."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.store import audit

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
PASSWORD = "correct horse battery staple"
HOLD = {"name": "case 17/2026", "reason": "a claim of malpractice"}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    """That it is the envelope of this error; its details."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]
    return dict(error["details"])


async def placed(client: httpx.AsyncClient, **values: Any) -> Any:
    response = await client.post("/legal-holds", json={**HOLD, **values})
    assert response.status_code == 201, response.text
    return response.json()


async def signed(client: httpx.AsyncClient, hold: Any, **values: Any) -> str:
    body = {"operation": "legal-hold.lift", "entity": f"legal-hold/{hold['id']}", "meaning": "approval",
            "password": PASSWORD, "version": hold["version"], **values}  # fmt: skip
    response = await client.post("/signatures", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def events(running: Any, action: str) -> list[dict[str, Any]]:
    """Those that happened, the oldest first."""
    where = audit.EventFilter(action=action, outcome="success")
    found = await running.hub.store.within(1).read(audit.newest, 1, where, limit=100)
    return [one.document for one in reversed(found)]


@pytest.mark.ledger_part("S0-65", "a legal hold is placed, read and lifted over the API, with a signature, and audited")
@pytest.mark.ledger_part("S0-21", "a legal hold is lifted with a signature wherever it is")
async def test_the_life_of_a_hold(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/legal-holds", json={**HOLD, "patient": "P4711", "endpoint": "adt/in"})
    hold = response.json()
    path = f"/legal-holds/{hold['id']}"
    assert (response.status_code, response.headers["location"], response.headers["etag"]) == (
        201, f"/api/v1{path}", '"v1"'
    )  # fmt: skip
    assert (hold["active"], hold["by_patient"], hold["patient"], hold["endpoint"]) == (True, True, None, "adt/in")
    operator = await signed_in("operator")
    assert (await operator.get(path)).json()["patient"] == "P4711", "who may see payloads sees whom it is about"
    assert (await admin.get(path)).json() == hold

    lift = {"reason": "the claim was withdrawn"}
    failed(await admin.post(f"{path}/lift", json=lift), 428, "INT008")
    given = {"if-match": '"v1"'}
    failed(await admin.post(f"{path}/lift", json={}, headers=given), 400, "INT002", "needs a reason")
    details = failed(await admin.post(f"{path}/lift", json=lift, headers=given), 403, "INT011")
    assert details["signature_required"] == {
        "operation": "legal-hold.lift", "entity": f"legal-hold/{hold['id']}", "meanings": ["approval", "responsibility"]
    }  # fmt: skip
    given["x-signature"] = await signed(admin, hold)
    failed(await operator.post(f"{path}/lift", json=lift, headers=given), 403, "INT003")
    local = await running.local.post(f"/api/v1{path}/lift", json=lift, headers={"if-match": '"v1"'})
    failed(local, 403, "INT011", "only a person")
    done = await admin.post(f"{path}/lift", json=lift, headers=given)
    assert done.status_code == 200, done.text
    assert (done.json()["active"], done.json()["lifted_why"], done.headers["etag"]) == (
        False, "the claim was withdrawn", '"v2"'
    )  # fmt: skip
    failed(await admin.post(f"{path}/lift", json=lift, headers={"if-match": '"v2"'}), 409, "INT004", "lifted already")

    (made,), (lifted,) = await events(running, "legal-hold.create"), await events(running, "legal-hold.lift")
    assert (made["entity"], made["after"]["name"]) == (f"legal-hold/{hold['id']}", "case 17/2026")
    assert (lifted["reason"], lifted["details"]["signature"]) == ("the claim was withdrawn", given["x-signature"])
    assert "P4711" not in str([made, lifted])


async def test_lists_are_narrowed(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    one, other = await placed(admin, name="one"), await placed(admin, name="other", since="2026-01-01T00:00:00Z")
    found = (await admin.get("/legal-holds")).json()
    assert ([each["name"] for each in found["items"]], found["total"]) == (["other", "one"], 2)
    assert other["since"] == "2026-01-01T00:00:00Z"
    given = {"if-match": '"v1"', "x-signature": await signed(admin, one), "x-reason": "over"}
    assert (await admin.post(f"/legal-holds/{one['id']}/lift", json={}, headers=given)).status_code == 200
    for active, names in (("true", ["other"]), ("false", ["one"])):
        found = (await admin.get("/legal-holds", params={"active": active})).json()
        assert [each["name"] for each in found["items"]] == names


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "x"}, {**HOLD, "patient": ""}, {**HOLD, "endpoint": "adt"}, {**HOLD, "more": 1},
     {**HOLD, "name": "a\nb"}, {**HOLD, "since": "2026-02-01T00:00:00", "until": "2026-02-01T00:00:00Z"},
     {**HOLD, "since": "0001-01-01T00:00:00+14:00"}],
    ids=["nothing", "no reason", "nobody", "no reference", "more", "two lines", "no time", "no year"],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(signed_in: Sign, body: Any) -> None:
    admin = await signed_in("tenant_admin")
    failed(await admin.post("/legal-holds", json=body), 400, "INT002")
    assert (await admin.get("/legal-holds")).json()["total"] == 0


async def test_what_is_not_there_is_not_found(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    failed(await admin.post("/legal-holds", json={**HOLD, "endpoint": "adt/nowhere"}), 404, "INT001")
    failed(await admin.get(f"/legal-holds/{uuid.uuid4()}"), 404, "INT001")
    given = {"if-match": '"v1"', "x-reason": "over"}
    failed(await admin.post(f"/legal-holds/{uuid.uuid4()}/lift", json={}, headers=given), 404, "INT001")


@pytest.mark.ledger_part("S4-76", "a legal hold of another organization is not there and holds nothing here")
async def test_another_organizations_hold_is_not_there(running: Any, signed_in: Sign) -> None:
    founder = {"email": "cleo@clinic.example", "name": "Cleo"}
    await running.post("/organizations", 201, name="clinic", administrator=founder)
    cleo, admin = await signed_in("tenant_admin", organization="clinic"), await signed_in("tenant_admin")
    theirs = await placed(cleo)
    assert (await admin.get("/legal-holds")).json()["total"] == 0
    failed(await admin.get(f"/legal-holds/{theirs['id']}"), 404, "INT001")
    given = {"if-match": '"v1"', "x-reason": "over"}
    failed(await admin.post(f"/legal-holds/{theirs['id']}/lift", json={}, headers=given), 404, "INT001")
    assert (await cleo.get(f"/legal-holds/{theirs['id']}")).json()["active"] is True
