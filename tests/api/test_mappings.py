"""Stored mappings over HTTP: versions, examples, drafts, and the routes and endpoints that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
INPUT = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\nPID|1||x1"


def document(value: str = "ONE", **changes: Any) -> dict[str, Any]:
    examples = [{"input": INPUT, "expected": {"MSH-5": value}}]
    return {"set": {"MSH-5": value}, "examples": examples, **changes}


def route(use: str, **changes: Any) -> dict[str, Any]:
    steps = [{"filter": {"where": "MSH-9.1 == 'ADT'"}}, {"map": {"use": use}}]
    return {"name": "copy", "from": "adt/in", "steps": steps, "to": ["registry/out"], **changes}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"], error
    return error


def tag(version: int) -> dict[str, str]:
    return {"if-match": f'"v{version}"'}


async def made(client: httpx.AsyncClient, path: str, **wanted: Any) -> dict[str, Any]:
    response = await client.post(path, json=wanted)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.ledger_part("S2-122", "stored mappings: examples, versions, a diff, rollback")
async def test_versions_diff_and_rollback(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    first = await made(specialist, "/mappings", name="codes", description="Codes", document=document())
    assert (first["version"], first["current"], first["draft"], first["created_by"]) == (1, 1, False, "user0")
    wanted = {"description": "Codes", "document": document("TWO")}
    failed(await specialist.put("/mappings/codes", json=wanted), 428, "INT008")
    put = await specialist.put("/mappings/codes", json=wanted, headers={**tag(1), "x-reason": "they changed"})
    assert (put.status_code, put.headers["etag"], put.json()["reason"]) == (200, '"v2"', "they changed"), put.text
    failed(await specialist.put("/mappings/codes", json=wanted, headers=tag(1)), 412, "INT004")
    told = (await specialist.get("/mappings/codes/diff", params={"from": 1, "to": 2})).json()
    assert told["changed"] == ["document.set.MSH-5", "document.examples[0].expected.MSH-5"]
    assert "-    MSH-5: ONE\n+    MSH-5: TWO\n" in told["unified"]
    assert (await specialist.get("/mappings/codes/diff")).json() == told
    back = await specialist.post("/mappings/codes/rollback", json={"version": 1, "reason": "no"}, headers=tag(2))
    assert (back.status_code, back.json()["version"], back.json()["reason"]) == (200, 3, "no"), back.text
    assert back.json()["document"] == first["document"]
    failed(await specialist.post("/mappings/codes/rollback", json={"version": 3}, headers=tag(3)), 409, "INT004")
    listed = (await specialist.get("/mappings/codes/versions")).json()
    assert [one["version"] for one in listed["items"]] == [3, 2, 1]
    assert (await specialist.get("/mappings/codes/versions/2")).json()["document"] == document("TWO")
    failed(await specialist.get("/mappings/codes/versions/4"), 404, "INT001")
    assert (await specialist.get("/mappings", params={"q": "CODE"})).json()["total"] == 1
    assert (await specialist.get("/mappings", params={"q": "other"})).json()["total"] == 0
    failed(await specialist.post("/mappings", json={"name": "codes", "document": document()}), 409, "INT004")


@pytest.mark.ledger_part("S4-16", "a mapping's stored examples: run at save, and through the API")
async def test_a_version_whose_examples_fail_is_a_draft_at_most(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    wrong = document("ONE", examples=[{"input": INPUT, "expected": {"MSH-5": "OTHER"}}])
    error = failed(
        await specialist.post("/mappings", json={"name": "codes", "document": wrong}), 400, "INT002", "'ONE'"
    )  # fmt: skip
    assert error["field"] == "document.examples[0]"
    failed(await specialist.get("/mappings/codes"), 404, "INT001")
    drafted = await specialist.post("/mappings", params={"draft": "true"}, json={"name": "codes", "document": wrong})
    assert (drafted.status_code, drafted.json()["draft"], drafted.json()["current"]) == (201, True, None), drafted.text
    checked = (await specialist.post("/mappings/codes/check")).json()
    (example,) = checked["examples"]
    assert (checked["passed"], example["expected"], example["found"]) == (False, {"MSH-5": "OTHER"}, {"MSH-5": "ONE"})
    for name in ("codes", "codes@1"):
        error = failed(await specialist.post("/routes", json=route(name)), 400, "INT002", f"no mapping {name}")
        assert error["field"] == "steps[1].map.use"
    put = await specialist.put("/mappings/codes", json={"document": document()}, headers=tag(1))
    assert (put.json()["version"], put.json()["current"], put.json()["draft"]) == (2, 2, False)
    again = await specialist.put(
        "/mappings/codes", params={"draft": "true"}, json={"document": wrong}, headers=tag(2)
    )  # fmt: skip
    assert (again.json()["version"], again.json()["current"], again.json()["draft"]) == (3, 2, True)
    failed(await specialist.post("/mappings/codes/rollback", json={"version": 1}, headers=tag(3)), 400, "INT002")
    for broken, field in (
        ({"set": {"MSH": "x"}}, "document.set.MSH"), ({"sett": {}}, "document.sett"),
        ({"compute": {"PID-3.1": "upper("}}, "document.compute.PID-3.1"), ({"use": "codes"}, "document.use"),
    ):  # fmt: skip
        wanted = {"name": "other", "document": broken}
        error = failed(await specialist.post("/mappings", params={"draft": "true"}, json=wanted), 400, "INT002")
        assert error["field"] == field
    wanted = {"name": "other", "timezone": "Nowhere/Else", "document": document()}
    assert failed(await specialist.post("/mappings", json=wanted), 400, "INT002")["field"] == "timezone"


@pytest.mark.ledger_part("S2-122", "a new version of a mapping is one of the routes that use it")
async def test_routes_follow_the_current_version(running: Any, signed_in: Sign, message: Any, until: Any) -> None:
    specialist = await signed_in("integration_specialist")
    await made(specialist, "/mappings", name="codes", document=document())
    follows = await made(specialist, "/routes", **route("codes"))
    await made(specialist, "/routes", **route("codes@1", name="fixed", to=["lab/out"]))
    assert follows["mappings"] == {"codes": 1}
    assert (await specialist.get("/mappings/codes")).json()["routes"] == ["copy", "fixed"]

    async def arrives(value: bytes) -> None:
        async def reached() -> bool:
            count = len(running.registry.bodies)
            assert await running.send(message(f"{value.decode()}{count}{len(running.lab.bodies)}")) == ["AA"]
            await running.settled()
            return len(running.registry.bodies) > count and b"|" + value + b"|" in running.registry.bodies[-1]

        await until(reached)

    await arrives(b"ONE")
    drafted = await specialist.put(
        "/mappings/codes", params={"draft": "true"}, json={"document": document("DRAFT")}, headers=tag(1)
    )  # fmt: skip
    assert drafted.status_code == 200
    assert (await specialist.get("/routes/copy")).json()["version"] == 1, "a draft changes nothing"
    put = await specialist.put("/mappings/codes", json={"document": document("THREE")}, headers=tag(2))
    assert put.status_code == 200, put.text
    found = (await specialist.get("/routes/copy")).json()
    assert (found["version"], found["mappings"]) == (2, {"codes": 3})
    assert (await specialist.get("/routes/fixed")).json()["version"] == 1
    assert (await specialist.get("/routes/fixed")).json()["mappings"] == {"codes@1": 1}
    await arrives(b"THREE")
    assert any(b"|ONE|" in body for body in running.lab.bodies[-2:]), "the one with a version keeps it"
    events = (await running.get("/audit", action="mapping.change"))["items"]
    assert ["copy"] in [one["event"]["after"].get("routes") for one in events]
    failed(await specialist.delete("/mappings/codes"), 409, "INT004", "copy, fixed")
    for name in ("copy", "fixed"):
        assert (await specialist.delete(f"/routes/{name}")).status_code == 204
    assert (await specialist.delete("/mappings/codes")).status_code == 204
    failed(await specialist.get("/mappings/codes"), 404, "INT001")
    failed(await specialist.post("/routes", json=route("codes@1")), 400, "INT002", "no mapping")
    assert (await specialist.get("/mappings/codes/versions")).json()["total"] == 3
    again = await made(specialist, "/mappings", name="codes", document=document())
    assert (again["version"], again["current"]) == (4, 4)


async def test_what_a_route_says_beside_use(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    await made(specialist, "/mappings", name="codes", document=document(when="PID-3.1 == 'x1'"))
    steps = [{"map": {"use": "codes", "set": {"MSH-6": "x"}}}]
    failed(await specialist.post("/routes", json=route("", steps=steps)), 400, "INT002", "take out set")
    await made(specialist, "/routes", **route("", steps=[{"map": {"use": "codes", "when": "MSH-4 == 'B'"}}]))
    for text, changed in ((INPUT, True), (INPUT.replace("|B|", "|X|"), False), (INPUT.replace("x1", "x2"), False)):
        found = (await specialist.post("/routes/copy/preview", json={"body": text})).json()
        assert ("|ONE|" in found["outputs"][0]["body"]) is changed, text


@pytest.mark.ledger_part("S2-122", "a stored mapping: a preview on a sample or a stored message")
async def test_a_preview(running: Any, signed_in: Sign, message: Any) -> None:
    specialist, viewer = await signed_in("integration_specialist"), await signed_in("viewer")
    assert await running.send(message("P1")) == ["AA"]
    (one,) = await running.settled("delivered")
    await made(specialist, "/mappings", name="codes", document=document())
    found = (await specialist.post("/mappings/codes/preview", json={"message_id": one["id"]})).json()
    assert ("|ONE|" in found["made"], "|ONE|" in found["given"], found["problem"]) == (True, False, None)
    assert "MÜLLER" in found["made"]
    draft = {"document": {"compute": {"PID-3.1": "upper(PID-3.1)"}}}
    tried = (await specialist.post("/mappings/preview", json={"mapping": draft, "body": INPUT})).json()
    assert "|X1" in tried["made"]
    tried = (await specialist.post("/mappings/preview", json={"mapping": draft, "body": "no message"})).json()
    assert (tried["made"], bool(tried["problem"])) == (None, True)
    failed(await viewer.post("/mappings/codes/preview", json={"message_id": one["id"]}), 403, "INT003")
    assert (await viewer.post("/mappings/codes/preview", json={"body": INPUT})).status_code == 200
    failed(await viewer.put("/mappings/codes", json={"document": document()}, headers=tag(1)), 403, "INT003")
    assert len((await running.get("/messages"))["items"]) == 1, "nothing was sent"


@pytest.mark.ledger_part(
    "S3-20", "a mapping that is not there, or whose examples fail, fails the initialisation by name"
)
@pytest.mark.ledger_part("S3-42", "a reference to a stored mapping, with a version or without")
async def test_endpoints_name_a_mapping(running: Any, signed_in: Sign, until: Any) -> None:
    specialist = await signed_in("integration_specialist")
    await made(specialist, "/mappings", name="codes", document=document())
    ends = [{"name": "out", "url": f"mllp://127.0.0.1:{running.lab.port}", "data_mapping": "codes"}]
    draft = {"name": "Second lab", "type": "HL7", "environment": "development", "endpoints": ends}
    response = await specialist.post("/integrations", json=draft)
    assert response.json()["status"] == "active", response.text
    one = response.json()
    assert (await specialist.get("/mappings/codes")).json()["endpoints"] == ["second-lab/out"]
    failed(await specialist.delete("/mappings/codes"), 409, "INT004", "second-lab/out")
    path = f"/integrations/{one['id']}/endpoints/{one['endpoints'][0]['id']}/execute"
    for value in ("ONE", "TWO"):
        shown = await specialist.post(path, json={"data": INPUT, "dry_run": True})
        assert f"|{value}|" in shown.text, shown.text

        async def asked(value: str = value) -> bool:
            answer = await specialist.post(path, json={"data": INPUT}, headers={"idempotency-key": value})
            assert answer.status_code == 200, answer.text
            return f"|{value}|".encode() in running.lab.bodies[-1]

        await asyncio.wait_for(asked(), 20)
        assert await asked()
        await specialist.put("/mappings/codes", json={"document": document("TWO")}, headers=tag(1))
    ends[0]["data_mapping"] = "nobody"
    other = await specialist.post("/integrations", json={**draft, "name": "Third lab"})
    assert (other.json()["status"], "nobody" in other.json()["last_error"]) == ("error", True), other.text
    wrong = document("ONE", examples=[{"input": INPUT, "expected": {"MSH-5": "OTHER"}}])
    ends[0]["data_mapping"] = wrong
    other = await specialist.post("/integrations", json={**draft, "name": "Fourth lab"})
    assert other.json()["status"] == "error", other.text
    assert "out.data_mapping: examples[0]: MSH-5 is 'ONE', not 'OTHER'" in other.json()["last_error"]


async def test_another_organization_has_mappings_of_its_own(running: Any, signed_in: Sign) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    cleo = await signed_in("tenant_admin", organization="clinic")
    specialist = await signed_in("integration_specialist")
    await made(specialist, "/mappings", name="codes", document=document())
    assert (await cleo.get("/mappings")).json()["total"] == 0
    for response in (
        await cleo.get("/mappings/codes"), await cleo.get("/mappings/codes/versions"),
        await cleo.put("/mappings/codes", json={"document": document()}, headers=tag(1)),
        await cleo.delete("/mappings/codes"), await cleo.post("/mappings/codes/check"),
        await cleo.get("/mappings/codes/diff"),
    ):  # fmt: skip
        failed(response, 404, "INT001")
    theirs = await made(cleo, "/mappings", name="codes", document=document("THEIRS"))
    assert theirs["version"] == 1
    assert (await specialist.get("/mappings/codes")).json()["document"] == document()


@pytest.mark.ledger_part("S0-21", "changing a mapping of a GxP integration's route")
async def test_gxp_wants_a_second_person(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    draft = {"name": "Trial", "type": "HL7", "environment": "development", "gxp": True,
             "endpoints": [{"name": "out", "url": web.url(), "method": "POST", "data_mapping": "codes"}]}  # fmt: skip
    first = await made(specialist, "/mappings", name="codes", document=document())
    wanted, reason = {"document": document("TWO")}, {"x-reason": "the trial goes on"}
    assert (await specialist.put("/mappings/codes", json=wanted, headers=tag(1))).status_code == 200
    assert (await specialist.post("/integrations", json=draft, params={"initialize": "false"})).status_code == 201
    failed(await specialist.put("/mappings/codes", json=wanted, headers=tag(2)), 400, "INT002", "reason")
    refused = failed(await specialist.put("/mappings/codes", json=wanted, headers={**tag(2), **reason}), 403, "INT003")
    asked = refused["details"]["approval_required"]
    assert (asked["operation"], asked["entity"]) == ("mapping.change", f"mapping/{first['id']}")
    body = {"version": 1, "reason": "back"}
    failed(await specialist.post("/mappings/codes/rollback", json=body, headers=tag(2)), 403, "INT003")


@pytest.mark.ledger_part("S2-122", "preview and stored examples of JSON")
async def test_json_is_previewed_as_hl7_is(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    rules = {"set": {"$.seen": True}, "examples": [{"input": {"a": 1}, "expected": {"a": 1, "seen": True}}]}
    one = await made(specialist, "/mappings", name="orders", document=rules)
    assert one["document"] == rules
    shown = await specialist.post("/mappings/orders/preview", json={"body": '{"a":6.30}'})
    assert shown.json() == {"given": '{"a":6.30}', "made": '{"a":6.30,"seen":true}', "problem": None}
    shown = await specialist.post("/mappings/orders/preview", json={"body": "MSH|"})
    assert shown.json()["problem"] == "no JSON: Expecting value (line 1, column 1)"
    checked = (await specialist.post("/mappings/orders/check")).json()
    assert [(each["input"], each["found"], each["passed"]) for each in checked["examples"]] == [
        ('{"a": 1}', {"a": 1, "seen": True}, True)
    ]
    draft = {"from": "json", "to": "hl7v2", "copy": {"PID-3.1": "$.mrn"}}
    shown = await specialist.post("/mappings/preview", json={"mapping": {"document": draft}, "body": '{"mrn":"4711"}'})
    assert shown.json()["made"] == "MSH|^~\\&|\rPID|||4711\r"
    wrong = {"document": {"set": {"$.a": 1}, "compute": {"$.b": "PID-3"}}, "name": "wrong"}
    error = failed(await specialist.post("/mappings", json=wrong), 400, "INT002", "PID-3 is a path of HL7 v2")
    assert error["field"] == "document.compute.$.b"
