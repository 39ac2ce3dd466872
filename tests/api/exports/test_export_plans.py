"""Export plans over HTTP: made, changed by who saw them, seen within one's studies, run by the hub and by people."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.engine.runner import APART, SCHEDULE
from hilum.store import jobs
from hilum.store.schema_datasets import export_plan

pytestmark = pytest.mark.anyio
PLANS = "/exports/plans"


def plan(name: str = "weekly", **changes: Any) -> dict[str, Any]:
    source = {"records": "messages", "since": "last-week", "until": "last-week"}
    return {"name": name, "kind": "data", "wish": {"source": source, "format": "csv"}, "cron": "0 6 * * 1", **changes}


def failed(response: httpx.Response, status: int, code: str, message: str = "", field: str | None = None) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]
    assert field is None or error["field"] == field, response.text


async def made(http: httpx.AsyncClient, name: str = "weekly", **changes: Any) -> Any:
    response = await http.post(PLANS, json=plan(name, **changes))
    assert response.status_code == 201, response.text
    return response.json()


async def now(running: Any) -> None:
    """The time of every plan has come, and the minute of the job."""
    table = export_plan.update().where(export_plan.c.next_at.is_not(None)).values(next_at=clock.micros() - 1)
    await running.hub.store.write(lambda connection: connection.execute(table))
    await running.hub.store.write(jobs.insert, "export_plans", {}, actor="schedule")
    running.hub.store.signal("job")


async def test_the_life_of_a_plan(exporting: Any, signed_in: Any) -> None:
    http = exporting.http
    asked = await http.post(PLANS, json=plan())
    one = asked.json()
    path = f"{PLANS}/{one['id']}"
    assert (asked.status_code, asked.headers["etag"], asked.headers["location"]) == (201, '"v1"', f"/api/v1{path}")
    assert (one["name"], one["wish"], one["cron"], one["last"], one["problem"]) == (
        "weekly", plan()["wish"], "0 6 * * 1", None, None
    )  # fmt: skip
    assert one["owner"] == "user0"
    assert one["next_run"].endswith("T06:00:00Z")
    failed(await http.post(PLANS, json=plan("WEEKLY")), 409, "EXP004", "already")
    found = await http.get(path)
    assert (found.headers["etag"], found.json()) == ('"v1"', one)
    failed(await http.put(path, json=plan()), 428, "EXP008")
    changed = await http.put(path, json=plan("daily", cron=None), headers={"if-match": '"v1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"v2"'), changed.text
    assert (changed.json()["name"], changed.json()["cron"], changed.json()["next_run"]) == ("daily", None, None)
    failed(await http.put(path, json=plan(), headers={"if-match": '"v1"'}), 412, "EXP004")
    await made(http, "weekly")
    assert [each["name"] for each in (await http.get(PLANS)).json()["items"]] == ["daily", "weekly"]
    assert (await http.delete(path)).status_code == 204
    failed(await http.get(path), 404, "EXP001")
    failed(await http.delete(path), 404, "EXP001")
    assert (await http.get(PLANS)).json()["total"] == 1
    await made(http, "daily")
    auditor = await signed_in("auditor")
    events = (await auditor.get("/audit", params={"entity": f"export-plan/{one['id']}", "size": 100})).json()["items"]
    told = {
        each["event"]["action"]: each["event"] for each in reversed(events) if each["event"]["outcome"] == "success"
    }
    assert set(told) == {"export-plan.create", "export-plan.read", "export-plan.change", "export-plan.archive"}
    assert told["export-plan.create"]["after"]["wish"] == plan()["wish"]
    assert told["export-plan.change"]["before"]["cron"] == "0 6 * * 1"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"cron": "0 6 * *"}, "cron", "five fields"),
        ({"cron": "99 6 * * *"}, "cron", "Bad minute"),
        ({"cron": "0 0 31 2 *"}, "cron", "Bad day-of-month"),
        ({"kind": "hologram"}, "kind", ""),
        ({"name": ""}, "name", ""),
        ({"wish": {"format": "csv"}}, "wish", "name a `dataset`, or a `source` of records"),
        ({"wish": {"source": {"records": "messages", "since": "last-yaer"}, "format": "csv"}}, "wish.source.since",
         "neither a time nor a word"),
        ({"wish": {"source": {"records": "messages"}, "format": "csv", "odd": 1}}, "wish.odd", ""),
        ({"wish": {"source": {"records": "messages"}, "format": "hologram"}}, None, "hologram"),
        ({"wish": {"source": {"records": "messages"}, "format": "csv", "variables": ["nope"]}}, "variables", "nope"),
        ({"kind": "bulk", "wish": {"items": [{"kind": "data", "source": {"records": "x"}, "format": "csv"}]}},
         "wish.items[0].data.source.records", ""),
        ({"wish": {"source": {"records": "messages", "since": "last-24h", "until": "last-month"}, "format": "csv"}},
         "source.until", "ends before it begins"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told(exporting: Any, changes: dict[str, Any], field: str | None, message: str) -> None:
    failed(await exporting.http.post(PLANS, json=plan(**changes)), 400, "EXP002", message, field)
    assert (await exporting.http.get(PLANS)).json()["total"] == 0


@pytest.mark.ledger_part("S1-14", "a report on a schedule")
async def test_the_hub_runs_what_is_due(running: Any, exporting: Any, message: Any, until: Any) -> None:
    assert SCHEDULE["export_plans"] == "* * * * *"
    assert "export_plans" not in APART, "it does not wait for the exports that it asks for"
    await running.send(message("C1"), message("C2"))
    await running.settled("delivered", "delivered")
    wish = {"source": {"records": "messages", "since": "last-24h"}, "format": "csv"}
    one = await made(exporting.http, wish=wish)
    report = {"report": "integration-activity", "format": "json", "since": "last-24h"}
    other = await made(exporting.http, "report", kind="report", wish=report)
    await made(exporting.http, "by hand", cron=None)
    await now(running)
    done: Any = {}

    async def ended() -> bool:
        for each in (one, other):
            done[each["id"]] = (await exporting.http.get(f"{PLANS}/{each['id']}")).json()
        return all(each["last"] and each["last"]["status"] == "succeeded" for each in done.values())

    await until(ended)
    assert [each["problem"] for each in done.values()] == [None, None]
    assert (await exporting.http.get("/exports/jobs")).json()["total"] == 2
    fetched = await exporting.http.get(f"/exports/jobs/{done[one['id']]['last']['id']}/download")
    assert [each["control_id"] for each in csv.DictReader(io.StringIO(fetched.text))] == ["C1", "C2"]


async def test_who_left_exports_nothing(running: Any, exporting: Any, signed_in: Any, until: Any) -> None:
    one = await made(exporting.http)
    admin = await signed_in("tenant_admin")
    (person,) = (await admin.get("/users", params={"q": "user0"})).json()["items"]
    left = await admin.patch(
        f"/users/{person['id']}", json={"state": "disabled"}, headers={"if-match": '"v1"', "x-reason": "they left"}
    )
    assert left.status_code == 200, left.text
    await now(running)
    shown: Any = {}

    async def told() -> bool:
        shown.update((await admin.get(f"{PLANS}/{one['id']}")).json())
        return shown["problem"] is not None

    await until(told)
    assert (shown["problem"], shown["last"]) == ("the user user0 is disabled", None)
    assert (await admin.get("/exports/jobs")).json()["total"] == 0
    auditor = await signed_in("auditor")
    (event,) = (await auditor.get("/audit", params={"action": "export-plan.fail"})).json()["items"]
    assert event["event"]["entity"] == f"export-plan/{one['id']}"
    (news,) = (await admin.get("/events", params={"type": "export-plan.fail"})).json()["items"]
    assert news["entity"] == f"export-plan/{one['id']}", "for webhooks, the stream and the socket"
    taken = await auditor.put(f"{PLANS}/{one['id']}", json=plan(), headers={"if-match": '"v1"'})
    assert (taken.json()["owner"], taken.json()["problem"]) == ("user2", None), "who takes it over answers for it"


async def test_one_that_is_run_now(exporting: Any, signed_in: Any, running: Any) -> None:
    wish = {"source": {"records": "messages", "payload": True}, "format": "csv"}
    one = await made(exporting.http, wish=wish)
    path = f"{PLANS}/{one['id']}"
    response = await exporting.http.post(f"{path}/run")
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/api/v1/exports/jobs/{response.json()['id']}"
    done = await exporting.ended(response.json()["id"])
    assert done["status"] == "succeeded"
    after = (await exporting.http.get(path)).json()
    assert (after["last"]["id"], after["next_run"], after["version"]) == (done["id"], one["next_run"], 1)
    auditor = await signed_in("auditor")
    refused = await auditor.post(f"{path}/run")
    failed(refused, 403, "EXP003", "messages:payload")
    failed(await auditor.put(path, json=plan(wish=wish), headers={"if-match": '"v1"'}), 403, "EXP003")
    events = (await auditor.get("/audit", params={"action": "export.ask"})).json()["items"]
    assert [(each["event"]["outcome"], each["event"]["details"]["plan"]) for each in reversed(events)] == [
        ("success", f"export-plan/{one['id']}"), ("denied", f"export-plan/{one['id']}")
    ]  # fmt: skip
    viewer = await signed_in("viewer")
    for refused in (await viewer.get(PLANS), await viewer.post(PLANS, json=plan()), await viewer.post(f"{path}/run")):
        failed(refused, 403, "EXP003")


async def test_what_one_may_not_export_one_may_not_plan(exporting: Any, signed_in: Any) -> None:
    auditor = await signed_in("auditor")
    (dataset,) = (await exporting.imported())["datasets"]
    for wish in (
        {"dataset": dataset, "format": "csv"},
        {"source": {"records": "messages", "payload": True}, "format": "csv"},
    ):
        failed(await auditor.post(PLANS, json=plan(wish=wish)), 403, "EXP003")
    assert (await made(auditor))["owner"] == "user1"
    audit = {"source": {"records": "audit"}, "format": "csv"}
    failed(await exporting.http.post(PLANS, json=plan("audit", wish=audit)), 403, "EXP003")


async def test_plans_are_seen_within_one_s_studies(exporting: Any, signed_in: Any) -> None:
    found = {}
    for study in ("alpha", "beta"):
        (dataset,) = (await exporting.imported(study=study))["datasets"]
        found[study] = await made(exporting.http, study, wish={"dataset": dataset, "format": "csv"})
    assert [one["study"] for one in found.values()] == ["alpha", "beta"]
    everywhere = await made(exporting.http, "everywhere")
    bound = await signed_in({"role": "operator", "study": "beta"})
    assert [one["name"] for one in (await bound.get(PLANS)).json()["items"]] == ["beta"]
    for one in (found["alpha"], everywhere):
        path = f"{PLANS}/{one['id']}"
        for refused in (
            await bound.get(path), await bound.post(f"{path}/run"), await bound.delete(path),
            await bound.put(path, json=plan("x"), headers={"if-match": '"v1"'}),
        ):  # fmt: skip
            failed(refused, 404, "EXP001")
    run = await bound.post(f"{PLANS}/{found['beta']['id']}/run")
    assert run.status_code == 202, run.text
    alien = {"dataset": found["alpha"]["wish"]["dataset"], "format": "csv"}
    failed(await bound.post(PLANS, json=plan("mine", wish=alien)), 404, "EXP001")
    mine = await made(bound, "mine", wish={"source": {"records": "messages"}, "format": "csv"})
    assert (mine["study"], (await bound.get(f"{PLANS}/{mine['id']}")).status_code) == ("beta", 200)
    both = await signed_in({"role": "operator", "study": "alpha"}, {"role": "operator", "study": "beta"})
    failed(await both.post(PLANS, json=plan("both")), 403, "EXP003", "several studies")
    assert (await both.get(PLANS)).json()["total"] == 3


async def test_another_organization_s_plan_is_not_there(running: Any, exporting: Any, signed_in: Any) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    theirs = await signed_in("operator", organization="clinic")
    one = await made(exporting.http)
    path = f"{PLANS}/{one['id']}"
    for refused in (
        await theirs.get(path), await theirs.post(f"{path}/run"), await theirs.delete(path),
        await theirs.put(path, json=plan(), headers={"if-match": '"v1"'}),
    ):  # fmt: skip
        failed(refused, 404, "EXP001")
    assert (await theirs.get(PLANS)).json()["total"] == 0
    await made(theirs)
    assert (await exporting.http.get(PLANS)).json()["total"] == 1


async def test_a_key_plans_with_its_scopes(running: Any, exporting: Any, signed_in: Any, until: Any) -> None:
    admin = await signed_in("tenant_admin")
    wanted = {"name": "nightly", "role": "service", "scopes": ["exports:create", "exports:read", "messages:read"]}
    key = (await admin.post("/api-keys", json=wanted)).json()
    assert "key" in key, key
    async with httpx.AsyncClient(base_url=admin.base_url, headers={"authorization": f"Bearer {key['key']}"}) as machine:
        one = await made(machine)
        assert one["owner"] == "nightly"
        await now(running)

        async def ended() -> bool:
            return bool((await machine.get(f"{PLANS}/{one['id']}")).json()["last"])

        await until(ended)
    revoked = await admin.delete(f"/api-keys/{key['api_key']['id']}")
    assert revoked.status_code == 204, revoked.text
    await now(running)

    async def told() -> bool:
        return bool((await admin.get(f"{PLANS}/{one['id']}")).json()["problem"] == "the API key nightly is revoked")

    await until(told)
