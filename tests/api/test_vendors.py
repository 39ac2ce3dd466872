"""Vendors over HTTP: agreements that end, integrations that are theirs."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.engine.runner import SCHEDULE
from hilum.jobs import vendor_reminders

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


def vendor(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Example Lab", "owner": "Ann",
        "contacts": [{"name": "Bo", "email": "bo@lab.example", "role": "support"}],
        "agreements": [
            {"kind": kind, "reference": f"{kind}-7", "signed_on": "2025-01-01", "ends_on": "2035-01-01"}
            for kind in ("BAA", "DPA", "contract")
        ],
        "evidence": [{"kind": "ISO 27001", "reference": "C-1"}, {"kind": "DSPT", "reference": "8A-1"}], **changes,
    }  # fmt: skip


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]


@pytest.mark.ledger("S0-05")  # with the test below
@pytest.mark.ledger("S2-32")
async def test_the_life_of_a_vendor(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await specialist.post("/vendors", json=vendor())
    assert made.status_code == 201, made.text
    path = f"/vendors/{made.json()['id']}"
    assert (made.headers["location"], made.headers["etag"]) == (f"/api/v1{path}", '"v1"')
    assert (made.json()["integrations"], made.json()["ending"]) == ([], {})
    shown = (await specialist.get(path)).json()
    assert (shown["name"], shown["owner"]) == ("Example Lab", "Ann")
    assert [(one["name"], one["email"], one["role"]) for one in shown["contacts"]] == [
        ("Bo", "bo@lab.example", "support")
    ]  # fmt: skip
    assert shown["agreements"] == vendor()["agreements"]
    assert [(one["kind"], one["reference"], one["ends_on"]) for one in shown["evidence"]] == [
        ("ISO 27001", "C-1", None), ("DSPT", "8A-1", None)
    ]  # fmt: skip
    assert [one["name"] for one in (await specialist.get("/vendors", params={"q": "LAB"})).json()["items"]] == [
        "Example Lab"
    ]  # fmt: skip
    failed(await specialist.post("/vendors", json=vendor(name="EXAMPLE LAB")), 409, "INT004")
    draft = {
        "name": "Orders", "type": "LAB_SYSTEM", "provider": "example lab", "environment": "development",
        "endpoints": [{"url": web.url("/orders"), "method": "POST"}],
    }  # fmt: skip
    orders = (await specialist.post("/integrations", json=draft)).json()
    alone = {key: value for key, value in draft.items() if key != "provider"} | {"name": "Alone"}
    response = await specialist.post("/integrations", json=alone)
    assert (response.status_code, response.json()["provider"]) == (201, ""), "a provider is nobody's duty"
    found = (await specialist.get(path)).json()
    assert found["integrations"] == [{"id": orders["id"], "handle": "orders"}]
    configs = str(specialist.base_url).replace("/v1/", "/integration/configs")  # document 002's way
    wanted = {"name": "Results", "type": "LAB_SYSTEM", "provider": "Example Lab", "endpoint": web.url("/results")}
    results = (await specialist.post(configs, json=wanted)).json()["data"]
    assert [one["id"] for one in (await specialist.get(path)).json()["integrations"]] == [orders["id"], results["id"]]
    unlinked = await specialist.patch(f"{configs}/{results['id']}", json={"provider": None})
    assert (results["provider"], unlinked.json()["data"]["provider"]) == ("Example Lab", None)
    failed(await specialist.delete(path), 409, "INT004", "orders")
    changed = await specialist.put(path, json=vendor(owner="Cy"), headers={"if-match": '"v1"'})
    assert (changed.status_code, changed.json()["owner"]) == (200, "Cy")
    failed(await specialist.put(path, json=vendor(), headers={"if-match": '"v1"'}), 412, "INT004")
    assert (await specialist.delete(f"/integrations/{orders['id']}")).status_code == 204
    assert (await specialist.delete(path)).status_code == 204
    failed(await specialist.get(path), 404, "INT001")
    assert (await specialist.post("/vendors", json=vendor())).status_code == 201, "the name is free again"
    viewer = await signed_in("viewer")
    failed(await viewer.post("/vendors", json=vendor(name="x")), 403, "INT003")


@pytest.mark.ledger_part("S0-05", "people are told that an agreement ends")
async def test_people_are_told_that_an_agreement_ends(running: Any, signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    soon = (clock.now().date() + datetime.timedelta(days=10)).isoformat()
    agreements = [{"kind": "DPA", "reference": "D-1", "ends_on": soon}]
    evidence = [{"kind": "DSPT", "reference": "8A-1", "ends_on": soon}]
    made = (await specialist.post("/vendors", json=vendor(agreements=agreements, evidence=evidence))).json()
    assert made["ending"] == {"DPA D-1": 10, "DSPT 8A-1": 10}
    assert SCHEDULE["vendor_reminders"].split()[2:] == ["*", "*", "*"], "every day"
    context: Any = type("Context", (), {"store": running.hub.store})()
    assert await vendor_reminders.run(context, None) == {"vendors": 1}  # type: ignore[arg-type]  # it reads none
    assert await vendor_reminders.run(context, None) == {"vendors": 0}, "told once"  # type: ignore[arg-type]  # it reads none
    auditor = await signed_in("auditor")
    (event,) = (await auditor.get("/audit", params={"action": "vendor.agreement_ending"})).json()["items"]
    assert event["event"]["entity"] == f"vendor/{made['id']}"
    assert event["event"]["after"]["days_left"] == {"DPA D-1": 14, "DSPT 8A-1": 14}, "the warning that was passed"
    (told,) = (await specialist.get("/events", params={"type": "vendor.agreement_ending"})).json()["items"]
    assert told["entity"] == f"vendor/{made['id']}", "for webhooks, the stream and the socket"


async def test_another_organizations_vendor_is_not_there(running: Any, signed_in: Sign) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    cleo = await signed_in("tenant_admin", organization="clinic")
    specialist = await signed_in("integration_specialist")
    made = (await specialist.post("/vendors", json=vendor())).json()
    failed(await cleo.get(f"/vendors/{made['id']}"), 404, "INT001")
    assert (await cleo.get("/vendors")).json()["total"] == 0
    assert (await cleo.post("/vendors", json=vendor())).status_code == 201
